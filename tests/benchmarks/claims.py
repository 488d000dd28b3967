"""Attention's three claims, measured: fewer weights, faster, better on long texts.

    python tests/benchmarks/claims.py --data-dir DIR --vectors glove.6B.100d.txt.gz

Six models of text classification are trained on one corpus with one budget: the same
texts, words, word vectors, epochs, batches and optimizer. Printed are the parameters
besides the word vectors, the seconds of an epoch, the texts a second in inference
(tokenizing included), and the accuracy on the test texts, of all and by quartile of
their length. The table is written as JSON, and drawn as PNG where matplotlib is
installed.
"""

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path

import keras
import keras_hub
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from kattn import datasets, models
from kattn.files import replacing
from kattn.models.pooling import LivePooling
from kattn.models.preprocessors import SequencePreprocessor
from kattn.text import WordTokenizer, count_vocabulary, read_vectors

WORDS_READ = 400
SENTENCES = {"max_sentences": 24, "max_words": 25}


class ConvolutionBackbone(keras_hub.models.Backbone):
    """Kim 2014: convolutions of three widths, the maximum over the words of each."""

    def __init__(self, vocabulary_size, embedding_dim, dropout, filters=100):
        self.token_embedding = keras.layers.Embedding(vocabulary_size, embedding_dim)
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        mask = keras.Input((None,), dtype="bool", name="padding_mask")
        words = keras.layers.Dropout(dropout)(self.token_embedding(token_ids))
        live = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
        pooled = []
        for width in (3, 4, 5):
            convolution = keras.layers.Conv1D(
                filters, width, padding="same", activation="relu"
            )
            pooled.append(LivePooling("max")(convolution(words * live), mask=mask))
        super().__init__(
            inputs={"token_ids": token_ids, "padding_mask": mask},
            outputs=keras.ops.concatenate(pooled, axis=-1),
        )


def convolution(tokenizer, width, dropout):
    """The baseline without attention and without recurrence."""
    backbone = ConvolutionBackbone(tokenizer.vocabulary_size(), width, dropout)
    return backbone, SequencePreprocessor(tokenizer, WORDS_READ), models.TextClassifier


def bilstm(pooling):
    """A BiLSTM with that pooling."""

    def make(tokenizer, width, dropout):
        backbone = models.BiLSTMAttentionBackbone(
            tokenizer.vocabulary_size(),
            width,
            units=64,
            pooling=pooling,
            dropout=dropout,
        )
        kin = models.BiLSTMAttentionTextClassifierPreprocessor
        return (
            backbone,
            kin(tokenizer, WORDS_READ),
            models.BiLSTMAttentionTextClassifier,
        )

    return make


def hierarchical(tokenizer, width, dropout):
    """The hierarchical attention network."""
    backbone = models.HierarchicalAttentionBackbone(
        tokenizer.vocabulary_size(), width, dropout=dropout
    )
    kin = models.HierarchicalAttentionTextClassifierPreprocessor
    return (
        backbone,
        kin(tokenizer, **SENTENCES),
        models.HierarchicalAttentionTextClassifier,
    )


def encoder(tokenizer, width, dropout):
    """Attention alone, one block."""
    backbone = models.AttentionEncoderBackbone(
        tokenizer.vocabulary_size(), width, num_layers=1, dropout=dropout
    )
    kin = models.AttentionEncoderTextClassifierPreprocessor
    return backbone, kin(tokenizer, WORDS_READ), models.AttentionEncoderTextClassifier


MODELS = {
    "CNN, max pooling": convolution,
    "BiLSTM, last state": bilstm("last"),
    "BiLSTM, mean": bilstm("mean"),
    "BiLSTM, attention": bilstm("attention"),
    "hierarchical attention": hierarchical,
    "attention alone": encoder,
}


class Epochs(keras.callbacks.Callback):
    """The seconds of every epoch, and the weights of the best."""

    def on_train_begin(self, logs=None):
        self.seconds, self.accuracies, self.best = [], [], None

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_test_begin(self, logs=None):
        # Validation is no part of an epoch's training.
        self.seconds.append(time.perf_counter() - self.began)

    def on_epoch_end(self, epoch, logs=None):
        self.accuracies.append(logs["val_accuracy"])
        if logs["val_accuracy"] == max(self.accuracies):
            self.best = self.model.get_weights()


def measure(make, corpus, words, vectors, arguments):
    """Train one model and take its figures."""
    keras.utils.set_random_seed(arguments.seed)
    tokenizer = WordTokenizer(words)
    width = 100 if vectors is None else vectors.matrix.shape[1]
    backbone, preprocessor, kind = make(tokenizer, width, arguments.dropout)
    if vectors is not None:
        table = keras.ops.convert_to_numpy(backbone.token_embedding.embeddings).copy()
        rows = np.flatnonzero(vectors.found) + len(tokenizer.special_tokens)
        table *= vectors.matrix[vectors.found].std() / table.std()
        table[rows] = vectors.matrix[vectors.found]
        backbone.token_embedding.embeddings.assign(table)
    classifier = kind(
        backbone,
        preprocessor=preprocessor,
        class_names=corpus.class_names,
        dropout=arguments.dropout,
    )
    steps = arguments.epochs * -(-len(corpus.train) // arguments.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(arguments.learning_rate, steps)
    classifier.compile(keras.optimizers.Adam(rate, global_clipnorm=5.0))
    epochs = Epochs()
    classifier.fit(
        corpus.train.texts,
        corpus.train.labels,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        validation_data=(corpus.validation.texts, corpus.validation.labels),
        callbacks=[epochs],
        seed=arguments.seed,
        verbose=0,
    )
    classifier.set_weights(epochs.best)
    classifier.predict(corpus.test.texts, verbose=0)  # compiles
    began = time.perf_counter()
    predicted = classifier.predict(corpus.test.texts, verbose=0).argmax(axis=-1)
    seconds = time.perf_counter() - began
    right = predicted == corpus.test.labels
    lengths = np.array([len(text.split()) for text in corpus.test.texts])
    quartiles = np.array_split(np.argsort(lengths, kind="stable"), 4)
    table = int(np.prod(backbone.token_embedding.embeddings.shape))
    return {
        "parameters": classifier.count_params() - table,
        # The first epoch traces and compiles.
        "seconds_per_epoch": statistics.median(epochs.seconds[1:] or epochs.seconds),
        "texts_per_second": len(right) / seconds,
        "validation_accuracy": max(epochs.accuracies),
        "accuracy": float(right.mean()),
        "accuracy_by_length": [float(right[rows].mean()) for rows in quartiles],
        "words_by_length": [float(np.median(lengths[rows])) for rows in quartiles],
    }


def show(results, console):
    """Print the table."""
    table = Table(box=box.SIMPLE)
    table.add_column("model")
    headings = ("parameters", "s/epoch", "texts/s", "accuracy")
    words = next(iter(results.values()))["words_by_length"]
    for heading in (*headings, *(f"~{n:.0f} words" for n in words)):
        table.add_column(heading, justify="right")
    for name, row in results.items():
        table.add_row(
            name,
            f"{row['parameters']:,}",
            f"{row['seconds_per_epoch']:.1f}",
            f"{row['texts_per_second']:,.0f}",
            *(f"{x:.2%}" for x in (row["accuracy"], *row["accuracy_by_length"])),
        )
    console.print(table)


def draw(results, path):
    """Draw accuracy against length, and against the time of an epoch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for name, row in results.items():
        (line,) = left.plot(
            row["words_by_length"],
            [100 * x for x in row["accuracy_by_length"]],
            marker="o",
            label=name,
        )
        right.scatter(
            row["seconds_per_epoch"], 100 * row["accuracy"], color=line.get_color()
        )
        right.annotate(
            f"{row['parameters'] / 1000:,.0f} k",
            (row["seconds_per_epoch"], 100 * row["accuracy"]),
            textcoords="offset points",
            xytext=(6, 4),
            fontsize=9,
        )
    left.set(xlabel="words of a text (median of each quartile)", ylabel="accuracy, %")
    left.set_title("By the length of the text")
    right.set(xlabel="seconds of an epoch", ylabel="accuracy, %")
    right.set_title("By time; labels: parameters without word vectors")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.margins(0.12)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def some(split, count, seed=0):
    """So many examples of a split, drawn by a fixed seed."""
    rows = np.random.default_rng(seed).permutation(len(split))[:count]
    return split.take(rows)


def main():
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="imdb")
    parser.add_argument("--data-dir")
    parser.add_argument("--vectors")
    parser.add_argument("--texts", type=int, default=8000, help="to train on, at most")
    parser.add_argument("--test-texts", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="runs/claims")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    corpus = datasets.load(arguments.dataset, data_dir=arguments.data_dir)
    corpus = datasets.Corpus(
        corpus.name,
        corpus.class_names,
        some(corpus.train, arguments.texts),
        some(corpus.validation, arguments.texts // 4),
        some(corpus.test, arguments.test_texts),
    )
    words = count_vocabulary(corpus.train.texts, 30_000, 2)
    vectors = read_vectors(arguments.vectors, words) if arguments.vectors else None
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, make in MODELS.items():
        console.print(f"{name} ...", style="dim")
        results[name] = measure(make, corpus, words, vectors, arguments)
        keras.utils.clear_session()
    show(results, console)
    with replacing(folder / "claims.json") as path:
        found = {"arguments": vars(arguments), "results": results}
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if importlib.util.find_spec("matplotlib"):
        draw(results, folder / "claims.png")
    else:
        console.print('No plot: matplotlib comes with pip install "kattn[bench]".')


if __name__ == "__main__":
    main()
