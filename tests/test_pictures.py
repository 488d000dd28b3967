"""The pictures of a run show its figures."""

from matplotlib import image

from kattn import pictures, report

HISTORY = [
    {"epoch": i, "loss": 1 / (i + 1), "accuracy": 0.6 + 0.1 * i}
    | {"val_loss": 0.5, "val_accuracy": 0.7}
    for i in range(3)
]


def drawn(monkeypatch, draw, *arguments):
    """The figure that is written."""
    figures = []
    monkeypatch.setattr(pictures, "_write", lambda figure, path: figures.append(figure))
    draw(*arguments, "x.png")
    return figures[0]


def test_the_curves_are_those_of_the_history(monkeypatch):
    loss, accuracy = drawn(monkeypatch, pictures.learning_curves, HISTORY, 1).axes
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        training, validation, kept = axes.lines
        assert list(training.get_xdata()) == [1, 2, 3]
        assert list(training.get_ydata()) == [row[name] for row in HISTORY]
        assert list(validation.get_ydata()) == [row[f"val_{name}"] for row in HISTORY]
        assert kept.get_xdata()[0] == 2


def test_the_matrix_has_its_counts_and_names(monkeypatch):
    figures = report.figures([0, 0, 1, 2], [0, 1, 1, 2], ["a", "b", "$c"])
    figure = drawn(monkeypatch, pictures.confusion, figures)
    counts = [text.get_text() for text in figure.axes[0].texts]
    assert counts == ["1", "1", "0", "0", "1", "0", "0", "0", "1"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["a", "b", "$c"]


def test_they_are_written_as_png(tmp_path):
    pictures.learning_curves(HISTORY[:1], 0, tmp_path / "curves.png")
    names = [f"class {i}" for i in range(30)]
    figures = report.figures(list(range(30)), list(range(30)), names)
    pictures.confusion(figures, tmp_path / "confusion.png")
    for path in tmp_path.iterdir():
        height, width, _ = image.imread(path).shape
        assert height > 400 and width > 400
