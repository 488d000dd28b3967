"""kattn: a Keras 3 model zoo of attention for text."""

from kattn import datasets, layers, losses, models, normalizers, regions, scores, text
from kattn.attend import attend
from kattn.listing import presets
from kattn.serving import export
from kattn.version import __version__

__all__ = [
    "__version__",
    "attend",
    "datasets",
    "export",
    "layers",
    "losses",
    "models",
    "normalizers",
    "presets",
    "regions",
    "scores",
    "text",
]
