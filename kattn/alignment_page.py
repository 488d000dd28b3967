"""The page that shows alignments: what was read as each token was written."""

import html

from kattn import html_page

_LEGEND = """\
<p>A row for each token that was written, a column for each of the source. The stronger
the colour of a cell, the more attention the column's token got as the row's was
written; the number is its share, of which less than .005 is not shown.</p>"""

_BESIDE = """\
<style>
.kattn { max-width: 90rem; }
.kattn .beside { display: flex; flex-wrap: wrap; gap: 1.5rem; }
.kattn .beside > div { max-width: 100%; }
.kattn td:hover { outline: 2px solid var(--ink); }
</style>"""


def page(models, title):
    """The page, as a string of HTML.

    Args:
        models: Name to `kattn.alignment.Alignments`, of the same sources for each.
        title: The page's heading.
    """
    count = len(next(iter(models.values()), []))
    summary = f"{count} source{'s' * (count != 1)}"
    if len(models) > 1:
        summary += f", read by {len(models)} models"
    return html_page.document(title, f"{summary}.", _LEGEND, _articles(models))


def fragment(models):
    """The alignments alone, as a string of HTML that stands within another page.

    Args:
        models: As for `page`.
    """
    return html_page.fragment(_articles(models))


def _articles(models):
    names = list(models)
    return "\n".join(
        [
            _BESIDE,
            *(_article(names, some) for some in zip(*models.values(), strict=True)),
        ]
    )


def _article(names, alignments):
    shown = "\n".join(map(_one, names, alignments))
    source = html.escape(alignments[0].source)
    return (
        f'<article>\n<h2 lang="" dir="auto">{source}</h2>\n'
        f'<div class="beside">\n{shown}\n</div>\n</article>'
    )


def _one(name, alignment):
    before = f"{html.escape(name)}: " if name else ""
    said = (
        f'<p>{before}<b lang="" dir="auto">{html.escape(alignment.text)}</b> '
        f'<span class="soft">score {alignment.score:.2f}</span></p>'
    )
    if not alignment.weights.size:
        return f"<div>{said}<p>Nothing was written.</p></div>"
    table = html_page.table(
        alignment.tokens,
        alignment.source_tokens,
        alignment.weights,
        lambda row, column, weight: f"{row} ← {column}: {weight:.3f}",
    )
    return f'<div>{said}\n<div class="wide">{table}</div></div>'
