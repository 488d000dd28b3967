"""What a run tells its user: the data at hand, and how well the model does."""

import json
import math

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.metrics import classification_report, confusion_matrix


def show_corpus(corpus, console: Console) -> None:
    """Print a corpus's splits by class, and its notes.

    Args:
        corpus: A `kattn.datasets.Corpus`.
        console: Where to print.
    """
    table = Table(title=f"Corpus {corpus.name}", box=box.SIMPLE, title_justify="left")
    table.add_column("class")
    for name in ("train", "validation", "test"):
        table.add_column(name, justify="right")
    splits = (corpus.train, corpus.validation, corpus.test)
    counts = [np.bincount(s.labels, minlength=len(corpus.class_names)) for s in splits]
    shown = range(min(len(corpus.class_names), 20))
    for i in shown:
        table.add_row(corpus.class_names[i], *(f"{c[i]:,}" for c in counts))
    if len(shown) < len(corpus.class_names):
        table.add_row(f"... {len(corpus.class_names) - len(shown)} more", "", "", "")
    table.add_row("all", *(f"{len(s):,}" for s in splits), style="bold")
    console.print(table)
    for note in corpus.notes:
        console.print(f"- {note}", style="dim")


def figures(labels, predicted, class_names) -> dict:
    """Accuracy, macro-F1, the figures of each class, and the confusion matrix.

    Args:
        labels: True classes `(N,)`.
        predicted: Predicted classes `(N,)`.
        class_names: Names of the classes.

    Returns:
        A dictionary for metrics.json: fractions, and counts in the matrix, whose rows
        are the true classes.
    """
    numbers = range(len(class_names))
    found = classification_report(
        labels,
        predicted,
        labels=numbers,
        target_names=class_names,
        output_dict=True,
        zero_division=0.0,
    )
    return {
        "examples": len(labels),
        "accuracy": float(np.mean(np.equal(labels, predicted))),
        "macro_f1": found["macro avg"]["f1-score"],
        "per_class": {name: found[name] for name in class_names},
        "confusion": confusion_matrix(labels, predicted, labels=numbers).tolist(),
    }


def show_seeds(metrics: dict, console: Console) -> None:
    """Print what the seeds of a recipe gave, and what a plain model gets.

    Args:
        metrics: What is written to metrics.json.
        console: Where to print.
    """
    table = Table(title="Accuracy, by seed", box=box.SIMPLE, title_justify="left")
    for column in ("seed", "validation", "test"):
        table.add_column(column, justify="right")
    for seed, one in metrics["seeds"].items():
        table.add_row(seed, *(f"{one[split]:.4f}" for split in ("validation", "test")))
    console.print(table)
    plain = metrics["baseline"]
    console.print(
        f"[bold]mean test accuracy {metrics['mean']:.4f}[/], standard deviation "
        f"{metrics['standard_deviation']:.4f}; kept: seed {metrics['seed']}\n"
        f"{plain['method']}: {plain['accuracy']:.4f}"
    )


def show_figures(test: dict, console: Console) -> None:
    """Print what `figures` gave: a line, a table of classes, the confusion matrix.

    Args:
        test: The dictionary of `figures`.
        console: Where to print.
    """
    names = list(test["per_class"])
    table = Table(title="Test, by class", box=box.SIMPLE, title_justify="left")
    table.add_column("class")
    for column in ("precision", "recall", "f1-score", "support"):
        table.add_column(column, justify="right")
    for name in names:
        row = test["per_class"][name]
        table.add_row(
            name,
            *(f"{row[c]:.3f}" for c in ("precision", "recall", "f1-score")),
            f"{row['support']:.0f}",
        )
    console.print(table)
    if len(names) <= 12:
        matrix = Table(
            title="Confusion (rows: true, columns: predicted)",
            box=box.SIMPLE,
            title_justify="left",
        )
        matrix.add_column("")
        for name in names:
            matrix.add_column(name, justify="right")
        for name, row in zip(names, test["confusion"], strict=True):
            matrix.add_row(name, *(str(count) for count in row))
        console.print(matrix)
    console.print(
        f"[bold]test accuracy {test['accuracy']:.4f}, "
        f"macro-F1 {test['macro_f1']:.4f}[/] on {test['examples']:,} texts"
    )


def show_recorded(file, figures: dict, console: Console) -> None:
    """Print what a run recorded of a test split, and whether it is what was found.

    Args:
        file: Its metrics.json.
        figures: What was found now: `examples` and `accuracy`.
        console: Where to print.
    """
    expected = json.loads(file.read_text(encoding="utf-8"))["test"]
    same = expected["examples"] == figures["examples"] and math.isclose(
        expected["accuracy"], figures["accuracy"], abs_tol=0.5 / figures["examples"]
    )
    console.print(
        f"recorded: {expected['accuracy']:.4f} on {expected['examples']:,} texts; "
        + ("the same." if same else "[bold]not the same.[/]")
    )
