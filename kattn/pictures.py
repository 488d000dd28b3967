"""Pictures of a run: how it learned, and which classes it takes for which."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from kattn.files import replacing

_COUNTED = 25  # more classes than this have no number in each cell


def learning_curves(history, best, path) -> None:
    """Draw loss and accuracy by epoch, of training and of validation.

    Args:
        history: A dictionary for each epoch, as in history.csv.
        best: The number of the epoch that was kept, from 0.
        path: The PNG to write.
    """
    figure = Figure((9, 3.6), layout="constrained")
    epochs = [row["epoch"] + 1 for row in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label, style in (
            (name, "training", "o--"),
            (f"val_{name}", "validation", "o-"),
        ):
            axes.plot(epochs, [row[key] for row in history], style, label=label)
        axes.axvline(epochs[best], color="grey", linewidth=0.8, label="kept")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    _write(figure, path)


def confusion(figures, path) -> None:
    """Draw a confusion matrix: rows are the true classes, and sum to their number.

    Args:
        figures: What `kattn.report.figures` gives.
        path: The PNG to write.
    """
    counts = np.array(figures["confusion"])
    names = list(figures["per_class"])
    size = max(4.0, 1.5 + 0.55 * len(names))
    figure = Figure((size + 1, size), layout="constrained")
    display = ConfusionMatrixDisplay(counts, display_labels=names)
    display.plot(
        ax=figure.subplots(),
        cmap="Blues",
        include_values=len(names) <= _COUNTED,
        xticks_rotation="vertical" if len(names) > 3 else "horizontal",
        values_format="d",
    )
    display.ax_.set_title(f"test split, {figures['accuracy']:.1%} right")
    _write(figure, path)


def _write(figure, path):
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
