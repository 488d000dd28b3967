"""The task of the encoder-decoder: it learns from pairs of texts, and writes."""

import keras
import keras_hub

from kattn.models.attention_seq2seq_backbone import AttentionSeq2SeqBackbone
from kattn.models.attention_seq2seq_preprocessor import AttentionSeq2SeqPreprocessor
from kattn.models.examples import checked
from kattn.models.generation import Generation
from kattn.models.lean_task import LeanTask
from kattn.models.presets import Presets
from kattn.models.scheduled_sampling import ScheduledSampling, scheduled
from kattn.models.token_crossentropy import TokenCrossentropy
from kattn.text.batches import ordered_batches, training_batches
from kattn.text.libraries import tensorflow


@keras.saving.register_keras_serializable(package="kattn")
class AttentionSeq2Seq(
    Generation, ScheduledSampling, LeanTask, Presets, keras_hub.models.Seq2SeqLM
):
    """Texts to texts by an `AttentionSeq2SeqBackbone`: translation, pronunciation.

    Args:
        backbone: An `AttentionSeq2SeqBackbone`.
        preprocessor: An `AttentionSeq2SeqPreprocessor`, or `None`.
        tie_embeddings: Whether the vectors of the tokens that are fed are also those
            that what is written is compared with.
        **kwargs: As for `keras_hub.models.Task`: `name`, `compile`.

    Example:
        >>> from kattn import models, text
        >>> letters = text.CharacterTokenizer(list("abc"))
        >>> sounds = text.WordTokenizer([*models.TARGET_TOKENS, "x", "y"])
        >>> model = models.AttentionSeq2Seq(
        ...     models.AttentionSeq2SeqBackbone(
        ...         letters.vocabulary_size(), sounds.vocabulary_size(), 4, units=8
        ...     ),
        ...     models.AttentionSeq2SeqPreprocessor(letters, sounds),
        ... )
        >>> history = model.fit((["ab", "c"], ["x y", "y"]), verbose=0)
        >>> len(model.generate(["abc", "b"], beam_width=3))
        2

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025.
    """

    backbone_cls = AttentionSeq2SeqBackbone
    preprocessor_cls = AttentionSeq2SeqPreprocessor

    def __init__(self, backbone, preprocessor=None, tie_embeddings=False, **kwargs):
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.tie_embeddings = tie_embeddings  # which the logits are made by
        # Logits and loss in float32, whatever the backbone's precision.
        width = backbone.target_vocabulary_size
        if tie_embeddings:
            width = backbone.embedding_dim
        self.output_dense = keras.layers.Dense(width, dtype="float32", name="logits")
        # === Functional model ===
        inputs = backbone.input
        super().__init__(inputs=inputs, outputs=self.logits(backbone(inputs)), **kwargs)

    def logits(self, hidden):
        """Of the decoder's outputs `(..., W)` those of the next tokens, `(..., V)`."""
        outputs = self.output_dense(hidden)
        if self.tie_embeddings:
            outputs = self.backbone.target_embedding(outputs, reverse=True)
            # Of vectors of unit variance; Vaswani et al. 2017, section 3.4.
            outputs = outputs / self.backbone.embedding_dim**0.5
        return outputs

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "tie_embeddings": self.tie_embeddings}

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        weighted_metrics="auto",
        sampler="greedy",
        scheduled_sampling=0.0,
        **kwargs,
    ):
        """Configure the training, as `keras.Model.compile` does.

        `optimizer="auto"` is `Adam(1e-3)`, for these models are trained from scratch,
        `loss="auto"` is `TokenCrossentropy()`, and `weighted_metrics="auto"` the
        accuracy of tokens. `sampler`, one of KerasHub's, is for
        `generate(texts, sample=True)`. With `scheduled_sampling=k`, a number of steps,
        `fit` on strings feeds the decoder its own tokens, more and more, in place of
        the target's: Bengio et al. 2015, arXiv:1506.03099. See `ScheduledSampling`.
        """
        self.scheduled_sampling = scheduled_sampling
        if optimizer == "auto":
            optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=5.0)
        if loss == "auto":
            loss = TokenCrossentropy()
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = [keras.metrics.SparseCategoricalAccuracy("accuracy")]
        super().compile(
            optimizer=optimizer,
            loss=loss,
            weighted_metrics=weighted_metrics,
            sampler=sampler,
            **kwargs,
        )

    # === Training on pairs of strings ===

    def adapt(self, x):
        """Find the n-grams that have vectors; `fit` on pairs of strings does so itself.

        Args:
            x: `(sources, targets)`, as for `fit`.

        Raises:
            ValueError: If the backbone has no n-grams, or none stands twice in the
                sources.
        """
        if not self.backbone.ngrams:
            raise ValueError(
                "There is nothing to find for this model. Expected: a backbone with "
                "ngrams. Received: ngrams=0"
            )
        self.backbone.ngram_embedding.adapt(self._ids(x)[0].to_list())

    def fit(
        self, x=None, y=None, batch_size=None, validation_data=None, seed=0, **kwargs
    ):
        """Train, as `keras.Model.fit` does, on pairs of strings.

        They are tokenized once, shuffled anew in each epoch from `(seed, epoch)`, and
        batched with pairs of similar length.

        Args:
            x: `(sources, targets)`, two lists of strings; or what `keras.Model.fit`
                takes of inputs that are preprocessed.
            y: Of the latter, the ids to be written.
            batch_size: Pairs a batch, 32 if `None`.
            validation_data: Likewise `(sources, targets)`, or `None`.
            seed: Seed of the shuffle.
            **kwargs: As for `keras.Model.fit`: `epochs`, `callbacks`...

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: If there are more of the ones than of the others, none at all,
                a text has more tokens than the preprocessor takes, or n-grams are to be
                found and `x` is no strings.
            TypeError: If one is not a string.
        """
        if not self._tokenizes(x):
            self._check_adapted()
            return keras.Model.fit(
                self,
                x,
                y,
                batch_size=batch_size,
                validation_data=validation_data,
                **kwargs,
            )
        if validation_data is not None and self._tokenizes(validation_data):
            validation_data = self._ordered(validation_data, batch_size)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        first_epoch = kwargs.get("initial_epoch", 0)
        ids = self._ids(x)
        if self._to_find():
            self.backbone.ngram_embedding.adapt(ids[0].to_list())
        batches, steps = training_batches(
            ids,
            None,
            self.preprocessor.pad,
            batch_size=batch_size or 32,
            seed=seed,
            first_epoch=first_epoch,
        )
        if self.scheduled_sampling:
            k, first = self.scheduled_sampling, first_epoch * steps
            batches = scheduled(batches, k, seed, first)
        return keras.Model.fit(
            self,
            batches,
            validation_data=validation_data,
            shuffle=False,
            **{"steps_per_epoch": steps, **kwargs},
        )

    def evaluate(self, x=None, y=None, batch_size=None, **kwargs):
        """Loss and metrics, as `keras.Model.evaluate` gives them, on pairs of strings.

        Args:
            x: `(sources, targets)`, as for `fit`.
            y: As for `fit`.
            batch_size: Pairs a batch, 32 if `None`.
            **kwargs: As for `keras.Model.evaluate`.

        Returns:
            Likewise.
        """
        if self._tokenizes(x):
            return keras.Model.evaluate(self, self._ordered(x, batch_size), **kwargs)
        return keras.Model.evaluate(self, x, y, batch_size=batch_size, **kwargs)

    def _to_find(self):
        """Whether there are n-grams, and which they are is not known yet."""
        return self.backbone.ngrams and not self.backbone.ngram_embedding.adapted

    def _check_adapted(self):
        if self._to_find():
            raise ValueError(
                "N-grams are found in all training texts, which a dataset gives but as "
                "it trains. Call `adapt((sources, targets))` before `fit(dataset)`."
            )

    # === Strings to batches ===

    def _tokenizes(self, x):
        """Whether `x` is pairs of strings for the preprocessor."""
        return self.preprocessor is not None and isinstance(x, tuple) and len(x) == 2

    def _ids(self, pairs):
        """Ragged ids of sources and of targets with their ends."""
        sources, targets = map(checked, pairs)
        if len(sources) != len(targets):
            raise ValueError(
                "There is one target for each source. Received: "
                f"{len(sources):,} sources and {len(targets):,} targets"
            )
        with tensorflow().device("cpu"):
            target_ids = self.preprocessor.target_ids(targets)
            most = self.preprocessor.decoder_sequence_length
            self._check_lengths("target", target_ids.row_lengths() - 1, most)
            return self._source_ids(sources), target_ids

    def _source_ids(self, sources):
        with tensorflow().device("cpu"):
            ids = self.preprocessor.source_ids(sources)
            most = self.preprocessor.encoder_sequence_length
            self._check_lengths("source", ids.row_lengths(), most)
            return ids

    def _check_lengths(self, side, lengths, most):
        lengths = lengths.numpy()
        longest = int(lengths.argmax())
        if lengths[longest] > most:
            argument = f"{'en' if side == 'source' else 'de'}coder_sequence_length"
            raise ValueError(
                f"A {side} has at most {most:,} tokens, the preprocessor's {argument}: "
                f"leave out what is longer, or raise it. Received: {side} number "
                f"{longest} of {lengths[longest]:,} tokens"
            )

    def _ordered(self, pairs, batch_size):
        batches = ordered_batches(
            self._ids(pairs), self.preprocessor.pad, batch_size=batch_size or 32
        )
        return batches.map(lambda packed: packed)  # which was a tuple of one
