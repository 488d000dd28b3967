"""What a classifier finds in all its training texts before it trains on them."""

import keras

from kattn.models.ngram_logits import NgramLogits
from kattn.models.opinion import MeanOpinion


class Adapted:
    """The part of a classifier that is found, not learned: its n-grams' logits.

    `kattn.models.TextClassifier` is the rest.
    """

    #: The layer that gives n-grams a say.
    _ngrams_cls = NgramLogits

    def _give_ngrams_a_say(self, ngrams, num_classes, order):
        """Make the layers; `ngram_logits` is `None` for no n-grams."""
        self.ngram_logits = None
        if ngrams:
            self.ngram_logits = self._ngrams_cls(
                ngrams, num_classes, order, dtype="float32", name="ngram_logits"
            )
            self.mean_opinion = MeanOpinion(dtype="float32", name="mean_opinion")

    def _said_by_ngrams(self, inputs):
        return self.ngram_logits(inputs["token_ids"], mask=inputs["padding_mask"])

    def opinions_model(self):
        """The same layers and weights, with what the logits are the mean of as outputs.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary of logits
            `(B, num_classes)`: `network`, and `ngrams` where n-grams speak for
            themselves.
        """
        inputs = self.backbone.input
        said = {"network": self.output_dense(self.backbone.output)}
        if self.ngram_logits is not None:
            said["ngrams"] = self._said_by_ngrams(inputs)
        return keras.Model(inputs, said)

    def adapt(self, x, y=None):
        """Find what is found in all training texts; `fit` on lists does so itself.

        That is the weights of n-grams, and what pair features count.

        Args:
            x: Texts, or pairs, as for `fit`.
            y: Their labels, as for `fit`; n-grams alone need them.

        Raises:
            ValueError: If the model has nothing to find, or there are no labels to
                weigh n-grams by.
        """
        layers = self._found()
        if not layers:
            raise ValueError(
                f"There is nothing to find in {self._unit} for this model. Expected: "
                f"a classifier with {self._to_find}. Received: one without"
            )
        texts = self._checked(x)
        labels = None if self.ngram_logits is None else self._labels(texts, y)
        ids = self._ids(texts)
        for layer in layers:
            self._find(layer, ids, labels)

    #: What there may be to find, in messages.
    _to_find = "ngrams"

    def _found(self):
        """The layers whose weights are found."""
        return [] if self.ngram_logits is None else [self.ngram_logits]

    def _find(self, layer, ids, labels):
        """Let a layer find its weights in the ids that `_ids` made."""
        texts = ids.to_list()
        if ids.ragged_rank == 1:  # a text is one sentence
            texts = [[text] for text in texts]
        layer.adapt(texts, labels)

    def _prepare(self, ids, labels):
        """Find what was not found yet, before the training.

        Args:
            ids: What `_ids` made of the texts; `None` for a dataset, which is read but
                as it trains.
            labels: Integers, or `None`.
        """
        for layer in self._found():
            if layer.adapted:
                continue
            if ids is None:
                raise ValueError(
                    "N-grams are weighed, and words of pairs counted, in all training "
                    "texts, which a dataset gives but as it trains. Call "
                    "`adapt(texts, labels)` before `fit(dataset)`."
                )
            self._find(layer, ids, labels)
