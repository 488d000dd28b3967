"""The page that shows attention: explanations to HTML."""

import html
import string

from kattn import html_page

_LEGEND = string.Template("""\
<dl>
<dt>$scale</dt>
<dd>The stronger the colour of a word, the more attention it got: from none to the most
in its text. $shade</dd>
$bars\
$erasure\
</dl>
<p>Words in italics were not read, for long texts are read without their middle.
Attention tells where the model looked. That is not always why it decided as it did:
other weights may give the same answer (Jain and Wallace 2019, arXiv:1902.10186;
Wiegreffe and Pinter 2019, arXiv:1908.04626).</p>""")

_SHADE = """\
The weights of a text's words sum to 1; that of a word shows when the pointer rests on
it, and in the list below the text."""

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

_ERASURE = """\
<dt>Did it matter?</dt>
<dd>Each text was read again without the tenth of its words that got most attention, and
without as many others, drawn at random. Where attention tells why, the first takes far
more off the probability than the second.</dd>
"""

_STRONGEST = 5  # so many words are named above a text
_LISTED = 40  # and in the list below it
_CELLS = 30  # a matrix has at most so many rows and columns

_NAMES = {
    "match": "How well each word of the premise (rows) matches each of the hypothesis",
    "alignment": "What each word of the hypothesis (rows) read of the premise",
}


def page(explanations, labels, title):
    """The page, as a string of HTML.

    Args:
        explanations: A list of `kattn.explanation.Explanation`.
        labels: The true labels by name, or `None`.
        title: The page's heading.

    Returns:
        A string.
    """
    pairs = any(len(one.texts) > 1 for one in explanations)
    kind = "pair" if pairs else "text"
    summary = f"{len(explanations)} {kind}{'s' * (len(explanations) != 1)}"
    if labels is not None:
        both = zip(explanations, labels, strict=True)
        right = sum(one.label == label for one, label in both)
        summary += f", {right} of them predicted as labelled"
    hierarchical = any(
        len(sentences) > 1
        for one in explanations
        for sentences in one.sentences.values()
    )
    shade = _SHADE_BY_LEVELS if hierarchical else _SHADE
    shades = [("none", 0), ("¼", 0.25), ("½", 0.5), ("¾", 0.75), ("most", 1)]
    legend = _LEGEND.substitute(
        scale=" ".join(_mark(word, share) for word, share in shades),
        shade=_SHADE_OF_PAIRS if pairs else shade,
        bars=_BARS if hierarchical else "",
        erasure=_ERASURE if any(one.erasure for one in explanations) else "",
    )
    articles = _articles(explanations, labels)
    return html_page.document(title, f"{summary}.", legend, articles)


def fragment(explanations):
    """The texts alone, as a string of HTML that stands within another page.

    Args:
        explanations: A list of `kattn.explanation.Explanation`.

    Returns:
        A string.
    """
    return html_page.fragment(_articles(explanations, None))


def _articles(explanations, labels):
    labels = labels or [None] * len(explanations)
    several = len(explanations) > 1
    return "\n".join(
        _article(f" {number}" if several else "", one, label)
        for number, (one, label) in enumerate(
            zip(explanations, labels, strict=True), start=1
        )
    )


def _article(number, one, label):
    kind = "Pair" if len(one.texts) > 1 else "Text"
    tokens = [token for field in one.texts for token in one.tokens(field)]
    most = max((token.weight for token in tokens), default=0.0) or 1.0
    parts = [f"<article>\n<h2>{kind}{number} · {_verdict(one, label)}</h2>"]
    parts += [_strongest(tokens), _opinions(one), _erasure(one)]
    if tokens:
        parts.append('<ol lang="">')
        for field in one.texts:
            parts += _lines(one, field, most)
        parts += ["</ol>", _list(tokens)]
    else:
        parts.append("<p>The model read no word in this text.</p>")
    parts += [
        _matrix(_NAMES[name], *_sides(one, name), one.weights[name])
        for name in _NAMES
        if name in one.weights
    ]
    return "\n".join([*filter(None, parts), "</article>"])


def _verdict(one, label):
    said = f"predicted {html.escape(one.label)}, {one.probability:.1%}"
    if label is None:
        return said
    if label == one.label:
        return f"{said} · ✓ as labelled"
    return f"{said} · ✗ labelled {html.escape(label)}"


def _strongest(tokens):
    """The strongest words, for those who cannot see the shades."""
    found = {}
    for token in sorted(tokens, key=lambda token: -token.weight):
        if token.weight > 0:
            found.setdefault(token.text, token.weight)
    listed = ", ".join(
        f"<b>{html.escape(text)}</b> {weight:.2f}"
        for text, weight in list(found.items())[:_STRONGEST]
    )
    return f'<p class="soft">Strongest: {listed}</p>' if listed else ""


def _opinions(one):
    if not one.opinions:
        return ""
    network, ngrams = one.opinions["network"], one.opinions["ngrams"]
    return (
        f'<p class="soft">{html.escape(one.label)} by the network alone, which pays '
        f"this attention: <b>{network:.1%}</b>; by n-grams alone: {ngrams:.1%}</p>"
    )


def _erasure(one):
    if one.erasure is None:
        return ""
    count = one.erasure.count
    words = "its strongest word" if count == 1 else f"its {count} strongest words"
    others = "another" if count == 1 else f"{count} others"
    without, random = (
        one.probability - drop for drop in (one.erasure.drop, one.erasure.random_drop)
    )
    return (
        f'<p class="soft">Without {words}: {html.escape(one.label)} '
        f"<b>{without:.1%}</b>; without {others}, drawn at random: {random:.1%}</p>"
    )


def _lines(one, field, most):
    """The lines of a text: its sentences, or one of a pair, and what was not read."""
    text, sentences = one.texts[field], one.sentences[field]
    weighed = len(sentences) > 1
    heaviest = max((sentence.weight for sentence in sentences), default=0.0) or 1.0
    at = 0
    for i, sentence in enumerate(sentences):
        scale = sentence.weight**0.5 / most
        last = i + 1 == len(sentences)
        end = len(text) if last else max(sentence.tokens[-1].end, at)
        line = _shaded(text, at, end, sentence.tokens, scale)
        at = end
        before = field if len(one.texts) > 1 else ""
        if weighed:
            before = _bar(sentence.weight / heaviest, sentence.weight)
        yield _line(before, line)
    if not sentences:
        yield _line(field, html.escape(text))


def _line(before, words):
    words = f'<span class="words" dir="auto">{words}</span>'
    before = f'<span class="weight">{before}</span>' if before else ""
    return f"<li>{before}{words}</li>"


def _bar(share, weight):
    """A sentence's weight, as a bar and a number."""
    return f'<span class="bar"><i style="--w:{share:.2f}"></i></span>{weight:.2f}'


def _shaded(text, start, end, tokens, scale):
    """The user's own text from start to end, its words shaded."""
    pieces, at = [], start
    for token in tokens:
        if token.start < at:  # it shares its character with the one before
            continue
        pieces.append(_between(text[at : token.start]))
        shade = token.weight * scale
        title = f' title="{token.weight:.3f}"'
        pieces.append(_mark(token.text, shade, title))
        at = token.end
    pieces.append(_between(text[at:end]))
    return "".join(pieces).strip()


def _between(text):
    """What stands between words: spaces, or words that were not read."""
    if len(text.split()) < 3:
        return html.escape(text)
    return f'<span class="left">{html.escape(text)}</span>'


def _mark(word, shade, title=""):
    return f'<mark style="--w:{min(shade, 1):.2f}"{title}>{html.escape(word)}</mark>'


def _list(tokens):
    """The weights as a list, for keyboards and readers of screens."""
    ranked = sorted(tokens, key=lambda token: -token.weight)[:_LISTED]
    listed = ", ".join(
        f"<b>{html.escape(token.text)}</b> {token.weight:.3f}" for token in ranked
    )
    name = "All words by weight" if len(tokens) <= _LISTED else "Words by weight"
    return f"<details><summary>{name}</summary><p>{listed}</p></details>"


def _sides(one, name):
    """The words of a matrix's rows and of its columns."""
    rows, columns = ([token.text for token in one.tokens(x)] for x in one.texts)
    return (columns, rows) if name == "alignment" else (rows, columns)


def _matrix(caption, rows, columns, weights):
    if not rows or not columns or max(len(rows), len(columns)) > _CELLS:
        return ""
    made = html_page.table(rows, columns, weights)
    return f'<details class="wide"><summary>{caption}</summary>\n{made}</details>'
