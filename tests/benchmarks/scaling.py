"""How long a training step takes on 1 to 256 hosts: predicted, and checked for 1 and 2.

    python tests/benchmarks/scaling.py [--bandwidth GBIT/S] [--latency MICROSECONDS]

As `train.py --backend jax --distribute data` does it, each host computes the gradients
of its `B` examples, ring all-reduces add them up, one for each of `k` weights, and all
hosts make the same step. Nothing overlaps. With `n` hosts and `G` bytes of gradients:

    step(n) = fixed + B example + 2 (n-1) k latency + 2 (n-1)/n G / bandwidth

`fixed` (most of it the optimizer) and `example` are measured here, from the times of
two sizes of batches in a process pinned to one core: a host of the table is one core of
this machine. NCCL, which GPUs have, sends all gradients in one message: `--messages 1`.

The gradient of word embeddings is dense on JAX: `V D` numbers, of all words whether
they were read or not. A sparse one, as TensorFlow has, is the rows of the `R` words of
the host's batch, and each host gathers those of all others in

    (n-1) latency + (n-1) 4 R (D+1) / bandwidth

which is less for fewer than `2 V / R` hosts, about, and grows with their number. The
table has both.

For the check two processes, pinned to a core each, are joined by gloo over loopback.
The link is measured by all-reduces of several sizes. All is done in turn, round by
round, for others may be using the machine, and the medians of the rounds count.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

VOCABULARY, WIDTH, LENGTH = 20_000, 128, 64
HOSTS = [2**i for i in range(9)]
REDUCED = 1 << 10, 1 << 16, 1 << 20, 1 << 24  # bytes
TIMES = 5  # all-reduces in a row
WITHIN = 0.2


# === Measured, in two processes ===


def work(address, index, batch, rounds):
    """Be one of the two processes; the first prints the rounds' seconds as JSON."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[index]})
    import jax
    import keras
    from jax.experimental import multihost_utils

    from kattn import distribution

    distribution.begin("data", address, 2, index)
    data = keras.distribution.distribution()
    together = encoder()
    keras.distribution.set_distribution(None)
    alone = encoder()
    steps = {
        f"alone {size}": training_step(alone, size, None)
        for size in (batch // 2, batch, 2 * batch)
    }
    steps["together"] = training_step(together, batch, data)
    steps |= {f"reduce {size}": all_reduces(size) for size in REDUCED}
    measured = []
    for turn in range(2 + rounds):
        seconds = {}
        for name, step in steps.items():
            multihost_utils.sync_global_devices(name)
            began = time.perf_counter()
            step()
            own = np.float32(time.perf_counter() - began)
            # Of the slower one, for which the other would wait.
            seconds[name] = float(multihost_utils.process_allgather(own).max())
        if turn > 1:  # the first two compile
            measured.append(seconds)
    if index == 0:
        gradients = [4 * int(np.prod(w.shape)) for w in together.trainable_weights]
        print(json.dumps({"rounds": measured, "gradients": gradients}))
    jax.distributed.shutdown()


def encoder():
    """A classifier whose vocabulary is most of its weights."""
    import keras

    from kattn import models

    keras.utils.set_random_seed(0)
    backbone = models.AttentionEncoderBackbone(VOCABULARY, WIDTH, feed_forward_dim=512)
    return models.AttentionEncoderTextClassifier(
        backbone, preprocessor=None, num_classes=2
    )


def training_step(model, batch, distribution):
    """A function that trains a model on a batch."""
    import keras

    ids = np.random.default_rng(0).integers(2, VOCABULARY, (batch, LENGTH), "int32")
    x, y = {"token_ids": ids, "padding_mask": ids > 0}, np.arange(batch) % 2

    def step():
        keras.distribution.set_distribution(distribution)
        model.train_on_batch(x, y)

    return step


def all_reduces(size):
    """A function that averages so many bytes of both processes, `TIMES` in a row."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    mesh, split = jax.make_mesh((2,), ("host",)), PartitionSpec("host")

    def average(x):
        return jax.lax.fori_loop(0, TIMES, lambda _, x: jax.lax.pmean(x, "host"), x)

    averaged = jax.jit(
        jax.shard_map(
            average, mesh=mesh, in_specs=split, out_specs=split, check_vma=False
        )
    )
    x = jax.make_array_from_process_local_data(
        NamedSharding(mesh, split), np.ones(size // 4, "float32")
    )
    return lambda: averaged(x).block_until_ready()


def measure(batch, rounds):
    """The rounds of two processes, and the bytes of each weight's gradient."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--work", json.dumps([address, index])]
            + ["--batch-size", str(batch), "--rounds", str(rounds)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    said = [process.communicate() for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"A process failed: {said[0][1][-2000:]}")
    found = json.loads(said[0][0].splitlines()[-1])
    return found["rounds"], found["gradients"]


# === Predicted ===


def computed(seconds, batch):
    """Of a round: seconds of no example, and of one more."""
    half, double = seconds[f"alone {batch // 2}"], seconds[f"alone {2 * batch}"]
    example = (double - half) / (1.5 * batch)
    return half - example * batch / 2, example


def link(rounds):
    """The latency and the bytes a second at which the all-reduces come nearest.

    Of two, one takes `2 latency + size / bandwidth`.
    """
    times = [statistics.median(r[f"reduce {s}"] for r in rounds) for s in REDUCED]
    times = np.array(times) / TIMES
    # Each of the sizes counts the same, though the largest takes the longest.
    terms = np.array([[2, size] for size in REDUCED]) / times[:, None]
    latency, byte = np.linalg.lstsq(terms, np.ones(len(times)))[0]
    return latency, 1 / byte


def reduced(hosts, size, messages, latency, bandwidth):
    """Seconds of ring all-reduces of so many bytes, in so many messages."""
    sent = 2 * (hosts - 1) / hosts * size
    return 2 * (hosts - 1) * messages * latency + sent / bandwidth


def gathered(hosts, size, latency, bandwidth):
    """Seconds until each host has the bytes that each of the others has."""
    return (hosts - 1) * (latency + size / bandwidth)


# === Shown ===


def check(rounds, gradients, batch, console):
    """Compare with what was measured; whether all are near enough."""
    latency, bandwidth = link(rounds)
    console.print(
        f"Loopback: {1e6 * latency:,.0f} microseconds, "
        f"{8e-9 * bandwidth:.1f} Gbit/s; {len(gradients)} gradients of "
        f"{sum(gradients) / 1e6:.1f} MB, {max(gradients) / 1e6:.1f} of them the words'"
    )
    table = Table("processes", box=box.SIMPLE)
    for heading in ("predicted ms", "measured ms", "ratio", f"within {WITHIN:.0%}"):
        table.add_column(heading, justify="right")
    near = []
    for count, name in ((1, f"alone {batch}"), (2, "together")):
        added = reduced(count, sum(gradients), len(gradients), latency, bandwidth)
        predicted = []
        for seconds in rounds:
            fixed, example = computed(seconds, batch)
            predicted.append(fixed + batch * example + added)
        measured = [seconds[name] for seconds in rounds]
        ratio = statistics.median(np.divide(measured, predicted))
        near.append(abs(ratio - 1) <= WITHIN)
        middle = [f"{1e3 * statistics.median(x):,.0f}" for x in (predicted, measured)]
        table.add_row(str(count), *middle, f"{ratio:.2f}", "yes" if near[-1] else "no")
    console.print(table)
    return all(near)


def predict(rounds, gradients, arguments, console):
    """Print the table of 1 to 256 hosts."""
    batch, latency = arguments.batch_size, 1e-6 * arguments.latency
    bandwidth = 1e9 / 8 * arguments.bandwidth
    fixed, example = np.median([computed(r, batch) for r in rounds], axis=0)
    alone = fixed + batch * example
    messages = arguments.messages or len(gradients)
    words = 4 * VOCABULARY * WIDTH
    rows = 4 * batch * LENGTH * (WIDTH + 1)
    console.print(
        f"{batch} examples a host, {arguments.bandwidth:g} Gbit/s, "
        f"{arguments.latency:g} microseconds, {messages} messages; a step alone: "
        f"{1e3 * fixed:.0f} + {batch} * {1e3 * example:.1f} ms. Words: dense "
        f"{words / 1e6:.1f} MB, sparse {rows / 1e6:.2f} MB a host"
    )
    table = Table("hosts", box=box.SIMPLE)
    for heading in ("ms a step", "examples a second", "efficiency", "ms, sparse"):
        table.add_column(heading, justify="right")
    for hosts in HOSTS:
        line = latency, bandwidth
        dense = alone + reduced(hosts, sum(gradients), messages, *line)
        others = sum(gradients) - words
        sparse = alone + gathered(hosts, rows, *line)
        sparse += reduced(hosts, others, max(messages - 1, 1), *line)
        table.add_row(
            str(hosts),
            f"{1e3 * dense:,.0f}",
            f"{hosts * batch / dense:,.0f}",
            f"{alone / dense:.0%}",
            f"{1e3 * sparse:,.0f}",
        )
    console.print(table)


def main():
    """Measure, check and predict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--bandwidth", type=float, default=10, help="of a link, Gbit/s (10)"
    )
    parser.add_argument(
        "--latency", type=float, default=50, help="of a message, microseconds (50)"
    )
    parser.add_argument(
        "--messages", type=int, help="of an all-reduce: one a weight, as gloo does"
    )
    parser.add_argument("--batch-size", type=int, default=16, help="of a host (16)")
    parser.add_argument("--rounds", type=int, default=15, help="of the check (15)")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work, arguments.batch_size, arguments.rounds)
        return
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        parser.error("The check pins two processes to a core each, which needs Linux.")
    console = Console(width=100, highlight=False)
    rounds, gradients = measure(arguments.batch_size, arguments.rounds)
    near = check(rounds, gradients, arguments.batch_size, console)
    predict(rounds, gradients, arguments, console)
    sys.exit(0 if near else 1)


if __name__ == "__main__":
    main()
