"""The files of a run that its kind does not matter for."""

import csv
import importlib.metadata
import json
import platform
from pathlib import Path

import keras

from kattn.files import replacing
from kattn.version import __version__


def new_folder(model: str, dataset: str, output=None) -> Path:
    """A folder for a run that is not there yet, or is empty.

    Args:
        model: The model's name.
        dataset: The corpus's name or file.
        output: The folder asked for; `runs/<model>-<dataset>` if `None`.

    Returns:
        Its path.

    Raises:
        ValueError: If the folder asked for is not empty.
    """
    if output is not None:
        folder = Path(output)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(
                f"The output folder {output!r} is not empty. Choose another, or go on "
                f"with its run by --resume {output}"
            )
        return folder
    name = f"{model}-{Path(dataset.split('://')[-1]).stem}"
    number = 1
    while (
        folder := Path("runs", name if number == 1 else f"{name}-{number}")
    ).exists():
        number += 1
    return folder


def write_metrics(metrics: dict, folder: Path) -> None:
    """Write `metrics.json`, whole or not at all."""
    with replacing(folder / "metrics.json") as path:
        path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def write_history(history: list[dict], path: Path) -> None:
    """Write a row for each epoch, as CSV."""
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=history[0])
        writer.writeheader()
        writer.writerows(history)


def versions() -> dict[str, str]:
    """The versions of what a run was computed with."""
    packages = ("keras", "keras-hub", "tensorflow", "tensorflow-text", "numpy")
    return {
        "kattn": __version__,
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
