"""What a recipe is made into: its corpus and its classifier."""

import dataclasses
import itertools
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from kattn import datasets
from kattn.datasets.equality import apart
from kattn.language_model import teach
from kattn.models.families import family
from kattn.models.presets import locate
from kattn.recipe import Recipe
from kattn.text import count_vocabulary, learn_vectors, read_vectors, write_vectors

#: Where a run keeps the word vectors it has learned.
VECTORS = "vectors.txt.gz"
#: And the backbone that has learned to read.
PRETRAINED = "pretrained"


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
    """Learn what a recipe wants learned without labels, if it is not there yet.

    Word vectors by word2vec; and from there, where a language model is asked for, the
    backbone's way of reading them.

    Args:
        chosen: The recipe.
        corpus: The recipe's corpus.
        folder: Where it is kept.
        console: Where to print what is done.

    Returns:
        The recipe to go on with: the same, but for vectors, or a preset, to be read.
    """
    if chosen.pretrain is None:
        return chosen
    path, preset = folder / VECTORS, folder / PRETRAINED
    going_on = chosen.without_pretraining()
    source = chosen.pretrain_corpus or chosen.dataset
    if source != chosen.dataset and not preset.is_dir():
        other = dataclasses.replace(going_on, dataset=source)
        corpus = apart(corpus_of(other), corpus)
    if not preset.is_dir():
        texts = corpus.train.texts
        texts = list(itertools.chain(*texts) if corpus.pairs else texts)
        words = count_vocabulary(texts, chosen.vocabulary_size, chosen.min_count)
        if source in datasets.having_further():
            further = datasets.load_further(source, chosen.data_dir)
            texts += further[: chosen.limit]
    if not path.is_file():
        console.print(f"Learning word vectors from {len(texts):,} texts.")
        vectors = learn_vectors(texts, words, chosen.embedding_dim or 100)
        folder.mkdir(parents=True, exist_ok=True)
        write_vectors(path, words, vectors)
    going_on = dataclasses.replace(going_on, vectors=str(path))
    if chosen.pretrain == "word2vec":
        return going_on
    if not preset.is_dir():
        keras.utils.set_random_seed(chosen.seed)
        classifier = build(going_on, corpus, console)
        console.print(f"Learning to read from {len(texts):,} texts.")
        preprocessor = classifier.preprocessor
        epochs, backup = chosen.pretrain_epochs or 2, folder / "language_model"
        teach(classifier.backbone, preprocessor.tokenizer, texts, epochs, backup)
        # The folder gets its name when both are in it.
        unfinished = folder / f"{PRETRAINED}_unfinished"
        classifier.backbone.save_to_preset(unfinished)
        preprocessor.save_to_preset(unfinished)
        unfinished.rename(preset)
    return dataclasses.replace(going_on, vectors=None, from_preset=str(preset))


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
        classifier = _from_preset(kin, chosen, list(corpus.class_names))
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
            **_head(chosen),
        )
    steps = chosen.epochs * -(-len(corpus.train) // chosen.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(chosen.learning_rate, steps)
    classifier.compile(
        keras.optimizers.Adam(rate, global_clipnorm=5.0),
        adversarial=chosen.adversarial or 0.0,
    )
    return classifier


def _from_preset(kin, chosen, class_names):
    """Trained weights; with a new head for other classes, or where there is none."""
    preset = chosen.from_preset
    if "://" in preset or Path(locate(preset), "task.json").is_file():
        classifier = kin.classifier.from_preset(preset)
        if classifier.class_names == class_names:
            return classifier
    return kin.classifier.from_preset(preset, class_names=class_names, **_head(chosen))


def _head(chosen):
    """What a recipe says of the classifier on top of a backbone."""
    rate = chosen.output_dropout
    return {
        "dropout": chosen.dropout if rate is None else rate,
        "ngrams": chosen.ngrams or 0,
        "ngram_order": chosen.ngram_order,
    }


def _start_from(vectors, tokenizer, embedding):
    """Put word vectors into an embedding; other words keep their random start."""
    table = keras.ops.convert_to_numpy(embedding.embeddings).copy()  # (V, D)
    special = len(tokenizer.special_tokens)
    # Unknown words start as random as the vectors are wide.
    table *= vectors.matrix[vectors.found].std() / table.std()
    table[special:][vectors.found] = vectors.matrix[vectors.found]
    embedding.embeddings.assign(table)
