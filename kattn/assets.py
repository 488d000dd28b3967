"""Where trained models and corpus descriptions lie: in the wheel or the checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folders(kind: str) -> dict[str, Path]:
    """All folders of one kind that came with kattn, by name.

    Args:
        kind: `"models"` (presets) or `"datasets"` (corpora).

    Returns:
        Folder name to path, sorted. A wheel carries them as `kattn/_assets/<kind>/`,
        a checkout as `<root>/<kind>/`.
    """
    roots = [_PACKAGE / "_assets" / kind]
    # Beside an installed kattn, `datasets` is another package's folder.
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        roots.append(_PACKAGE.parent / kind)
    for root in roots:
        if root.is_dir():
            return {p.name: p for p in sorted(root.iterdir()) if _is_asset(p)}
    return {}


def _is_asset(path):
    return path.is_dir() and not path.name.startswith((".", "_"))
