"""An encoder-decoder of recurrences: each word written asks anew what to read.

Bahdanau, Cho, Bengio: Neural Machine Translation by Jointly Learning to Align and
Translate. ICLR 2015. Luong, Pham, Manning: Effective Approaches to Attention-based
Neural Machine Translation. EMNLP 2015.
"""

import keras
import keras_hub
from keras import ops

from kattn import normalizers, regions, scores
from kattn.layers import AttentionRNN, BahdanauCell, LuongCell
from kattn.models.layouts import Layouts
from kattn.models.ngram_embedding import NgramEmbedding
from kattn.models.presets import Presets
from kattn.models.recurrent import RecurrentEncoder, WideOrthogonal
from kattn.models.word_embedding import own_policy
from kattn.names import unknown

ATTENTIONS = ("luong", "bahdanau", "none")
_CELLS = {"lstm": keras.layers.LSTMCell, "gru": keras.layers.GRUCell}
_SCORES = {"luong": "general", "bahdanau": "additive", "none": "general"}


@keras.saving.register_keras_serializable(package="kattn")
class AttentionSeq2SeqBackbone(Layouts, Presets, keras_hub.models.Backbone):
    """Source tokens to the states of a decoder that reads them at every step.

    The source goes through recurrences in both directions, `h_t`. The decoder starts
    from `tanh(W [last forward; last backward] + b)` and is fed the target's tokens, one
    a step. What it reads at a step is `c_i = sum_t weights_it h_t`, asked for

    - `"luong"`: by its new state, `s_i = cell([y_i; a_{i-1}])`; the output is
      `a_i = tanh(W [c_i; s_i])`, which is fed to the next step;
    - `"bahdanau"`: by its former state; `s_i = cell([y_i; c_i])`, and the output is
      `[s_i; c_i]`;
    - `"none"`: not at all. It is Luong's, but for `c_i`, which is `[last forward; last
      backward]` at every step: what to compare attention with.

    Inputs are `encoder_token_ids`, integers `(B, Ts)`, `decoder_token_ids`, integers
    `(B, Tt)`, and `encoder_padding_mask` and `decoder_padding_mask`, booleans of the
    same shapes, `False` for padding, which takes part in nothing. The output is
    `(B, Tt, W)`.

    Args:
        source_vocabulary_size: Number of token ids of the source.
        target_vocabulary_size: Number of token ids of the target.
        embedding_dim: Width of a token's vector.
        units: Width of the decoder's state and of each direction of the encoder's.
        cell: `"lstm"` or `"gru"`.
        num_layers: How many recurrences stand on each other, on either side.
        directions: How the source is read: `"concat"` for both ways, or `"forward"`.
            Then the decoder starts from `tanh(b)`, and with `normalizer="monotonic"`
            each word depends on no more of the source than was read for it.
        attention: `"luong"`, `"bahdanau"` or `"none"`, see above.
        score: How similar is a position to the query, as for `kattn.layers.Attention`;
            the paper's, `"general"` or `"additive"`, if `None`. The general one, a sum
            over all pairs of entries, soon reads a single position under Adam: where
            one word is made of several, `"additive"` learns faster.
        region: Which positions may be seen, likewise; `"local_m"` and `"local_p"` are
            Luong's.
        normalizer: How energies become weights, likewise; `"monotonic"` reads on and
            never back.
        input_feeding: Whether Luong's decoder is fed what it gave before.
        coverage: Whether a position tells how much it was read before, as for
            `kattn.layers.AttentionCell`.
        dropout: Fraction of the entries dropped in training, of token vectors, between
            recurrences, of what is read, and of the output.
        ngrams: How many n-grams of the source have vectors of their own, beside its
            tokens', as for `kattn.models.NgramEmbedding`: little time for what is else
            learned slowly, how certain runs of letters are read. Which ones, the task's
            `adapt` finds in the training texts.
        ngram_dim: Width of such a vector.
        ngram_dropout: Fraction of these vectors dropped in training.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Raises:
        ValueError: For an unknown name.

    Example:
        >>> backbone = kattn.models.AttentionSeq2SeqBackbone(30, 40)
        >>> ids = np.ones((2, 5), "int32")
        >>> backbone({
        ...     "encoder_token_ids": ids,
        ...     "encoder_padding_mask": ids > 0,
        ...     "decoder_token_ids": ids[:, :3],
        ...     "decoder_padding_mask": ids[:, :3] > 0,
        ... }).shape
        TensorShape([2, 3, 256])

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025;
        coverage: Tu et al. 2016, arXiv:1601.04811; n-grams: Pagnoni et al. 2024,
        arXiv:2412.09871.
    """

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        embedding_dim=128,
        units=256,
        cell="lstm",
        num_layers=1,
        directions="concat",
        attention="luong",
        score=None,
        region="global",
        normalizer="softmax",
        input_feeding=True,
        coverage=False,
        dropout=0.0,
        ngrams=0,
        ngram_dim=32,
        ngram_dropout=0.5,
        dtype=None,
        **kwargs,
    ):
        if attention not in ATTENTIONS:
            raise unknown("attention", attention, ATTENTIONS)
        if cell not in _CELLS:
            raise unknown("cell", cell, _CELLS)
        # === Layers ===
        self.source_embedding = keras.layers.Embedding(
            source_vocabulary_size,
            embedding_dim,
            embeddings_initializer=_unit_variance(),
            dtype=own_policy(dtype, "source_embedding"),
            name="source_embedding",
        )
        self.target_embedding = keras.layers.ReversibleEmbedding(  # for tied logits
            target_vocabulary_size,
            embedding_dim,
            embeddings_initializer=_unit_variance(),
            dtype=own_policy(dtype, "target_embedding"),
            name="target_embedding",
        )
        self.target_embedding.supports_masking = True  # of what it makes logits of
        self.ngram_embedding = None
        if ngrams:
            self.ngram_embedding = NgramEmbedding(
                ngrams,
                ngram_dim,
                past=directions == "forward",
                dropout=ngram_dropout,
                dtype=dtype,
                name="ngram_embedding",
            )
        self.encoders = [
            RecurrentEncoder(units, cell, directions, dtype=dtype, name=f"encoder_{i}")
            for i in range(num_layers)
        ]
        cells = [
            _CELLS[cell](
                units,
                recurrent_initializer=WideOrthogonal(),
                dropout=dropout if i else 0.0,
                dtype=dtype,
            )
            for i in range(num_layers)
        ]
        inner = keras.layers.StackedRNNCells(cells, dtype=dtype)
        inner = inner if num_layers > 1 else cells[0]
        parts = {
            "score": score or _SCORES[attention],
            "region": region,
            "normalizer": normalizer,
            "coverage": coverage,
            "dtype": dtype,
        }
        if attention == "bahdanau":
            asking = BahdanauCell(inner, **parts)
        else:
            asking = LuongCell(inner, input_feeding=input_feeding, **parts)
        self.decoder = AttentionRNN(asking, dtype=dtype, name="decoder")
        sizes = keras.tree.flatten(inner.state_size)
        self.bridge = keras.layers.Dense(sum(sizes), "tanh", dtype=dtype, name="bridge")
        self.dropouts = {
            name: keras.layers.Dropout(dropout, dtype=dtype, name=f"{name}_dropout")
            for name in ("source", "memory", "target", "output")
        }
        # === Functional model ===
        inputs = {
            f"{side}_{kind}": keras.Input((None,), dtype=of, name=f"{side}_{kind}")
            for side in ("encoder", "decoder")
            for kind, of in (("token_ids", "int32"), ("padding_mask", "bool"))
        }
        live = inputs["encoder_padding_mask"]
        source = inputs["encoder_token_ids"]
        memory = self.source_embedding(source)  # (B, Ts, D)
        if self.ngram_embedding is not None:
            runs = self.ngram_embedding(source, mask=live)
            memory = ops.concatenate([memory, runs], axis=-1)
        memory = self.dropouts["source"](memory)
        for encoder in self.encoders:
            memory, last = encoder(memory, mask=live)  # (B, Ts, 2 units)
            memory = self.dropouts["memory"](memory)
        # What it starts from is known only once all was read.
        known = last if directions != "forward" else ops.zeros_like(last)
        start = ops.split(self.bridge(known), len(sizes), axis=-1)
        if attention == "none":  # or rather: of one position
            memory = ops.expand_dims(last, axis=1)  # (B, 1, 2 units)
            live = ops.any(live, axis=1, keepdims=True)  # (B, 1)
        target = self.target_embedding(inputs["decoder_token_ids"])  # (B, Tt, D)
        hidden, alignment = self.decoder(
            self.dropouts["target"](target),
            memory,
            initial_state=start,
            mask=inputs["decoder_padding_mask"],
            memory_mask=live,
            return_attention_scores=True,
        )
        super().__init__(
            inputs=inputs,
            outputs=self.dropouts["output"](hidden),
            dtype=dtype,
            **kwargs,
        )
        self._alignment = alignment
        self._encoded = {"memory": memory, "memory_mask": live, "initial_state": start}
        # === Config ===
        self.source_vocabulary_size = source_vocabulary_size
        self.target_vocabulary_size = target_vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = cell
        self.num_layers = num_layers
        self.directions = directions
        self.attention = attention
        self.score = asking.score
        self.region = asking.region
        self.normalizer = asking.normalizer
        self.input_feeding = input_feeding
        self.coverage = coverage
        self.dropout = dropout
        self.ngrams = ngrams
        self.ngram_dim = ngram_dim
        self.ngram_dropout = ngram_dropout

    def encoder_model(self):
        """The encoder alone, with the same weights.

        Returns:
            A `keras.Model` of `encoder_token_ids` and `encoder_padding_mask` that gives
            a dictionary: `memory` `(B, Ts, 2 * units)`, or `units` of one direction,
            its `memory_mask` `(B, Ts)`, and `initial_state`, a list of the decoder's
            first states. Without attention, Ts is 1.
        """
        names = ("encoder_token_ids", "encoder_padding_mask")
        return keras.Model({name: self.input[name] for name in names}, self._encoded)

    def attention_model(self):
        """The same layers and weights, with the attention as an output.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `hidden`, the
            output, and `alignment` `(B, Tt, Ts)`, the weights of the source's positions
            at each step.
        """
        return keras.Model(
            self.input, {"hidden": self.output, "alignment": self._alignment}
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "source_vocabulary_size": self.source_vocabulary_size,
            "target_vocabulary_size": self.target_vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "cell": self.cell,
            "num_layers": self.num_layers,
            "directions": self.directions,
            "attention": self.attention,
            "score": scores.serialize(self.score),
            "region": regions.serialize(self.region),
            "normalizer": normalizers.serialize(self.normalizer),
            "input_feeding": self.input_feeding,
            "coverage": self.coverage,
            "dropout": self.dropout,
            "ngrams": self.ngrams,
            "ngram_dim": self.ngram_dim,
            "ngram_dropout": self.ngram_dropout,
        }


def _unit_variance():
    """What token vectors start from.

    Keras's own, within 0.05 of 0, hardly move a gate: a recurrence is blind until they
    have grown, and those of rare tokens see too few steps for that. Each table gets an
    initializer of its own, for one gives the same numbers twice.
    """
    return keras.initializers.RandomNormal(stddev=1.0)
