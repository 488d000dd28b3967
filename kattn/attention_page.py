"""The page that shows attention: explanations to HTML."""

import dataclasses
import html
import math
import re
import string


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
        pair: Of a pair of texts, in place of sentences: `premise` and `hypothesis`,
            each with its pairs `(word, weight)`. The weights of a text sum to 1, or are
            0 where the model weighs the other text alone.
    """

    label: str
    probability: float
    sentences: list[tuple[float, list[tuple[str, float]]]]
    pair: dict[str, list[tuple[str, float]]] = dataclasses.field(default_factory=dict)


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

_SHADE_OF_PAIRS = """\
The weights of either text's words sum to 1; that of a word shows when the pointer rests
on it. A model that weighs one of the texts alone leaves the other without colour."""

_BARS = """\
<dt><span class="weight"><span class="bar"><i style="--w:.6"></i></span>0.24</span></dt>
<dd>The bar and the number before a sentence are its weight. The weights of a text's
sentences sum to 1; the heaviest one has the full bar.</dd>
"""

_ARTICLE = string.Template("""\
<article aria-labelledby="text-$number">
<h2 id="text-$number">$kind $number · $verdict</h2>
$strongest
$sentences
</article>""")

# What stands close to the word before it, and what to the word after it.
_CLOSE_LEFT = re.compile(
    r"[.,;:!?%)\]}…’”»]|n?'\w|[\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff1f]"
)
_CLOSE_RIGHT = frozenset("([{“«「『（")


def page(explanations, labels, title):
    """The page, as a string of HTML.

    Args:
        explanations: A list of `Explanation`.
        labels: The true labels by name, or `None`.
        title: The page's heading.

    Returns:
        A string.
    """
    labels = labels or [None] * len(explanations)
    kind = "pair" if any(e.pair for e in explanations) else "text"
    summary = f"{len(explanations)} {kind}{'s' * (len(explanations) > 1)}"
    if None not in labels:
        pairs = zip(explanations, labels, strict=True)
        right = sum(explanation.label == label for explanation, label in pairs)
        summary += f", {right} of them predicted as labelled"
    hierarchical = any(len(e.sentences) > 1 for e in explanations)
    scale = [("none", 0), ("¼", 0.25), ("½", 0.5), ("¾", 0.75), ("most", 1)]
    shade = _SHADE_BY_LEVELS if hierarchical else _SHADE
    if kind == "pair":
        shade = _SHADE_OF_PAIRS
    return _PAGE.substitute(
        title=html.escape(title),
        summary=f"{summary}.",
        scale=" ".join(_mark(word, shade) for word, shade in scale),
        shade=shade,
        bars=_BARS if hierarchical else "",
        articles="\n".join(
            _article(number, explanation, label)
            for number, (explanation, label) in enumerate(
                zip(explanations, labels, strict=True), start=1
            )
        ),
    )


def _article(number, explanation, label):
    # Lines of a sentence, or of one of a pair: what stands before it, its weight and
    # its words.
    if explanation.pair:
        lines = [(name, 1.0, words) for name, words in explanation.pair.items()]
    else:
        heaviest = max((p_s for p_s, _ in explanation.sentences), default=0.0) or 1.0
        lines = [
            (_bar(p_s, heaviest) if len(explanation.sentences) > 1 else "", p_s, words)
            for p_s, words in explanation.sentences
        ]
    shades = [
        (math.sqrt(p_s) * p_w, word, p_w)
        for _, p_s, words in lines
        for word, p_w in words
    ]
    most = max((shade for shade, _, _ in shades), default=0.0) or 1.0
    items = []
    for before, p_s, words in lines:
        line = _words(words, math.sqrt(p_s) / most)
        line = f'<span class="words" dir="auto">{line}</span>'
        if before:
            line = f'<span class="weight">{before}</span>{line}'
        items.append(f"<li>{line}</li>")
    return _ARTICLE.substitute(
        kind="Pair" if explanation.pair else "Text",
        number=number,
        verdict=_verdict(explanation, label),
        strongest=_strongest(shades),
        sentences='<ol class="sentences" lang="">\n' + "\n".join(items) + "\n</ol>"
        if shades
        else "<p>The model read no word in this text.</p>",
    )


def _bar(weight, heaviest):
    """A sentence's weight, as a bar and a number."""
    share = weight / heaviest
    return f'<span class="bar"><i style="--w:{share:.2f}"></i></span>{weight:.2f}'


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
        if p_w > 0:
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
