"""What all pages of kattn share: their looks, their frame, and tables of weights."""

import html
import string

STYLE = """\
.kattn {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1d2129; --soft: #59626f; --line: #dfe3e8;
  --attention: 235 130 35;
  max-width: 56rem; padding: .1rem 1rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.65 system-ui, sans-serif;
}
@media (prefers-color-scheme: dark) {
  .kattn {
    --page: #15181d; --ink: #eceef1; --soft: #a4acb8; --line: #323943;
    --attention: 160 80 0;
  }
}
.kattn h1, .kattn h2 { line-height: 1.25; margin: 0 0 .5rem; }
.kattn h1 { font-size: 1.7rem; }
.kattn h2 { font-size: 1.15rem; }
.kattn p { margin: .3rem 0; }
.kattn section, .kattn article + article, .kattn main {
  margin-top: 2rem; padding-top: 1.2rem; border-top: 1px solid var(--line);
}
.kattn section, .kattn .soft, .kattn .weight, .kattn details {
  color: var(--soft); font-size: .875rem;
}
.kattn section h2, .kattn b { color: var(--ink); }
.kattn dl {
  display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1rem; margin: 0;
}
.kattn dd { margin: 0; }
.kattn ol { list-style: none; margin: .8rem 0 0; padding: 0; }
.kattn li { display: flex; align-items: baseline; gap: .9rem; padding: .1rem 0; }
.kattn .weight {
  flex: none; width: 6rem; display: flex; align-items: center; gap: .5rem;
  direction: ltr; font-variant-numeric: tabular-nums;
}
.kattn .bar {
  flex: 1; height: .55rem; border-radius: 2px; background: var(--line);
}
.kattn .bar i {
  display: block; height: 100%; width: calc(var(--w) * 100%);
  border-radius: inherit; background: rgb(var(--attention));
}
.kattn .words { flex: 1; min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.kattn mark, .kattn td {
  color: var(--ink); background: rgb(var(--attention) / var(--w));
  -webkit-print-color-adjust: exact; print-color-adjust: exact;
}
.kattn mark { padding: .1em 0; border-radius: 3px; }
.kattn .left { color: var(--soft); font-style: italic; }
.kattn summary { cursor: pointer; }
.kattn .wide { overflow-x: auto; margin: .6rem 0; }
.kattn table { border-collapse: collapse; font-size: .8rem; }
.kattn th { font-weight: normal; padding: .1rem .4rem; text-align: right; }
.kattn thead td { border: 0; background: none; }
.kattn thead th { text-align: center; vertical-align: bottom; }
.kattn thead .long {
  writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
}
.kattn td {
  min-width: 1.3rem; padding: .1rem .2rem; border: 1px solid var(--line);
  text-align: center;
  font-variant-numeric: tabular-nums;
}
"""

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
$style
:root { color-scheme: light dark; }
body { margin: 0; background: #ffffff; }
@media (prefers-color-scheme: dark) { body { background: #15181d; } }
.kattn { margin: 2rem auto; }
</style>
</head>
<body>
<div class="kattn">
<header>
<h1>$title</h1>
<p>$summary</p>
</header>
<section aria-labelledby="legend">
<h2 id="legend">How to read this page</h2>
$legend
</section>
<main>
$articles
</main>
</div>
</body>
</html>
""")


def document(title, summary, legend, articles) -> str:
    """A page that needs neither scripts nor a network.

    Args:
        title: Its heading, as text; the others are HTML.
        summary: What stands below it.
        legend: How it is read.
        articles: What it shows.
    """
    return _PAGE.substitute(
        title=html.escape(title),
        style=STYLE,
        summary=summary,
        legend=legend,
        articles=articles,
    )


def fragment(articles) -> str:
    """What stands within another page, such as a notebook's."""
    return f'<style>{STYLE}</style>\n<div class="kattn">\n{articles}\n</div>'


def table(rows, columns, weights, hint=None) -> str:
    """A matrix of weights: its cells shaded, the strongest one most.

    Args:
        rows: The words of the rows.
        columns: Those of the columns.
        weights: Array `(rows, columns)`.
        hint: Function of a row's word, a column's and their weight to what a cell says
            when the pointer rests on it; `None` for nothing.
    """
    most = weights.max() or 1.0

    def cell(row, column, weight):
        title = f' title="{html.escape(hint(row, column, weight))}"' if hint else ""
        # Narrow, and without a crowd of zeros: 0.55 is .55, and 0.00 nothing.
        shown = f"{weight:.2f}".removeprefix("0") if abs(weight) >= 0.005 else ""
        return f'<td style="--w:{weight / most:.2f}"{title}>{shown}</td>'

    # Letters stand upright; words would make the columns wide.
    turned = ' class="long"' if any(len(x) > 3 for x in columns) else ""
    head = "".join(f'<th scope="col"{turned}>{html.escape(x)}</th>' for x in columns)
    body = "\n".join(
        f'<tr><th scope="row">{html.escape(word)}</th>'
        + "".join(cell(word, x, weight) for x, weight in zip(columns, row, strict=True))
        + "</tr>"
        for word, row in zip(rows, weights, strict=True)
    )
    return (
        f"<table>\n<thead><tr><td></td>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )
