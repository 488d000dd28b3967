"""What a model wrote, and which part of the source it read for each token."""

import dataclasses
from pathlib import Path

import numpy as np

from kattn import alignment_page, attention_plot
from kattn.files import replacing


@dataclasses.dataclass(frozen=True, eq=False)
class Alignment:
    """A text that a model wrote, and what it read as it wrote each token.

    In a notebook it shows itself.

    Attributes:
        source: The string as it was given.
        text: The string that was written.
        score: Its score, as `AttentionSeq2Seq.search` gives it.
        source_tokens: The N tokens that were read.
        tokens: The M tokens that were written.
        weights: Array `(M, N)`: the attention that each token of the source got as each
            token was written. Rows sum to 1, or less where hard attention read nothing.
    """

    source: str
    text: str
    score: float
    source_tokens: list[str]
    tokens: list[str]
    weights: np.ndarray

    def to_html(self, path):
        """Write a page of this alignment; see `Alignments.to_html`."""
        return Alignments([self]).to_html(path)

    def plot(self):
        """Draw the matrix with Matplotlib.

        Returns:
            A `matplotlib.figure.Figure`.
        """
        title = f"{self.source} → {self.text}"
        return attention_plot.matrix(
            self.weights, self.source_tokens, self.tokens, title
        )

    def _repr_html_(self):
        return Alignments([self])._repr_html_()


class Alignments(list):
    """A list with an `Alignment` for each source. In a notebook it shows itself."""

    def to_html(self, path, title="Alignments"):
        """Write a page with the matrix of each; see `compare`."""
        return compare({"": self}, path, title)

    def _repr_html_(self):
        return alignment_page.fragment({"": self})


def compare(models, path, title="Alignments"):
    """Write a page that shows what several models read, side by side.

    The page is one file that needs neither scripts nor a network.

    Args:
        models: A dictionary of what a model is called to its `Alignments`, of the same
            sources for each.
        path: The file to write; a former one is replaced.
        title: The page's heading.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ValueError: If the sources are not the same.

    Example:
        A page with a model of global and one of monotonic attention:

            words = ["attention", "knight"]
            compare(
                {"global": one.explain(words), "monotonic": other.explain(words)},
                "alignments.html",
            )
    """
    path = Path(path)
    sources = {
        name: [alignment.source for alignment in alignments]
        for name, alignments in models.items()
    }
    first = next(iter(sources), None)
    for name, some in sources.items():
        if some != sources[first]:
            raise ValueError(
                "Models are compared on the same sources. "
                f"Received: {first!r} with {sources[first]}, {name!r} with {some}"
            )
    text = alignment_page.page(models, title)
    with replacing(path) as temporary:
        # The tokens of a text may hold halves of surrogates, which are no UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path
