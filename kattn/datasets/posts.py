"""What the writer of a Usenet post wrote in it: no header and no quotation."""

import re

# "In article <1993Apr5@host> someone writes:" and the lines that are quoted after it.
_QUOTED = re.compile(
    r"writes in|writes:|wrote:|says:|said:|^In article|^Quoted from|^\||^>"
)


def body(post: str) -> str:
    r"""A post without what gives its group away, as scikit-learn leaves it.

    The header ends at the first empty line. The signature begins at the last line of
    nothing or of hyphens alone, if that is not the first. Of quotations, and of the
    lines that bring them in, nothing is left.

    Args:
        post: The post as it was sent.

    Returns:
        What is left, which may be nothing.

    Example:
        >>> body("From: me\n\nBob wrote:\n> Is it?\nIt is.\n--\nMe, of Here")
        'It is.'
    """
    _, _, text = post.partition("\n\n")
    kept = [line for line in _unsigned(text).split("\n") if not _QUOTED.search(line)]
    return "\n".join(kept)


def _unsigned(text):
    lines = text.strip().split("\n")
    for i in range(len(lines) - 1, 0, -1):
        if not lines[i].strip().strip("-"):
            return "\n".join(lines[:i])
    return text
