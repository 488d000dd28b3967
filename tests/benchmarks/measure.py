"""How the benchmarks measure: in turn, after warming up, checked before timed."""

import dataclasses
import gc
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
    """One comparison: the same work, done by kattn and by its peers.

    Args:
        name: What is compared, in a few words.
        sides: By name, functions that prepare the work and give a step: a function
            without arguments that does it once and gives arrays. The first side is
            kattn's.
        expected: Function that gives what a step's arrays are, in float64; or `None`
            where the sides cannot be equal, as models that draw their weights.
        goal: The ratio to reach, peer's time to kattn's, by the peer's name.
        units: How many of `unit` one step does.
        unit: What throughput counts, say "documents".
        rtol: How near to `expected` the arrays are, relative to the largest entry.
        repeats: The most often each side is timed, where a step takes seconds.
    """

    name: str
    sides: dict[str, Callable[[], Callable]]
    expected: Callable | None = None
    goal: dict[str, float] = dataclasses.field(default_factory=dict)
    units: int = 1
    unit: str = "steps"
    rtol: float = 1e-4
    repeats: int = 100


def check(case, side, step):
    """Raise an `AssertionError` where a side gives something else than it should."""
    if case.expected is None:
        return
    expected = [np.asarray(wanted) for wanted in case.expected()]
    largest = max(np.abs(wanted).max() for wanted in expected)
    for got, wanted in zip(step.arrays(), expected, strict=True):
        furthest = np.abs(got.astype("float64") - wanted).max()
        # A slope that is 0 by the formula is rounding, of what others have.
        limit = case.rtol * max(np.abs(wanted).max(), 1e-3 * largest)
        assert furthest <= limit, f"{case.name}, {side}: off by {furthest:.2g}"


class Here:
    """A side's step, done in this process."""

    def __init__(self, case, side):
        self.step = case.sides[side]()

    def arrays(self):
        """What the step gives."""
        return [np.asarray(x) for x in self.step()]

    def seconds(self):
        """How long it takes."""
        began = time.perf_counter()
        self.step()
        return time.perf_counter() - began


class Process:
    """An object in a process of its own, whose methods are asked for.

    TensorFlow's pipelines change how memory is handed out, and PyTorch then trained a
    model in three times its time.

    Args:
        make: What makes the object, at the top of a module.
        *arguments: What it is given.
    """

    def __init__(self, make, *arguments):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        parts = theirs, make, arguments
        self.work = context.Process(target=_answer, args=parts, daemon=True)
        self.work.start()

    def ask(self, method, *arguments):
        """What the method gives; an error is raised here."""
        self.connection.send((method, arguments))
        answer = self.connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self):
        """Let the process go."""
        self.connection.send(None)
        self.work.join()


def _answer(connection, make, arguments):
    there = make(*arguments)
    while True:
        try:
            question = connection.recv()
        except EOFError:  # who asked has ended
            return
        if question is None:
            return
        method, given = question
        try:
            answer = getattr(there, method)(*given)
        except Exception as error:  # raised where it was asked
            answer = error
        connection.send(answer)


class Sides:
    """The sides of the case that was asked for last, by name."""

    def __init__(self, named):
        self.named = named
        self.case, self.sides = None, {}

    def make(self, name, side):
        """Prepare a side."""
        if self.case is None or self.case.name != name:
            self.case, self.sides = self.named(name), {}
        self.sides[side] = Here(self.case, side)

    def arrays(self, side):
        """What its step gives."""
        return self.sides[side].arrays()

    def seconds(self, side):
        """How long its step takes."""
        return self.sides[side].seconds()


class There:
    """A side's step, done in another process; as `Here`."""

    def __init__(self, process, case, side):
        self.process, self.side = process, side
        process.ask("make", case.name, side)

    def arrays(self):
        """What the step gives."""
        return self.process.ask("arrays", self.side)

    def seconds(self):
        """How long it takes."""
        return self.process.ask("seconds", self.side)


#: How the names of the sides begin that PyTorch does.
TORCH = "torch", "flex", "entmax"


def times(case, repeats, warm=2, elsewhere=None):
    """Seconds of each side's steps, the sides taken in turn.

    Args:
        case: A `Case`.
        repeats: How often each side does its step.
        warm: How often before that, which does not count.
        elsewhere: A `Process` of `Sides`, for PyTorch's; all are done here if `None`.

    Returns:
        A dictionary: a side's name to its list of seconds. A peer that cannot be made
        here, as its package is not installed, is left out; so is one that is wrong.

    Raises:
        AssertionError: If kattn's side is wrong.
    """
    repeats = min(repeats, case.repeats)
    steps = {}
    for name in case.sides:
        there = elsewhere is not None and name.startswith(TORCH)
        try:
            steps[name] = There(elsewhere, case, name) if there else Here(case, name)
        except ImportError as error:
            print(f"  {name} is left out: {error}", file=sys.stderr)
            continue
        try:
            check(case, name, steps[name])
        except AssertionError as error:
            if name == next(iter(case.sides)):
                raise  # kattn's
            print(f"  {name} is left out, for it is wrong: {error}", file=sys.stderr)
            del steps[name]
            continue
        for _ in range(warm):
            steps[name].seconds()
    found = {name: [] for name in steps}
    gc.disable()
    try:
        for _ in range(repeats):
            for name, step in steps.items():
                found[name].append(step.seconds())
    finally:
        gc.enable()
    return found


def ratios(found, mine):
    """Medians, and the median of each peer's ratio to mine, round by round."""
    return {
        name: {
            "median_ms": 1000 * statistics.median(seconds),
            "ratio": statistics.median(
                theirs / own for theirs, own in zip(seconds, found[mine], strict=True)
            ),
        }
        for name, seconds in found.items()
    }


def peak():
    """The most memory this process has held, in MB."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux the other figure starts at the parent's
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(script, case, side, timeout=600):
    """The rise of peak memory over what imports take, in a process of its own.

    Args:
        script: The Python file that does it, as `SCRIPT --memory CASE SIDE`.
        case: Name of a case.
        side: Name of one of its sides.
        timeout: Seconds until it is given up.

    Returns:
        MB, or `None` where the process died, as it does when memory runs out.
    """
    command = [sys.executable, script, "--memory", case, side]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        return None
    return json.loads(done.stdout.splitlines()[-1])["mb"]


def machine():
    """What the figures were taken on."""
    import os
    import platform

    lines = Path("/proc/cpuinfo")
    model = platform.processor()
    if lines.is_file():
        for line in lines.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
