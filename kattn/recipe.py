"""What a training run is made of: a recipe, in a TOML file or from the command line."""

import dataclasses
import tomllib
import typing
from pathlib import Path

import tomli_w

from kattn import datasets
from kattn.files import replacing
from kattn.names import unknown

PRETRAININGS = ("word2vec", "language_model")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run computes. Paths are as for `open`.

    Options of the model that are `None` are as its family has them; those that its
    family does not have must be `None`.

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
        pretrain: `"word2vec"` learns the word vectors, in place of `vectors`, from the
            training texts and the texts without labels that the corpus brings along;
            `"language_model"` goes on to teach a recurrent model to read with them.
            A corpus's name: train on its labels first, without the texts that this
            corpus holds out, and go on from there with a new head.
        pretrain_corpus: Name of another corpus, whose texts word vectors and language
            model are learned from in place of this one's; the latter brings its
            vocabulary along.
        pretrain_epochs: How often the language model reads its texts; twice if `None`.
        vocabulary_size: At most so many words, the most frequent ones.
        min_count: Words seen less often in the training texts are unknown.
        freeze_embedding: Whether word vectors stay as they start.
        max_sentences: The most sentences of a document that are read.
        max_words: The most words of a sentence before it is cut in pieces, or of a text
            whose model knows no sentences: its head and its tail are read.
        embedding_dim: Width of a word vector; that of `vectors` where they are given.
        units: Width of a recurrent layer in each direction.
        attention_units: Width of the attention's hidden representation.
        cell: Recurrent cell, `"lstm"` or `"gru"`.
        directions: How directions are joined, `"concat"`, `"sum"` or `"forward"`.
        pooling: What makes one vector of many.
        hops: Number of vectors of structured pooling.
        penalty: Weight of the penalty on overlapping hops.
        num_layers: Number of blocks or levels.
        num_heads: Number of heads.
        feed_forward_dim: Width of the feed-forward part's hidden layer.
        positions: `"sinusoidal"`, `"learned"`, `"rotary"` or `"none"`.
        score: Name of a score.
        region: Name of a region.
        normalizer: Name of a normalizer.
        variant: `"bcnn"`, `"abcnn1"`, `"abcnn2"` or `"abcnn3"`.
        filters: Width of the columns that a convolution makes.
        kernel_size: Words in the window of a convolution.
        kernel_sizes: Likewise, of several convolutions.
        match: Name of the score that makes a match matrix.
        feature_map: `"places"` or `"attention"`.
        join_vectors: Whether vectors are joined to the similarity features.
        pair_features: Whether overlap, lengths and negation are.
        best_matches: Whether the match of each word with the other text's is used.
        own_words: Whether the words that only one text has make a level.
        hidden_dim: Width of a layer between features and logistic regression.
        temperature: Where the cosine's learned temperature starts.
        attention: `"static"` or `"dynamic"`.
        reading_dim: Width of what a reader makes of both texts.
        shared: Whether one recurrent layer reads both texts.
        compare: Whether a reader compares what was read with what was asked.
        dropout: Fraction dropped in training; what of, the backbone says.
        output_dropout: Fraction of the text's vector dropped; as `dropout` if `None`.
        ngrams: How many words and runs of words speak for themselves.
        ngram_order: The most words of a run.
        adversarial: How far each text's word vectors are moved to where it is misread,
            as a fraction of their length; not at all if `None`.
        epochs: The most epochs.
        batch_size: Texts a batch.
        learning_rate: Adam's at the start; it falls to 0 along a cosine.
        patience: So many epochs without a better validation end the training.
        quantize: `"int8"` keeps the word vectors of the trained model in 8 bits a
            number, a quarter of the bytes; all figures are of what is kept.
        class_weight: `"balanced"` makes all classes count the same.
        mixed_precision: Whether to compute in bfloat16.
        seed: Seed of weights, dropout and shuffling; splits have seeds of their own.
        seeds: Train once with each of these in place of `seed`, and keep the run that
            is best on validation.
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
    pretrain: str | None = None
    pretrain_corpus: str | None = None
    pretrain_epochs: int | None = None
    vocabulary_size: int = 30_000
    min_count: int = 3
    freeze_embedding: bool = False
    max_sentences: int | None = None
    max_words: int | None = None
    embedding_dim: int | None = None
    units: int | None = None
    attention_units: int | None = None
    cell: str | None = None
    directions: str | None = None
    pooling: str | None = None
    hops: int | None = None
    penalty: float | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    feed_forward_dim: int | None = None
    positions: str | None = None
    score: str | None = None
    region: str | None = None
    normalizer: str | None = None
    variant: str | None = None
    filters: int | None = None
    kernel_size: int | None = None
    kernel_sizes: list[int] | None = None
    match: str | None = None
    feature_map: str | None = None
    join_vectors: bool | None = None
    pair_features: bool | None = None
    best_matches: bool | None = None
    own_words: bool | None = None
    hidden_dim: int | None = None
    temperature: float | None = None
    attention: str | None = None
    reading_dim: int | None = None
    shared: bool | None = None
    compare: bool | None = None
    dropout: float = 0.4
    output_dropout: float | None = None
    ngrams: int | None = None
    ngram_order: int = 3
    adversarial: float | None = None
    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 3e-3
    patience: int = 2
    quantize: str | None = None
    class_weight: str | None = None
    mixed_precision: bool = False
    seed: int = 0
    seeds: list[int] | None = None

    def __post_init__(self):
        check_types(self, _LEAST)
        if self.class_weight not in (None, "balanced"):
            raise unknown("class weight", self.class_weight, ["balanced"])
        if self.quantize not in (None, "int8"):
            raise unknown("quantization", self.quantize, ["int8"])
        corpora = datasets.names()
        if self.pretrain not in (None, *PRETRAININGS, *corpora):
            known = [*PRETRAININGS, *corpora]
            raise unknown("pretraining", self.pretrain, known)
        if self.pretrain == self.dataset:
            raise ValueError(
                "What is trained first is another corpus than the recipe's. Received: "
                f"pretrain={self.pretrain!r}, dataset={self.dataset!r}"
            )
        other = self.pretrain_corpus
        if other not in (None, *corpora):
            raise unknown("pretraining corpus", other, corpora)
        if other and (self.pretrain not in PRETRAININGS or other == self.dataset):
            raise ValueError(
                "From another corpus than the recipe's word vectors or a language "
                f"model are learned. Received: pretrain_corpus={other!r}, "
                f"pretrain={self.pretrain!r}, dataset={self.dataset!r}"
            )
        if self.pretrain_epochs and self.pretrain != "language_model":
            raise ValueError(
                "It is a language model that reads its texts in epochs. Received: "
                f"pretrain_epochs={self.pretrain_epochs!r}, pretrain={self.pretrain!r}"
            )
        learned = self.vectors if self.pretrain in PRETRAININGS else None
        if self.pretrain and (learned or self.from_preset):
            raise ValueError(
                "Word vectors are learned, read or a preset's. Received: "
                f"pretrain={self.pretrain!r}, vectors={self.vectors!r}, "
                f"from_preset={self.from_preset!r}"
            )
        if self.seeds and len(set(self.seeds)) < len(self.seeds):
            raise ValueError(
                f"The recipe's 'seeds' are different. Received: {self.seeds}"
            )
        for name in ("dropout", "output_dropout", "adversarial"):
            rate = getattr(self, name)
            if rate is not None and not rate < 1:
                raise ValueError(
                    f"The recipe's {name!r} is less than 1. Received: {rate}"
                )

    def without_pretraining(self) -> "Recipe":
        """The same, but for what is learned before."""
        unset = ("pretrain", "pretrain_corpus", "pretrain_epochs")
        return dataclasses.replace(self, **dict.fromkeys(unset))


_LEAST = {
    **{"dropout": 0.0, "output_dropout": 0.0, "learning_rate": 0.0},
    "adversarial": 0.0,
    **{"seed": 0, "seeds": 0},
    **{"num_layers": 0, "penalty": 0.0, "temperature": 0.0},
}


def check_types(recipe, least_of: dict) -> None:
    """Raise a `ValueError` where a value of a recipe is of a wrong type, or too small.

    Args:
        recipe: A dataclass; an integer where a float belongs is made one.
        least_of: The least values of those keys that may be less than 1.
    """
    hints = typing.get_type_hints(type(recipe))
    for name, hint in hints.items():
        value = getattr(recipe, name)
        kinds = typing.get_args(hint) or (hint,)
        if value is None and type(None) in kinds:
            continue
        kind = kinds[0]
        if kind is float and type(value) is int:
            object.__setattr__(recipe, name, value := float(value))
        values = value if kind == list[int] and type(value) is list else [value]
        single = int if kind == list[int] else kind
        if not values or any(type(one) is not single for one in values):
            many = "a list of " if kind == list[int] else ""
            raise ValueError(
                f"The recipe's {name!r} is of type {many}{single.__name__}. "
                f"Received: {value!r}"
            )
        least = least_of.get(name, 1)
        if single in (int, float) and min(values) < least:
            raise ValueError(
                f"The recipe's {name!r} is at least {least}. Received: {value!r}"
            )


def read(path, kind=Recipe) -> dict:
    """The keys of a recipe file.

    Args:
        path: A TOML file.
        kind: The dataclass of such recipes.

    Returns:
        Keys and values, all of them keys of such a recipe.

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
    check(keys, kind)
    return keys


def check(keys, kind=Recipe) -> None:
    """Raise a `ValueError` that offers the nearest key if one is not a recipe's."""
    known = [field.name for field in dataclasses.fields(kind)]
    for key in keys:
        if key not in known:
            raise unknown("recipe key", key, known)


def check_placed(arguments, placing) -> None:
    """Raise a `ValueError` for a key that does not say where a corpus is.

    Args:
        arguments: Keys of a recipe.
        placing: Those that say it.
    """
    for name in arguments:
        if name not in placing:
            raise ValueError(
                "--evaluate takes of a recipe what says where the corpus is: "
                f"{', '.join(placing)}. Received: {name}"
            )


def write(recipe: Recipe, path) -> None:
    """Write a recipe as TOML, whole or not at all; `None` is left out."""
    keys = {k: v for k, v in dataclasses.asdict(recipe).items() if v is not None}
    with replacing(path) as file:
        file.write_text(tomli_w.dumps(keys), encoding="utf-8")
