"""What a training run is made of: a recipe, in a TOML file or from the command line."""

import dataclasses
import tomllib
from pathlib import Path

import tomli_w

from kattn.files import replacing
from kattn.names import unknown


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run computes. Paths are as for `open`.

    Args:
        model: Name of a model family.
        dataset: Name of a corpus, or a file of one's own.
        data_dir: Folder with the corpus's files.
        text_column: Column with the texts, in a file of one's own.
        label_column: Column with the labels, likewise.
        premise_column: Column with the first text of pairs, likewise.
        hypothesis_column: Column with the second text of pairs, likewise.
        validation_file: File with the validation split, likewise.
        test_file: File with the test split, likewise.
        limit: At most so many texts of each split, for a quick try.
        from_preset: Preset whose trained weights the run starts from.
        vectors: File of word vectors in the GloVe text format.
        vocabulary_size: At most so many words, the most frequent ones.
        min_count: Words seen less often in the training texts are unknown.
        max_sentences: The most sentences of a document that are read.
        max_words: The most words of a sentence before it is cut in pieces.
        embedding_dim: Width of a word vector; that of `vectors` where they are given.
        units: Width of a recurrent layer in each direction.
        attention_units: Width of the attention's hidden representation.
        dropout: Fraction dropped of word, sentence and document vectors.
        epochs: The most epochs.
        batch_size: Texts a batch.
        learning_rate: Adam's at the start; it falls to 0 along a cosine.
        patience: So many epochs without a better validation end the training.
        class_weight: `"balanced"` makes all classes count the same.
        mixed_precision: Whether to compute in bfloat16.
        seed: Seed of weights, dropout and shuffling; splits have seeds of their own.
    """

    model: str = "han"
    dataset: str = "bbc"
    data_dir: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    premise_column: str | None = None
    hypothesis_column: str | None = None
    validation_file: str | None = None
    test_file: str | None = None
    limit: int | None = None
    from_preset: str | None = None
    vectors: str | None = None
    vocabulary_size: int = 30_000
    min_count: int = 3
    max_sentences: int = 32
    max_words: int = 32
    embedding_dim: int = 100
    units: int = 50
    attention_units: int = 100
    dropout: float = 0.4
    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 3e-3
    patience: int = 2
    class_weight: str | None = None
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            kind = str if field.default is None else type(field.default)
            kind = int if field.name == "limit" else kind
            if kind is float and type(value) is int:
                object.__setattr__(self, field.name, value := float(value))
            if type(value) is not kind:
                raise ValueError(
                    f"The recipe's {field.name!r} is of type {kind.__name__}. "
                    f"Received: {value!r}"
                )
            if kind in (int, float) and value < _LEAST.get(field.name, 1):
                raise ValueError(
                    f"The recipe's {field.name!r} is at least "
                    f"{_LEAST.get(field.name, 1)}. Received: {value!r}"
                )
        if self.class_weight not in (None, "balanced"):
            raise unknown("class weight", self.class_weight, ["balanced"])
        if not self.dropout < 1:
            raise ValueError(
                f"The recipe's 'dropout' is less than 1. Received: {self.dropout}"
            )


_LEAST = {"dropout": 0.0, "learning_rate": 0.0, "seed": 0}


def read(path) -> dict:
    """The keys of a recipe file.

    Args:
        path: A TOML file.

    Returns:
        Keys and values, all of them keys of a `Recipe`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not TOML, or has a key that recipes do not have.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no recipe file {str(path)!r}.")
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # both of TOML and of UTF-8
        raise ValueError(f"The recipe {str(path)!r} is not TOML: {error}") from error
    check(keys)
    return keys


def check(keys) -> None:
    """Raise a `ValueError` that offers the nearest key if one is not a recipe's."""
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in keys:
        if key not in known:
            raise unknown("recipe key", key, known)


def write(recipe: Recipe, path) -> None:
    """Write a recipe as TOML, whole or not at all; `None` is left out."""
    keys = {k: v for k, v in dataclasses.asdict(recipe).items() if v is not None}
    with replacing(path) as file:
        file.write_text(tomli_w.dumps(keys), encoding="utf-8")
