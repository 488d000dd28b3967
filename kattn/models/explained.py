"""Classifiers that show what they looked at."""

import functools
import itertools

import keras
import numpy as np
from scipy.special import softmax

from kattn.explanation import Erasure, Explanation, Explanations, Sentence, Token
from kattn.models.rollout import rollout
from kattn.text.libraries import tensorflow
from kattn.text.spans import find_spans
from kattn.text.strings import as_strings

_SHARE = 0.1  # of the words, which are taken out of a text to see whether they mattered
_DRAWS = 5  # of as many others
_SAID = "said_by_"  # and whose logits they are
#: What the axes of weights are: fields, whose padding is cut off, or something else.
_AXES = {
    "match": ("premise", "hypothesis"),
    "alignment": ("hypothesis", "premise"),
    "hop_weights": (None, "text"),
    "width_weights": (None, "text"),
    "block": (None, "text", "text"),
}


class Explained:
    """The part of a classifier that tells what it looked at.

    `kattn.models.TextClassifier` is the rest.
    """

    @property
    def weighs_words(self):
        """Whether there is attention to show: some poolings have none."""
        return any(map(_of_words, self.attention_model().output))

    def quantize(self, *args, **kwargs):
        """Keep weights in fewer bits, as `keras.Model.quantize` does."""
        super().quantize(*args, **kwargs)
        self.__dict__.pop("_explanation_model", None)  # it computes with the former

    def explain(self, texts, erasure=True, batch_size=32):
        """Classify texts and tell how much attention each word got, and what for.

        Attention tells where a model looked, which is not always why it decided as it
        did: other weights may give the same answer. So each text is also read without
        the tenth of its words that got most attention, and without as many others,
        drawn at random five times; see `kattn.explanation.Erasure`.

        Args:
            texts: A list or array of strings; for a classifier of pairs `(premises,
                hypotheses)`, as for `predict`.
            erasure: Whether to read each text again without its strongest words.
            batch_size: Texts a batch.

        Returns:
            A list with a `kattn.explanation.Explanation` for each text, which shows
            itself in a notebook; `to_html(path)` writes a page.

        Raises:
            TypeError: If a text is not a string.
            ValueError: If the classifier has no preprocessor or does not weigh words,
                or if there is no text.

        Example:
            >>> classifier = kattn.models.TextClassifier.from_preset("han_bbc_en")
            >>> (explanation,) = classifier.explain(["The striker scored twice."])
            >>> explanation.label
            'sports'
            >>> max(explanation.tokens(), key=lambda token: token.weight).text
            'striker'

        Reference:
            Jain and Wallace 2019, arXiv:1902.10186; Wiegreffe and Pinter 2019,
            arXiv:1908.04626; erasing: Serrano and Smith 2019, arXiv:1906.03731.
        """
        if self.preprocessor is None:
            raise ValueError(
                "Explaining texts takes a preprocessor. "
                "Received: a classifier with preprocessor=None"
            )
        given = self._checked(texts)
        parts = given if isinstance(given, tuple) else (given,)  # a list for each field
        parts = [[_text(text) for text in part] for part in parts]
        model = self._explanation_model
        explanations = Explanations()
        for start in range(0, len(parts[0]), batch_size):
            batch = [part[start : start + batch_size] for part in parts]
            explanations += self._explained(model, batch, erasure)
        return explanations

    @functools.cached_property
    def _explanation_model(self):
        """The model with all its attention as outputs, if it weighs words.

        Kept, for tracing it takes a hundred times as long as reading a text.
        """
        model = self._all_attention()
        outputs = dict(model.output)
        if not any(map(_of_words, outputs)):
            raise ValueError(
                "Only a model that weighs words can be explained. "
                f"Received: a model that gives {sorted(outputs)}"
            )
        if self.ngram_logits is None:
            return model
        said = self.opinions_model().output
        outputs |= {f"{_SAID}{name}": logits for name, logits in said.items()}
        return keras.Model(model.input, outputs)

    def _all_attention(self):
        return self.attention_model()

    def _explained(self, model, batch, erasure):
        """Explanations of a batch, a list of strings for each field."""
        fields = self.preprocessor.fields
        words = self._words(batch)  # nested lists for each field
        outputs = self._read(model, words)
        chances = softmax(outputs.pop("logits"), axis=-1)
        opinions = {
            name.removeprefix(_SAID): softmax(outputs.pop(name), axis=-1)
            for name in list(outputs)
            if name.startswith(_SAID)
        }
        explanations = []
        for i, row in enumerate(chances):
            weights = {name: x[i] for name, x in outputs.items()}
            sentences = {
                field: self._sentences(field, batch[k][i], words[k][i], weights)
                for k, field in enumerate(fields)
            }
            explanations.append(
                Explanation(
                    self.labels[row.argmax()],
                    float(row.max()),
                    dict(zip(self.labels, row.tolist(), strict=True)),
                    {field: batch[k][i] for k, field in enumerate(fields)},
                    sentences,
                    _cropped(weights, sentences),
                    self._erased(model, [part[i] for part in words], sentences, row)
                    if erasure
                    else None,
                    {name: float(x[i, row.argmax()]) for name, x in opinions.items()},
                )
            )
        return explanations

    def _words(self, batch):
        """The words that are read of a batch, nested lists for each field."""
        tf = tensorflow()
        with tf.device("cpu"):
            texts = tuple(map(as_strings, batch))
            words = self.preprocessor.words(texts if len(texts) > 1 else texts[0])
        parts = words if isinstance(words, tuple) else (words,)
        return [part.to_list() for part in parts]

    def _read(self, model, words):
        """What a model says of words, nested lists for each field."""
        tf = tensorflow()
        levels = self.preprocessor.levels
        with tf.device("cpu"):
            ragged = [
                tf.ragged.constant(part, tf.string, ragged_rank=levels)
                for part in words
            ]
            ids = self.preprocessor.look_up(
                tuple(ragged) if len(ragged) > 1 else ragged[0]
            )
            inputs = self.preprocessor.pad(ids)
        # In NumPy, which every backend takes.
        outputs = model.predict_on_batch(keras.tree.map_structure(np.asarray, inputs))
        return {name: x.astype("float64") for name, x in outputs.items()}

    def _sentences(self, field, text, words, weights):
        """The words of a text with their weights and spans, without the padding."""
        prefix = "" if field == "text" else f"{field}_"
        word_weights = weights.get(f"{prefix}word_weights")
        sentence_weights = weights.get("sentence_weights")
        head = (len(words) + 1) // 2  # of words, or sentences, if the middle is out
        if sentence_weights is None:
            words, sentence_weights = [words], [1.0]
            if word_weights is not None:
                word_weights = [word_weights]
        else:
            head = sum(map(len, words[:head]))
        flat = [word.decode() for sentence in words for word in sentence]
        spans = iter(find_spans(text, flat, self._split, head))
        sentences = []
        for i, sentence in enumerate(words):
            own = np.zeros(len(sentence)) if word_weights is None else word_weights[i]
            tokens = [
                Token(text[start:end], start, end, float(weight))
                for _, weight, (start, end) in zip(sentence, own, spans, strict=False)
            ]
            if tokens:
                sentences.append(Sentence(float(sentence_weights[i]), tokens))
        return sentences

    def _split(self, texts):
        words = self.preprocessor.tokenizer.words(texts)
        return [[word.decode() for word in row] for row in words.to_list()]

    def _erased(self, model, words, sentences, chances):
        """Read a text again without its strongest words, and without others."""
        parts = sentences.values()
        shades = np.array([x for part in parts for one in part for x in one.shares])
        if not len(shades):
            return None
        count = max(1, round(_SHARE * len(shades)))
        order = np.argsort(-shades, kind="stable")
        draw = np.random.default_rng(0)
        others = order[count:] if len(order) >= 2 * count else order
        out = [order[:count]] + [
            draw.choice(others, count, replace=False) for _ in range(_DRAWS)
        ]
        less = [_without(words, set(map(int, places))) for places in out]
        parts = [list(part) for part in zip(*less, strict=True)]  # for each field
        label = chances.argmax()
        kept = softmax(self._read(model, parts)["logits"], axis=-1)[:, label]
        drops = float(chances[label]) - kept
        return Erasure(count, float(drops[0]), float(drops[1:].mean()))


def _of_words(name):
    return name.endswith("word_weights")


def _text(text):
    """A string, of bytes as they are read: what is not UTF-8 parts words."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "surrogateescape")
    return str(text)


def _without(parts, places):
    """Nested lists of words without those at some places, counted through."""
    count = itertools.count()

    def kept(node):
        if node and isinstance(node[0], list):
            return [kept(child) for child in node]
        return [word for word in node if next(count) not in places]

    return [kept(part) for part in parts]


def _cropped(weights, sentences):
    """Arrays of other attention without padding, and the rollout of blocks."""
    lengths = {
        field: sum(len(sentence.tokens) for sentence in part)
        for field, part in sentences.items()
    }
    found = {}
    for name, array in weights.items():
        axes = _AXES.get("block" if name.startswith("block_") else name)
        if axes:
            rows = (slice(lengths.get(axis)) for axis in axes)
            found[name] = array[tuple(rows)]
    blocks = [x for name, x in found.items() if name.startswith("block_")]
    if blocks:
        found["rollout"] = rollout(blocks)
    return found
