"""As accurate and faster: kattn and PyTorch trained on one corpus, batch by batch.

    python tests/benchmarks/accuracy.py --data-dir DIR --vectors glove.6B.100d.txt.gz

Both sides start from the same weights and get the same batches of similar length, the
same optimizer and clipping. They take turns, step by step, so that what else the
machine does slows both. Printed are each seed's accuracy on the validation texts after
the last epoch, the texts a second of all training steps, and how often kattn's steps
were traced and compiled.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import measure  # noqa: E402
import numpy as np  # noqa: E402
import training  # noqa: E402
from rich import box  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from kattn import datasets, models  # noqa: E402
from kattn.files import replacing  # noqa: E402
from kattn.text import count_vocabulary, read_vectors  # noqa: E402
from kattn.text.batches import ordered_batches, training_batches  # noqa: E402

WORDS = 30_000


def han(tokenizer):
    """Up to 20 sentences of up to 40 words."""
    return models.HierarchicalAttentionTextClassifier(
        models.HierarchicalAttentionBackbone(tokenizer.vocabulary_size(), 100),
        num_classes=2,
        preprocessor=models.HierarchicalAttentionTextClassifierPreprocessor(
            tokenizer, max_sentences=20, max_words=40
        ),
    )


def bilstm(tokenizer):
    """Up to 400 words."""
    return models.BiLSTMAttentionTextClassifier(
        models.BiLSTMAttentionBackbone(tokenizer.vocabulary_size(), 100, units=64),
        num_classes=2,
        preprocessor=models.BiLSTMAttentionTextClassifierPreprocessor(tokenizer, 400),
    )


KINDS = {
    "HAN": (han, models.HierarchicalAttentionTokenizer),
    "BiLSTM": (bilstm, models.BiLSTMAttentionTokenizer),
}


class Torch:
    """The PyTorch side, in a process of its own."""

    def __init__(self, name, weights, vocabulary):
        import torch
        import torch_models

        self.torch = torch
        self.model = getattr(torch_models, name)(vocabulary)
        self.model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3, eps=1e-7)

    def train(self, ids, mask, labels):
        """A step's seconds."""
        ids, mask, labels = map(self.torch.from_numpy, (ids, mask, labels))
        began = time.perf_counter()
        self.optimizer.zero_grad()
        logits = self.model(ids, mask)
        loss = self.torch.nn.functional.cross_entropy(logits, labels.long())
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.CLIP)
        self.optimizer.step()
        loss.item()
        return time.perf_counter() - began

    def right(self, ids, mask, labels):
        """How many labels are right."""
        with self.torch.inference_mode():
            logits = self.model(self.torch.from_numpy(ids), self.torch.from_numpy(mask))
        return int((logits.argmax(1).numpy() == labels).sum())


def same_weights(name, classifier):
    """kattn's weights under PyTorch's names."""
    import torch_models

    model = getattr(torch_models, name)(classifier.backbone.vocabulary_size)
    model.copy(classifier)
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}


def run(name, seed, corpus, vectors, epochs, batch_size, console):
    """One seed: accuracies and texts a second of both sides, and kattn's traces."""
    make, kind = KINDS[name]
    keras.utils.set_random_seed(seed)
    classifier = make(kind(corpus.words))
    table = classifier.backbone.token_embedding.get_weights()[0]
    rows = np.flatnonzero(vectors.found) + len(table) - len(vectors.found)
    table *= vectors.matrix[vectors.found].std() / table.std()
    table[rows] = vectors.matrix[vectors.found]
    classifier.backbone.token_embedding.embeddings.assign(table)
    classifier.compile(keras.optimizers.Adam(1e-3, global_clipnorm=training.CLIP))
    classifier.optimizer.build(classifier.trainable_variables)
    peer = measure.Process(Torch, name, same_weights(name, classifier), len(table))
    pad = classifier.preprocessor.pad
    classifier.preprocessor = None  # it gets ids
    batches, steps = training_batches(
        corpus.train_ids, corpus.train_labels, pad, batch_size=batch_size, seed=seed
    )
    traces, compute_loss = [], classifier.compute_loss

    def counted(*parts, **options):
        traces.append(1)  # Python comes here when a step is traced
        return compute_loss(*parts, **options)

    classifier.compute_loss = counted
    classifier.make_train_function()
    mine, theirs = iter(batches), iter(batches)
    seconds = {"kattn": 0.0, "torch, packed": 0.0}
    for step in range(epochs * steps):
        began = time.perf_counter()
        classifier.train_function(mine)
        spent = time.perf_counter() - began
        inputs, labels = next(theirs)
        arrays = [x.numpy() for x in (*inputs.values(), labels)]
        if step:  # the first one traces
            seconds["kattn"] += spent
        their = peer.ask("train", *arrays)
        if step:
            seconds["torch, packed"] += their
        if step % 50 == 49:
            console.print(f"{name}, seed {seed}, step {step + 1}", style="dim")
    right = {"kattn": 0, "torch, packed": 0}
    for inputs, labels in ordered_batches(
        corpus.validation_ids, pad, batch_size=250, labels=corpus.validation_labels
    ):
        arrays = [x.numpy() for x in (*inputs.values(), labels)]
        logits = classifier.predict_on_batch(inputs)
        right["kattn"] += int((logits.argmax(1) == arrays[-1]).sum())
        right["torch, packed"] += peer.ask("right", *arrays)
    peer.end()
    trained = (epochs * steps - 1) * batch_size
    return {
        side: {
            "accuracy": right[side] / len(corpus.validation_labels),
            "texts_per_second": trained / seconds[side],
        }
        for side in seconds
    } | {"traces": len(traces), "xla": classifier.jit_compile}


class Corpus:
    """The texts to train on and to validate on, as ids, for one model."""

    def __init__(self, name, arguments):
        split = datasets.load("imdb", data_dir=arguments.data_dir)
        order = np.random.default_rng(0).permutation(len(split.train))
        kept = len(order) - arguments.validation
        train, validation = (
            split.train.take(order[:kept]),
            split.train.take(order[kept:]),
        )
        self.words = count_vocabulary(train.texts, WORDS, 2)
        make, kind = KINDS[name]
        prepare = make(kind(self.words))._ids
        self.train_ids, self.train_labels = prepare(list(train.texts)), train.labels
        self.validation_ids = prepare(list(validation.texts))
        self.validation_labels = validation.labels


def main():
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--vectors", required=True)
    parser.add_argument("--models", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--validation", type=int, default=5000)
    parser.add_argument("--output", default="runs/accuracy")
    arguments = parser.parse_args()
    console = Console(width=120)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    found = {"machine": measure.machine(), "arguments": vars(arguments), "models": {}}
    table = Table(box=box.SIMPLE)
    for heading in ("model", "seed", "side", "accuracy", "texts/s", "traces"):
        table.add_column(heading)
    for name in arguments.models:
        corpus = Corpus(name, arguments)
        vectors = read_vectors(arguments.vectors, corpus.words)
        seeds = found["models"][name] = []
        for seed in range(arguments.seeds):
            result = run(
                name,
                seed,
                corpus,
                vectors,
                arguments.epochs,
                arguments.batch_size,
                console,
            )
            seeds.append(result)
            with replacing(folder / "accuracy.json") as path:
                path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            keras.utils.clear_session()
        for side in ("kattn", "torch, packed"):
            for seed, result in enumerate(seeds):
                row = result[side]
                table.add_row(
                    name,
                    str(seed),
                    side,
                    f"{row['accuracy']:.2%}",
                    f"{row['texts_per_second']:,.0f}",
                    str(result["traces"]) if side == "kattn" else "",
                )
            accuracies = [result[side]["accuracy"] for result in seeds]
            rates = [result[side]["texts_per_second"] for result in seeds]
            table.add_row(
                name,
                "mean",
                side,
                f"{np.mean(accuracies):.2%} ± {np.std(accuracies):.2%}",
                f"{np.mean(rates):,.0f}",
                "",
            )
    console.print(table)


if __name__ == "__main__":
    main()
