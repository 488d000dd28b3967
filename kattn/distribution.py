"""Training on many devices: how processes find each other, and which one does what."""

import atexit
import contextlib
import dataclasses
import hashlib
import multiprocessing
import os
import re
import socket
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path

import keras
import numpy as np

from kattn import last_words
from kattn.names import unknown

_TO_MEET = 60  # seconds that processes wait for each other
_TO_MISS = 30  # seconds after which a process that says nothing is taken for dead
# What the collectives of CPUs, GPUs and TPUs say of a process that is gone.
_LOST = re.compile("gloo|nccl|peer|heartbeat|unavailable|coordination", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them.

    Args:
        index: The number of this one; the first writes the files.
        count: How many there are.
        scope: Makes the context that a model is made in.
    """

    index: int = 0
    count: int = 1
    scope: object = contextlib.nullcontext

    @property
    def first(self):
        """Whether this is the one that prints and writes."""
        return self.index == 0

    def agree(self, **what):
        """Raise a `ValueError` if the processes are not about to do the same.

        All processes call this together.

        Args:
            **what: Name to bytes that are the same in all of them. The code of kattn is
                compared, too.
        """
        if self.count == 1:
            return
        from jax.experimental import multihost_utils

        for name, content in {"code": _code(), **what}.items():
            digest = np.frombuffer(hashlib.sha256(content).digest(), "int32")
            for other, theirs in enumerate(multihost_utils.process_allgather(digest)):
                if (theirs != digest).any():
                    raise ValueError(
                        f"All processes have the same {name}. Received: process "
                        f"{other} has another than process {self.index}."
                    )

    @contextlib.contextmanager
    def together(self, folder):
        """A training that all processes take part in, and which none survives alone.

        Args:
            folder: Of the run, to go on with.
        """
        if self.count == 1:
            yield
            return
        lost = (
            "Another process of this training has stopped, or cannot be reached. "
            f"To go on, start all {self.count} of them again with --resume {folder}"
        )
        try:
            with last_words.spoken(lost):  # JAX aborts those whose process 0 is gone
                yield
        except (RuntimeError, ValueError) as error:  # JAX's are either
            if not _LOST.search(str(error)):
                raise
            atexit.register(_leave)
            raise RuntimeError(f"{lost} ({_short(error)})") from error

    def part(self):
        """Go separate ways after the training.

        Returns:
            Whether a model that was made together is of no use to one alone.
        """
        if keras.distribution.distribution() is None:
            return False
        keras.distribution.set_distribution(None)
        if self.count > 1:
            import jax

            jax.distributed.shutdown()
        return True


def begin(distribute=None, coordinator=None, num_processes=None, process_id=None):
    """Join the other processes of a training.

    On JAX these are found by the address of the first, or by JAX itself under SLURM,
    Kubernetes or on a TPU; without either, this process's devices share the work. On
    TensorFlow they are the devices of this machine.

    Args:
        distribute: `"data"`: each device reads a part of every batch. `None`: one does.
        coordinator: `"host:port"` of process 0.
        num_processes: How many processes there are.
        process_id: The number of this one, from 0.

    Returns:
        The `Processes`.

    Raises:
        ValueError: If the arguments do not fit together, with the backend, or with
            those of the other processes.
        RuntimeError: If the others are not found, or process 0 cannot listen.
    """
    given = {
        "--coordinator": coordinator,
        "--num-processes": num_processes,
        "--process-id": process_id,
    }
    named = [name for name, value in given.items() if value is not None]
    if distribute is None:
        if named:
            raise ValueError(f"{named[0]} goes with --distribute data.")
        return Processes()
    if distribute != "data":
        raise unknown("distribution", distribute, ["data"])
    if named and len(named) < len(given):
        raise ValueError(
            f"{', '.join(given)} go together. Received: {', '.join(named)}"
        )
    if named and not 0 <= process_id < num_processes:
        raise ValueError(
            f"Processes are numbered from 0 to {num_processes - 1}. "
            f"Received: --process-id {process_id}"
        )
    if named and not re.fullmatch(r".+:\d+", coordinator):
        raise ValueError(
            "The address of process 0 has a host and a port, as 10.0.0.1:4000. "
            f"Received: --coordinator {coordinator}"
        )
    backend = keras.backend.backend()
    if backend == "tensorflow":
        if named:
            raise ValueError(
                "On TensorFlow the devices of one machine share the work. For several "
                "processes or machines: --backend jax"
            )
        import tensorflow as tf

        return Processes(scope=tf.distribute.MirroredStrategy().scope)
    if backend != "jax":
        raise ValueError(
            "Training is distributed on JAX, or over the devices of one machine on "
            f"TensorFlow. Received: --backend {backend}"
        )
    import jax

    _meet(coordinator, num_processes, process_id)
    processes = Processes(jax.process_index(), jax.process_count())
    # JAX goes by what process 0 said, and leaves out who is more.
    processes.agree(**{"--num-processes": repr(num_processes).encode()})
    data = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(data)
    return processes


def _meet(coordinator, num_processes, process_id):
    import jax

    if coordinator is not None:  # said first, for JAX may end the process in what comes
        print(
            f"Process {process_id} of {num_processes} waits for the others at "
            f"{coordinator}, {_TO_MEET} s at most.",
            file=sys.stderr,
            flush=True,
        )
    if process_id == 0:
        _check_free(coordinator)
    where = coordinator or "the coordinator that JAX found"
    apart = (
        f"{num_processes or 'All'} processes did not meet at {where} within "
        f"{_TO_MEET} s. Is process 0 running there, are all of them, each with a "
        "--process-id of its own, and is --num-processes the same for all?"
    )
    # In a thread that can be left: JAX aborts when its own time is over.
    meeting = ThreadPool(1).apply_async(
        jax.distributed.initialize,
        (coordinator, num_processes, process_id),
        {
            "initialization_timeout": 2 * _TO_MEET,
            "heartbeat_timeout_seconds": _TO_MISS,
        },
    )
    try:
        with last_words.spoken(apart):  # JAX aborts one that is not waited for
            meeting.get(_TO_MEET)
    except ValueError:
        if coordinator is not None:
            raise
        # JAX found no cluster that it knows: this process is alone.
    except (multiprocessing.TimeoutError, RuntimeError) as error:
        atexit.register(_leave)
        raise RuntimeError(f"{apart} ({_short(error) or 'no answer'})") from error


def _check_free(coordinator):
    """Raise a `RuntimeError` if process 0 cannot listen, where JAX would crash."""
    try:
        socket.create_server(("", int(coordinator.rpartition(":")[2]))).close()
    except (OSError, OverflowError) as error:
        raise RuntimeError(
            f"Process 0 listens at {coordinator}, a port that no other program has. "
            f"Received: {error}"
        ) from error


def _leave():
    """End at once: JAX would wait for who is dead, and then abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _code():
    """The source of kattn."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return b"".join(path.read_bytes() for path in files)


def _short(error):
    return str(error).strip().split("\n")[0][:200]
