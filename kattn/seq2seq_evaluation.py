"""A model that writes on a corpus's test split, and what was recorded of it."""

from rich.console import Console

from kattn import recipe, report, seq2seq_building, writing
from kattn.models import AttentionSeq2Seq
from kattn.seq2seq_recipe import Seq2SeqRecipe
from kattn.seq2seq_recipes import measure

#: Where in a corpus the examples are: what a caller knows better than the recipe.
_DATA = ("dataset", "data_dir", "limit", "source_column", "target_column")


def evaluate(folder, arguments: dict) -> dict:
    """Let a preset write for the test split of its corpus, or of another.

    Args:
        folder: The preset's, with its `recipe.toml`.
        arguments: Keys of a `Seq2SeqRecipe` that say where the corpus is; others than
            those of the preset's own.

    Returns:
        The figures, as `kattn.writing.figures` gives them.

    Raises:
        ValueError: If an argument does not say where the corpus is.
        ImportError: If the recipe has BLEU, and sacrebleu is not installed.
    """
    recipe.check_placed(arguments, _DATA)
    keys = recipe.read(folder / "recipe.toml", Seq2SeqRecipe)
    chosen = Seq2SeqRecipe(**{**keys, **arguments})
    if chosen.bleu:
        writing.check_bleu()
    console = Console(highlight=False)
    model = AttentionSeq2Seq.from_preset(folder)
    figures, *_ = measure(model, seq2seq_building.corpus_of(chosen).test, chosen)
    console.print({name: round(figure, 4) for name, figure in figures.items()})
    its_own = chosen.dataset == keys.get("dataset", Seq2SeqRecipe.dataset)
    if its_own and (folder / "metrics.json").is_file():
        report.show_recorded(folder / "metrics.json", figures, console)
    return figures
