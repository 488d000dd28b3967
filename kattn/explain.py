"""Attention made visible: the weights of a text's words, as data and as a page."""

import dataclasses
import html
import math
import re
import string
from numbers import Integral
from pathlib import Path

import keras
import numpy as np

from kattn.files import replacing
from kattn.models import TextClassifier
from kattn.text.strings import as_strings


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a classifier says of a text, and what it looked at.

    Attributes:
        label: The likeliest class's name, or its number as a string.
        probability: Its probability.
        sentences: A pair `(weight, words)` for each sentence that the model read, in
            order, where `words` are pairs `(word, weight)`. The weights of the
            sentences sum to 1, as do those of a sentence's words. A model that does
            not weigh sentences has all words in one, of weight 1. A text without a
            word has no sentence.
    """

    label: str
    probability: float
    sentences: list[tuple[float, list[tuple[str, float]]]]


def explain(classifier, texts, batch_size=32):
    """Classify texts and tell how much attention each word and sentence got.

    Args:
        classifier: A `kattn.models.TextClassifier` with its preprocessor, whose
            `attention_model()` gives `word_weights`, `(B, S, T)` beside
            `sentence_weights` `(B, S)`, or `(B, T)` alone.
        texts: A list or array of strings.
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
    if "word_weights" not in model.output:
        raise ValueError(
            "Only a model that weighs words can be explained. "
            f"Received: a model that gives {sorted(model.output)}"
        )
    texts = _texts(texts)
    names = classifier.class_names or list(map(str, range(classifier.num_classes)))
    explanations = []
    for start in range(0, len(texts), batch_size):
        words = preprocessor.words(texts[start : start + batch_size])
        inputs = preprocessor.pad(preprocessor.tokenizer.ids(words))
        # In NumPy, which every backend takes.
        inputs = keras.tree.map_structure(np.asarray, inputs)
        outputs = model.predict_on_batch(inputs)
        outputs = {name: x.astype("float64") for name, x in outputs.items()}
        logits = outputs.pop("logits")
        for i, text_words in enumerate(words.to_list()):
            powers = np.exp(logits[i] - logits[i].max())  # (num_classes,)
            weights = {name: x[i] for name, x in outputs.items()}
            explanations.append(
                Explanation(
                    names[powers.argmax()],
                    float(powers.max() / powers.sum()),
                    _sentences(
                        text_words,
                        weights["word_weights"],
                        weights.get("sentence_weights"),
                    ),
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
        texts: A list or array of strings.
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
        if len(labels) != len(texts):
            raise ValueError(
                f"There is one label for each of the {len(texts)} texts. "
                f"Received: {len(labels)} labels"
            )
    page = _page(explain(classifier, texts), labels, title)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _texts(texts):
    if isinstance(texts, str | bytes) or len(texts) == 0:
        raise ValueError(
            "Texts come as a list with at least one, even a single one: [text]. "
            f"Received: {texts!r}"
        )
    strings = as_strings(list(texts))  # (B,)
    if strings.shape.rank != 1:
        raise ValueError(f"Texts are strings, not lists. Received: {texts[0]!r}")
    return strings


def _sentences(words, word_weights, sentence_weights):
    """The words of a text with their weights, without the padding."""
    if sentence_weights is None:
        words, word_weights, sentence_weights = [words], [word_weights], [1.0]
    # Zipped to the shorter one, which is the words: the weights go on for padding.
    return [
        (
            float(weight),
            [(w.decode(), float(p)) for w, p in zip(of_sentence, p_w, strict=False)],
        )
        for weight, of_sentence, p_w in zip(
            sentence_weights, words, word_weights, strict=False
        )
        if of_sentence
    ]


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


# === The page ===

_PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1d2129; --soft: #59626f; --line: #dfe3e8;
  --attention: 235 130 35;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181d; --ink: #eceef1; --soft: #a4acb8; --line: #323943;
    --attention: 160 80 0;
  }
}
body {
  max-width: 56rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.65 system-ui, sans-serif;
}
h1, h2 { line-height: 1.25; margin: 0 0 .5rem; }
h1 { font-size: 1.7rem; }
h2 { font-size: 1.15rem; }
p { margin: .3rem 0; }
section, article {
  margin-top: 2rem; padding-top: 1.2rem; border-top: 1px solid var(--line);
}
section, .strongest, .weight { color: var(--soft); font-size: .875rem; }
section h2, section b, .strongest b { color: var(--ink); }
dl {
  display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1rem; margin: 0;
}
dd { margin: 0; }
.sentences { list-style: none; margin: .8rem 0 0; padding: 0; }
.sentences li { display: flex; align-items: baseline; gap: .9rem; padding: .1rem 0; }
.weight {
  flex: none; width: 6rem; display: flex; align-items: center; gap: .5rem;
  direction: ltr; font-variant-numeric: tabular-nums;
}
.bar { flex: 1; height: .55rem; border-radius: 2px; background: var(--line); }
.bar i {
  display: block; height: 100%; width: calc(var(--w) * 100%);
  border-radius: inherit; background: rgb(var(--attention));
}
.words { flex: 1; min-width: 0; overflow-wrap: anywhere; }
mark {
  padding: .1em .15em; margin: 0 -.08em; border-radius: 3px; color: var(--ink);
  background: rgb(var(--attention) / var(--w));
  -webkit-print-color-adjust: exact; print-color-adjust: exact;
}
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$summary</p>
</header>
<section aria-labelledby="legend">
<h2 id="legend">How to read this page</h2>
<dl>
<dt>$scale</dt>
<dd>The stronger the colour of a word, the more attention it got: from none to the most
in its text. $shade</dd>
$bars\
</dl>
<p>Words stand as the model read them: in one case if it knows no capitals, long texts
without their middle. Attention tells where the model looked. That is not always why it
decided as it did: other weights may give the same answer (Jain and Wallace 2019,
arXiv:1902.10186; Wiegreffe and Pinter 2019, arXiv:1908.04626).</p>
</section>
<main>
$articles
</main>
</body>
</html>
""")

_SHADE = """\
The weights of a text's words sum to 1; that of a word shows when the pointer rests on
it."""

_SHADE_BY_LEVELS = """\
The shade is the word's weight in its sentence times the square root of the sentence's
weight, rescaled in each text. The word's own weight shows when the pointer rests on it;
the weights of a sentence's words sum to 1."""

_BARS = """\
<dt><span class="weight"><span class="bar"><i style="--w:.6"></i></span>0.24</span></dt>
<dd>The bar and the number before a sentence are its weight. The weights of a text's
sentences sum to 1; the heaviest one has the full bar.</dd>
"""

_ARTICLE = string.Template("""\
<article aria-labelledby="text-$number">
<h2 id="text-$number">Text $number · $verdict</h2>
$strongest
$sentences
</article>""")

# What stands close to the word before it, and what to the word after it.
_CLOSE_LEFT = re.compile(
    r"[.,;:!?%)\]}…’”»]|n?'\w|[\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff1f]"
)
_CLOSE_RIGHT = frozenset("([{“«「『（")


def _page(explanations, labels, title):
    labels = labels or [None] * len(explanations)
    summary = f"{len(explanations)} text{'s' * (len(explanations) > 1)}"
    if None not in labels:
        pairs = zip(explanations, labels, strict=True)
        right = sum(explanation.label == label for explanation, label in pairs)
        summary += f", {right} of them predicted as labelled"
    hierarchical = any(len(e.sentences) > 1 for e in explanations)
    scale = [("none", 0), ("¼", 0.25), ("½", 0.5), ("¾", 0.75), ("most", 1)]
    return _PAGE.substitute(
        title=html.escape(title),
        summary=f"{summary}.",
        scale=" ".join(_mark(word, shade) for word, shade in scale),
        shade=_SHADE_BY_LEVELS if hierarchical else _SHADE,
        bars=_BARS if hierarchical else "",
        articles="\n".join(
            _article(number, explanation, label)
            for number, (explanation, label) in enumerate(
                zip(explanations, labels, strict=True), start=1
            )
        ),
    )


def _article(number, explanation, label):
    sentences = explanation.sentences
    shades = [
        (math.sqrt(p_s) * p_w, word, p_w)
        for p_s, words in sentences
        for word, p_w in words
    ]
    most = max((shade for shade, _, _ in shades), default=0.0) or 1.0
    heaviest = max((p_s for p_s, _ in sentences), default=0.0) or 1.0
    lines = []
    for p_s, words in sentences:
        line = _words(words, math.sqrt(p_s) / most)
        line = f'<span class="words" dir="auto">{line}</span>'
        if len(sentences) > 1:  # the weight of a single one says nothing
            bar = f'<span class="bar"><i style="--w:{p_s / heaviest:.2f}"></i></span>'
            line = f'<span class="weight">{bar}{p_s:.2f}</span>{line}'
        lines.append(f"<li>{line}</li>")
    return _ARTICLE.substitute(
        number=number,
        verdict=_verdict(explanation, label),
        strongest=_strongest(shades),
        sentences='<ol class="sentences" lang="">\n' + "\n".join(lines) + "\n</ol>"
        if lines
        else "<p>The model read no word in this text.</p>",
    )


def _verdict(explanation, label):
    said = f"predicted {html.escape(explanation.label)}, {explanation.probability:.1%}"
    if label is None:
        return said
    if label == explanation.label:
        return f"{said} · ✓ as labelled"
    return f"{said} · ✗ labelled {html.escape(label)}"


def _strongest(shades, count=5):
    """The strongest words with their weights, for those who cannot see the shades."""
    strongest = {}
    for _, word, p_w in sorted(shades, key=lambda x: -x[0]):
        strongest.setdefault(word, p_w)
    listed = [
        f"<b>{html.escape(word)}</b> {p_w:.2f}"
        for word, p_w in list(strongest.items())[:count]
    ]
    return f'<p class="strongest">Strongest: {", ".join(listed)}</p>' if listed else ""


def _words(words, scale):
    """The words of a sentence, shaded."""
    pieces = []
    for i, (word, weight) in enumerate(words):
        close = _CLOSE_LEFT.match(word) or words[i - 1][0] in _CLOSE_RIGHT
        pieces.append(" " if i and not close else "")
        pieces.append(_mark(word, weight * scale, f' title="{weight:.3f}"'))
    return "".join(pieces)


def _mark(word, shade, title=""):
    return f'<mark style="--w:{shade:.2f}"{title}>{html.escape(word)}</mark>'
