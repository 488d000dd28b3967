"""What kattn's classifiers of text pairs share: two strings in, labels out."""

import numpy as np

from kattn import ranking
from kattn.models.examples import checked
from kattn.models.pair_ngram_logits import PairNgramLogits
from kattn.models.preprocessors import pair
from kattn.models.text_classifier import TextClassifier


class TextPairClassifier(TextClassifier):
    """Base class of kattn's classifiers of text pairs: entailment, paraphrase, answers.

    Wherever a classifier of single texts takes texts, this one takes pairs: a tuple
    `(premises, hypotheses)` of two lists or arrays of strings, or a dictionary of these
    under `premise` and `hypothesis`. The batches of a `tf.data.Dataset` have the same
    two forms.

    A backbone that joins counted features to learned ones keeps the layer that counts,
    a `kattn.models.PairFeatures`, as `pair_features_layer`; else that is `None`.

    A subclass sets `backbone_cls` and `preprocessor_cls`, the latter a
    `kattn.models.preprocessors.PairPreprocessor`.
    """

    _unit = "pairs"
    _ngrams_cls = PairNgramLogits
    _to_find = "ngrams, or a backbone with pair_features=True"

    def evaluate_ranking(self, x, y, groups=None, positive=1, batch_size=None):
        """How well the pairs of each group are ranked: MAP and MRR.

        The pairs of a group, say a question with each of its candidate answers, are
        ranked by the probability of the class `positive`. Ties are broken against the
        model, and groups without a right pair are left out, as is usual for WikiQA.

        Args:
            x: Pairs.
            y: Labels: integers, or strings among the class names.
            groups: A name for each pair, equal within a group; if `None`, pairs of
                equal premises make a group.
            positive: The class of the right pairs: a number, or a class name.
            batch_size: Pairs a batch, 32 if `None`.

        Returns:
            A dictionary: `map`, the mean average precision; `mrr`, the mean reciprocal
            rank of the first right pair; `groups`, how many groups were ranked, and
            `left_out`, how many were not.

        Raises:
            ValueError: If pairs, labels and groups differ in number, `positive` is none
                of the classes, or no group has a right pair.
        """
        texts = self._checked(x)
        labels = self._labels(texts, y)
        positive = int(self._labels(([""], [""]), [positive])[0])
        scores = self.predict_proba(texts, batch_size=batch_size, verbose=0)
        groups = texts[0] if groups is None else groups
        return ranking.figures(scores[:, positive], labels == positive, groups)

    def _said_by_ngrams(self, inputs):
        sides = ("premise", "hypothesis")
        return self.ngram_logits(
            *(inputs[f"{side}_token_ids"] for side in sides),
            **{f"{side}_mask": inputs[f"{side}_padding_mask"] for side in sides},
        )

    def _found(self):
        counted = getattr(self.backbone, "pair_features_layer", None)
        return [*super()._found(), *([] if counted is None else [counted])]

    def _find(self, layer, ids, labels):
        premises, hypotheses = (part.to_list() for part in ids)
        if layer is self.ngram_logits:
            layer.adapt(premises, hypotheses, labels)
        else:
            layer.adapt(
                [*premises, *hypotheses], self.preprocessor.tokenizer.get_vocabulary()
            )

    def _tokenizes(self, x):
        if self.preprocessor is None:
            return False
        inputs = {tensor.name for tensor in self.inputs}
        if isinstance(x, dict):
            return set(x) != inputs
        return isinstance(x, str | bytes | list | tuple | np.ndarray)

    def _checked(self, x):
        """A tuple of two lists of strings, or an error that says what is wrong."""
        texts = tuple(map(checked, pair(x)))
        if len(texts[0]) != len(texts[1]):
            raise ValueError(
                "There is one hypothesis for each premise. Received: "
                f"{len(texts[0])} premises, {len(texts[1])} hypotheses"
            )
        return texts
