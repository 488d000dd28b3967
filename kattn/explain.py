"""Attention made visible: the weights of a text's words, as data and as a page."""

from numbers import Integral
from pathlib import Path

import keras
import numpy as np

from kattn.attention_page import Explanation, page
from kattn.files import replacing
from kattn.models import TextClassifier, TextPairClassifier
from kattn.models.preprocessors import pair
from kattn.text.strings import as_strings


def weighs_words(classifier):
    """Whether a classifier has attention to show: some poolings have none.

    Args:
        classifier: A `kattn.models.TextClassifier`.

    Returns:
        A boolean.
    """
    return _weighs(classifier.attention_model())


def _weighs(model):
    return any(name.endswith("word_weights") for name in model.output)


def explain(classifier, texts, batch_size=32):
    """Classify texts and tell how much attention each word and sentence got.

    Args:
        classifier: A `kattn.models.TextClassifier` with its preprocessor, whose
            `attention_model()` gives `word_weights`, `(B, S, T)` beside
            `sentence_weights` `(B, S)`, or `(B, T)` alone. Of pairs they are
            `premise_word_weights` and `hypothesis_word_weights`, or one of the two.
        texts: A list or array of strings; for a classifier of pairs `(premises,
            hypotheses)`.
        batch_size: Texts a batch.

    Returns:
        A list with an `Explanation` for each text.

    Raises:
        TypeError: If `classifier` is not one of kattn's.
        ValueError: If it has no preprocessor or does not weigh words, or if `texts` is
            no list of strings or empty.
    """
    if not isinstance(classifier, TextClassifier):
        raise TypeError(
            "Only classifiers of kattn.models can be explained. "
            f"Received: {classifier!r} ({type(classifier).__name__})"
        )
    preprocessor = classifier.preprocessor
    if preprocessor is None:
        raise ValueError(
            "Explaining texts takes a preprocessor. "
            "Received: a classifier with preprocessor=None"
        )
    model = classifier.attention_model()
    if not _weighs(model):
        raise ValueError(
            "Only a model that weighs words can be explained. "
            f"Received: a model that gives {sorted(model.output)}"
        )
    fields = _texts(classifier, texts)  # one tensor of strings, or two
    names = classifier.class_names or list(map(str, range(classifier.num_classes)))
    explanations = []
    for start in range(0, len(fields[0]), batch_size):
        batch = tuple(part[start : start + batch_size] for part in fields)
        words = preprocessor.words(batch if len(batch) > 1 else batch[0])
        inputs = preprocessor.pad(preprocessor.look_up(words))
        # In NumPy, which every backend takes.
        inputs = keras.tree.map_structure(np.asarray, inputs)
        outputs = model.predict_on_batch(inputs)
        outputs = {name: x.astype("float64") for name, x in outputs.items()}
        logits = outputs.pop("logits")
        words = [part.to_list() for part in (words if len(batch) > 1 else (words,))]
        for i, row in enumerate(logits):
            powers = np.exp(row - row.max())  # (num_classes,)
            weights = {name: x[i] for name, x in outputs.items()}
            read = [part[i] for part in words]
            explanations.append(
                Explanation(
                    names[powers.argmax()],
                    float(powers.max() / powers.sum()),
                    _sentences(read[0], weights) if len(read) == 1 else [],
                    _pair(preprocessor.fields, read, weights) if len(read) > 1 else {},
                )
            )
    return explanations


def write_html(classifier, texts, path, labels=None, title="Attention"):
    """Write a page that shows texts with their words shaded by attention.

    A word's shade is `sqrt(p_s) * p_w`, the weights of its sentence and of the word in
    it, as in the paper on hierarchical attention: the square root keeps the words of
    lesser sentences in view. It is rescaled in each text, whose strongest word has the
    full colour. The page is one file that needs neither scripts nor a network.

    Args:
        classifier: As for `explain`.
        texts: Likewise.
        path: The file to write; a former one is replaced.
        labels: The true labels, by number or by name, or `None`.
        title: The page's heading.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        TypeError: As `explain`.
        ValueError: As `explain`; if texts and labels differ in number, or if a label is
            not one of the classes.

    Reference:
        Yang et al. 2016, Hierarchical Attention Networks for Document Classification,
        section 3.6.
    """
    path = Path(path)
    if labels is not None:
        labels = [_label(label, classifier) for label in labels]
    explanations = explain(classifier, texts)
    if labels is not None and len(labels) != len(explanations):
        raise ValueError(
            f"There is one label for each of the {len(explanations)} texts. "
            f"Received: {len(labels)} labels"
        )
    with replacing(path) as temporary:
        temporary.write_text(page(explanations, labels, title), encoding="utf-8")
    return path


def _texts(classifier, texts):
    """The strings of every field, `(N,)` each."""
    if not isinstance(classifier, TextPairClassifier):
        return (_strings(texts),)
    fields = tuple(map(_strings, pair(texts)))
    if len(fields[0]) != len(fields[1]):
        raise ValueError(
            "There is one hypothesis for each premise. Received: "
            f"{len(fields[0])} premises, {len(fields[1])} hypotheses"
        )
    return fields


def _strings(texts):
    if isinstance(texts, str | bytes) or len(texts) == 0:
        raise ValueError(
            "Texts come as a list with at least one, even a single one: [text]. "
            f"Received: {texts!r}"
        )
    strings = as_strings(list(texts))  # (B,)
    if strings.shape.rank != 1:
        raise ValueError(f"Texts are strings, not lists. Received: {texts[0]!r}")
    return strings


def _sentences(words, weights):
    """The words of a text with their weights, without the padding."""
    word_weights = weights["word_weights"]
    sentence_weights = weights.get("sentence_weights")
    if sentence_weights is None:
        words, word_weights, sentence_weights = [words], [word_weights], [1.0]
    # Zipped to the shorter one, which is the words: the weights go on for padding.
    return [
        (float(weight), _weighed(of_sentence, p_w))
        for weight, of_sentence, p_w in zip(
            sentence_weights, words, word_weights, strict=False
        )
        if of_sentence
    ]


def _pair(fields, words, weights):
    """The words of both texts with their weights; 0 in one that is not weighed."""
    return {
        field: _weighed(
            of_text, weights.get(f"{field}_word_weights", np.zeros(len(of_text)))
        )
        for field, of_text in zip(fields, words, strict=True)
    }


def _weighed(words, weights):
    return [(w.decode(), float(p)) for w, p in zip(words, weights, strict=False)]


def _label(label, classifier):
    """A label as the name that `explain` gives it."""
    names = classifier.class_names or list(map(str, range(classifier.num_classes)))
    if isinstance(label, Integral) and 0 <= label < len(names):
        return names[label]
    if label not in names:
        raise ValueError(
            f"Labels are integers from 0 to {len(names) - 1}, or among {names}. "
            f"Received: {label!r}"
        )
    return str(label)
