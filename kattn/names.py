"""Names that users type, and what to say of one that does not exist."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is not among the known ones.

    Args:
        kind: What the name stands for, e.g. `"score"`.
        name: The name received.
        known: All names that would have done.

    Returns:
        A `ValueError`, to be raised by the caller, that offers the nearest name.

    Example:
        >>> print(kattn.names.unknown("score", "dott", ["dot", "additive"]))
        Unknown score. Expected one of: additive, dot. Received: 'dott'.
        Did you mean 'dot'?
    """
    known = sorted(known)
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return ValueError(
        f"Unknown {kind}. Expected one of: {', '.join(known)}. "
        f"Received: {name!r}.{hint}"
    )
