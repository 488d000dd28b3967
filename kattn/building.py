"""What a recipe is made into: its corpus and its classifier."""

import dataclasses
import itertools
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from kattn import datasets
from kattn.models.families import family
from kattn.recipe import Recipe
from kattn.text import count_vocabulary, learn_vectors, read_vectors, write_vectors

#: Where a run keeps the word vectors it has learned.
VECTORS = "vectors.txt.gz"


def corpus_of(chosen: Recipe):
    """The `kattn.datasets.Corpus` of a recipe, no larger than it wants it."""
    options = {
        "text": chosen.text_column,
        "label": chosen.label_column,
        "premise": chosen.premise_column,
        "hypothesis": chosen.hypothesis_column,
        "validation": chosen.validation_file,
        "test": chosen.test_file,
    }
    options = {name: value for name, value in options.items() if value is not None}
    corpus = datasets.load(chosen.dataset, data_dir=chosen.data_dir, **options)
    return limited(corpus, chosen.limit)


def limited(corpus, limit):
    """At most `limit` examples of each split, drawn by a fixed seed.

    Args:
        corpus: A `kattn.datasets.Corpus`.
        limit: How many; `None` for all.

    Returns:
        A corpus.
    """
    if limit is None:
        return corpus

    def some(split):
        if len(split) <= limit:
            return split
        rows = np.random.default_rng(0).permutation(len(split))[:limit]
        return split.take(sorted(rows))

    return dataclasses.replace(
        corpus,
        train=some(corpus.train),
        validation=some(corpus.validation),
        test=some(corpus.test),
        notes=(*corpus.notes, f"At most {limit} texts of each split, as asked."),
    )


def pretrained(chosen: Recipe, corpus, folder: Path, console: Console) -> Recipe:
    """Learn the word vectors a recipe asks for, if they are not there yet.

    Args:
        chosen: The recipe.
        corpus: The corpus.
        folder: Where the vectors are kept.
        console: Where to print what is done.

    Returns:
        The recipe to go on with: the same, but for vectors to be read.
    """
    if chosen.pretrain is None:
        return chosen
    path = folder / VECTORS
    if not path.is_file():
        texts = corpus.train.texts
        texts = list(itertools.chain(*texts) if corpus.pairs else texts)
        words = count_vocabulary(texts, chosen.vocabulary_size, chosen.min_count)
        if chosen.dataset in datasets.having_further():
            texts += datasets.load_further(chosen.dataset, chosen.data_dir)
        console.print(f"Learning word vectors from {len(texts):,} texts.")
        width = chosen.embedding_dim or 100
        vectors = learn_vectors(texts, words, width)
        folder.mkdir(parents=True, exist_ok=True)
        write_vectors(path, words, vectors)
    return dataclasses.replace(chosen, pretrain=None, vectors=str(path))


def build(chosen: Recipe, corpus, console: Console):
    """The classifier a recipe describes, compiled.

    Args:
        chosen: The recipe.
        corpus: The corpus: its training texts give the vocabulary.
        console: Where to print the coverage of word vectors.

    Returns:
        A `kattn.models.TextClassifier`.
    """
    kin = family(chosen.model)
    options = dataclasses.asdict(chosen)
    if chosen.from_preset:
        classifier = _from_preset(kin, chosen.from_preset, corpus.class_names)
    else:
        texts = corpus.train.texts
        words = count_vocabulary(
            itertools.chain(*texts) if corpus.pairs else texts,
            chosen.vocabulary_size,
            chosen.min_count,
        )
        vectors = read_vectors(chosen.vectors, words) if chosen.vectors else None
        if vectors is not None:
            options["embedding_dim"] = vectors.matrix.shape[1]
            console.print(
                f"{vectors.found.sum():,} of {len(words):,} words "
                f"({vectors.coverage:.1%}) have vectors in {chosen.vectors}"
            )
        tokenizer = kin.tokenizer(words)
        options = {k: v for k, v in options.items() if v is not None}
        if "max_words" in options:  # as far as is read
            options["max_length"] = options["max_words"]

        def given(names):
            return {name: options[name] for name in names if name in options}

        backbone = kin.classifier.backbone_cls(
            tokenizer.vocabulary_size(), **given(kin.backbone_options())
        )
        if vectors is not None:
            _start_from(vectors, tokenizer, backbone.token_embedding)
        backbone.token_embedding.trainable = not chosen.freeze_embedding
        preprocessor = kin.classifier.preprocessor_cls(
            tokenizer, **given(kin.preprocessor_options())
        )
        classifier = kin.classifier(
            backbone,
            preprocessor=preprocessor,
            class_names=corpus.class_names,
            dropout=chosen.dropout
            if chosen.output_dropout is None
            else chosen.output_dropout,
            ngrams=chosen.ngrams or 0,
        )
    steps = chosen.epochs * -(-len(corpus.train) // chosen.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(chosen.learning_rate, steps)
    classifier.compile(keras.optimizers.Adam(rate, global_clipnorm=5.0))
    return classifier


def _from_preset(kin, preset, class_names):
    """Trained weights, with a new head where the classes are others."""
    classifier = kin.classifier.from_preset(preset)
    if classifier.class_names == list(class_names):
        return classifier
    return kin.classifier.from_preset(preset, class_names=list(class_names))


def _start_from(vectors, tokenizer, embedding):
    """Put word vectors into an embedding; other words keep their random start."""
    table = keras.ops.convert_to_numpy(embedding.embeddings).copy()  # (V, D)
    special = len(tokenizer.special_tokens)
    # Unknown words start as random as the vectors are wide.
    table *= vectors.matrix[vectors.found].std() / table.std()
    table[special:][vectors.found] = vectors.matrix[vectors.found]
    embedding.embeddings.assign(table)
