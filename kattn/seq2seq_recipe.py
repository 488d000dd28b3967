"""What a training run of a model that writes is made of."""

import dataclasses
import tomllib
from pathlib import Path

from kattn.names import unknown
from kattn.recipe import check_types

#: The family's name, which tells these recipes from those of classifiers.
MODEL = "attention_seq2seq"
TOKENS = ("character", "word")


@dataclasses.dataclass(frozen=True)
class Seq2SeqRecipe:
    """Everything that decides what a run computes. Paths are as for `open`.

    Options of the model that are `None` are as `AttentionSeq2SeqBackbone` has them.

    Args:
        model: `"attention_seq2seq"`.
        dataset: As for `kattn.datasets.load_parallel`.
        data_dir: Likewise.
        source_column: Column with the sources, in a file of one's own.
        target_column: Column with the targets, likewise.
        limit: At most so many sources of each split, for a quick try.
        source_tokens: `"character"` or `"word"`.
        target_tokens: Likewise.
        target_case_fold: Whether targets are written in one case.
        vocabulary_size: At most so many tokens on either side, the most frequent ones.
        min_count: Tokens seen less often in the training texts are unknown.
        max_length: The most tokens of a text; training pairs of longer ones are left
            out.
        embedding_dim: Width of a token's vector.
        units: Width of a recurrence in each direction.
        cell: `"lstm"` or `"gru"`.
        num_layers: How many recurrences stand on each other.
        directions: `"concat"` or `"forward"`.
        attention: `"luong"`, `"bahdanau"` or `"none"`.
        score: Name of a score.
        region: Name of a region.
        normalizer: Name of a normalizer.
        input_feeding: Whether Luong's decoder is fed what it gave before.
        coverage: Whether a position tells how much it was read before.
        tie_embeddings: As for `AttentionSeq2Seq`.
        dropout: Fraction dropped in training; what of, the backbone says.
        ngrams: How many n-grams of the source have vectors of their own.
        ngram_dim: Width of such a vector.
        ngram_dropout: Fraction of them dropped in training.
        label_smoothing: As for `TokenCrossentropy`.
        scheduled_sampling: As for `AttentionSeq2Seq.compile`, a number of steps; the
            target alone is fed if 0.
        epochs: The most epochs.
        batch_size: Pairs a batch.
        learning_rate: Adam's at the start; it falls to 0 along a cosine.
        patience: So many epochs without a better validation end the training.
        beam_width: Of the search that the figures are of.
        length_penalty: Likewise.
        measured_without: Characters that the figures leave out of every text: with
            `"012"` a pronunciation is right wherever its stress is.
        bleu: Whether the figures have BLEU, which takes the package sacrebleu.
        half_precision: Whether the weights are kept in float16, which the figures are
            of, too.
        mantissa_bits: Of 10, as for `kattn.models.half_precision.save`: fewer make a
            smaller file.
        mixed_precision: Whether to learn in bfloat16, which some processors compute
            twice as fast; what is kept computes in float32.
        seed: Seed of weights, dropout and shuffling.
        seeds: Train once with each of these in place of `seed`, and keep the run that
            is best on validation.
    """

    model: str = MODEL
    dataset: str = "cmudict"
    data_dir: str | None = None
    source_column: str = "source"
    target_column: str = "target"
    limit: int | None = None
    source_tokens: str = "character"
    target_tokens: str = "word"
    target_case_fold: bool = False
    vocabulary_size: int = 8000
    min_count: int = 1
    max_length: int = 128
    embedding_dim: int | None = None
    units: int | None = None
    cell: str | None = None
    num_layers: int | None = None
    directions: str | None = None
    attention: str | None = None
    score: str | None = None
    region: str | None = None
    normalizer: str | None = None
    input_feeding: bool | None = None
    coverage: bool | None = None
    tie_embeddings: bool = False
    dropout: float = 0.2
    ngrams: int | None = None
    ngram_dim: int | None = None
    ngram_dropout: float | None = None
    label_smoothing: float = 0.0
    scheduled_sampling: float = 0.0
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    patience: int = 4
    beam_width: int = 5
    length_penalty: float = 0.0
    measured_without: str = ""
    bleu: bool = False
    half_precision: bool = False
    mantissa_bits: int = 10
    mixed_precision: bool = False
    seed: int = 0
    seeds: list[int] | None = None

    def __post_init__(self):
        check_types(self, _LEAST)
        for name in ("source_tokens", "target_tokens"):
            if getattr(self, name) not in TOKENS:
                raise unknown(name, getattr(self, name), TOKENS)
        for name in ("dropout", "ngram_dropout", "label_smoothing"):
            if not (getattr(self, name) or 0) < 1:
                raise ValueError(
                    f"The recipe's {name!r} is less than 1. "
                    f"Received: {getattr(self, name)}"
                )
        if self.mantissa_bits > 10:
            raise ValueError(
                "The recipe's 'mantissa_bits' are at most the 10 of a float16. "
                f"Received: {self.mantissa_bits}"
            )
        if self.seeds and len(set(self.seeds)) < len(self.seeds):
            raise ValueError(
                f"The recipe's 'seeds' are different. Received: {self.seeds}"
            )

    def backbone_options(self) -> dict:
        """The arguments of the backbone that the recipe gives."""
        names = (
            *("embedding_dim", "units", "cell", "num_layers", "directions"),
            *("attention", "score", "region", "normalizer", "input_feeding"),
            *("coverage", "dropout", "ngrams", "ngram_dim", "ngram_dropout"),
        )
        options = {name: getattr(self, name) for name in names}
        return {name: x for name, x in options.items() if x is not None}


def writes(path) -> bool:
    """Whether a recipe file is of a model that writes.

    Args:
        path: A TOML file. Of one that is not there, or cannot be read, it is not.
    """
    path = Path(path)
    if not path.is_file():
        return False
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # which the reading of the recipe tells
        return False
    return keys.get("model") == MODEL


_LEAST = {
    **{"dropout": 0.0, "label_smoothing": 0.0, "learning_rate": 0.0},
    "ngram_dropout": 0.0,
    **{"length_penalty": 0.0, "scheduled_sampling": 0.0, "seed": 0, "seeds": 0},
}
