"""A trained classifier on a corpus's test split, and what was recorded of it."""

from pathlib import Path

from rich.console import Console

from kattn import building, recipe, report, seq2seq_evaluation
from kattn.models.presets import locate
from kattn.models.text_classifier import TextClassifier
from kattn.recipe import Recipe
from kattn.seq2seq_recipe import writes

#: Where in a corpus the examples are: what a caller knows better than the recipe.
_DATA = ("dataset", "data_dir", "limit", "validation_file", "test_file") + tuple(
    f"{name}_column" for name in ("text", "label", "premise", "hypothesis")
)


def evaluate(preset: str, arguments: dict) -> dict:
    """Evaluate a preset on the test split of the corpus it was trained on, or another.

    Args:
        preset: A name, a folder or a handle, as for `from_preset`.
        arguments: Keys of a `Recipe` that say where the corpus is; others than those
            of the preset's own recipe.toml.

    Returns:
        The figures, as metrics.json has them under `"test"`: of a preset that writes
        as `kattn.writing.figures` gives them.

    Raises:
        ValueError: If an argument does not say where the corpus is, no corpus is
            named, or its classes are not the preset's.
    """
    folder = Path(locate(preset))
    if writes(folder / "recipe.toml"):
        return seq2seq_evaluation.evaluate(folder, arguments)
    recipe.check_placed(arguments, _DATA)
    keys = {}
    if (folder / "recipe.toml").is_file():
        known = recipe.read(folder / "recipe.toml")
        keys = {name: known[name] for name in _DATA if name in known}
    if "dataset" not in keys | arguments:
        raise ValueError(
            f"The preset {preset!r} has no recipe.toml that names its corpus: give "
            "--dataset."
        )
    console = Console(highlight=False)
    classifier = TextClassifier.from_preset(folder)
    corpus = building.corpus_of(Recipe(**{**keys, **arguments}))
    if classifier.class_names != list(corpus.class_names):
        raise ValueError(
            f"The classes of {preset!r} are {classifier.class_names}, those of the "
            f"corpus {corpus.name!r} {list(corpus.class_names)}."
        )
    test = corpus.test
    predicted = classifier.predict(test.texts, batch_size=64, verbose=0).argmax(axis=-1)
    figures = report.figures(test.labels, predicted, corpus.class_names)
    report.show_figures(figures, console)
    its_own = arguments.get("dataset") in (None, keys.get("dataset"))
    if its_own and (folder / "metrics.json").is_file():
        report.show_recorded(folder / "metrics.json", figures, console)
    return figures
