"""Is kattn fast? Its layers and models against their peers, in one process.

    python tests/benchmarks/run.py [--quick] [--only WORDS]

Every side is checked in float64, layers against the formula, then timed in turn with
the others: the medians of repeated steps, and the median ratio of a peer's time to
kattn's. PyTorch has a process of its own, so that neither library disturbs the other.
Memory is the rise of a process's peak over what its imports take, each in a process of
its own. Peers that are not installed are left out; they come with
`pip install "kattn[bench]"`.
"""

import argparse
import importlib.util
import itertools
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import layers  # noqa: E402
import measure  # noqa: E402
import tokenizing  # noqa: E402
import training  # noqa: E402
from rich import box  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from kattn.files import replacing  # noqa: E402


def show(results, console):
    """Print a row for every side of every case."""
    table = Table(box=box.SIMPLE)
    table.add_column("case")
    table.add_column("side")
    for heading in ("ms", "a second", "peer / kattn", "goal", "peak MB"):
        table.add_column(heading, justify="right")
    for name, result in results.items():
        for side, row in result["sides"].items():
            goal = result["goal"].get(side)
            memory = row.get("memory_mb")
            table.add_row(
                name if side == "kattn" else "",
                side,
                f"{row['median_ms']:,.1f}",
                rate(result, row),
                "" if side == "kattn" else f"{row['ratio']:.2f}",
                "" if goal is None else f">= {goal:g}",
                "" if memory is None else f"{memory:,.0f}",
            )
        table.add_section()
    console.print(table)


def measured(case, repeats, elsewhere):
    """Medians and ratios of a case's sides."""
    found = measure.times(case, repeats, elsewhere=elsewhere)
    return measure.ratios(found, "kattn")


def named(name):
    """The case of that name."""
    models = itertools.chain(training.cases(), tokenizing.cases())
    found = (case for case in models if case.name == name)
    return next(found, None) or layers.named(name)


def rate(result, row):
    """Texts or documents a second, where a step does many."""
    if result["units"] == 1:
        return ""
    return f"{1000 * result['units'] / row['median_ms']:,.0f} {result['unit']}"


def grow(repeats, console, elsewhere):
    """Time and memory of the cases that grow, by kind, side and length."""
    found = {}
    for kind, lengths in layers.LENGTHS.items():
        for length in lengths:
            case = layers.named(f"{kind}:{length}")
            console.print(case.name, style="dim")
            for side, row in measured(case, repeats, elsewhere).items():
                row["memory_mb"] = measure.memory(__file__, case.name, side)
                found.setdefault(kind, {}).setdefault(side, {})[length] = row
    return found


def save(found, folder):
    """Write all that was found so far."""
    with replacing(folder / "benchmarks.json") as path:
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def draw(growth, path):
    """Draw time and peak memory against the length of the text."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 8), layout="constrained")
    columns = (("median_ms", "ms a training step"), ("memory_mb", "peak memory, MB"))
    for row, (kind, sides) in zip(axes, growth.items(), strict=True):
        for panel, (key, label) in zip(row, columns, strict=True):
            for side, points in sides.items():
                known = {n: p[key] for n, p in points.items() if p[key] is not None}
                panel.plot(list(known), list(known.values()), "o-", label=side)
            panel.set(title=kind, xlabel="words of a text", ylabel=label)
            panel.set_xscale("log", base=2)
            lengths = sorted({n for points in sides.values() for n in points})
            panel.set_xticks(lengths, [f"{n:,}" for n in lengths])
            # A step that takes no more than imports did has a rise of 0.
            panel.set_yscale("log" if key == "median_ms" else "symlog", base=10)
            panel.grid(alpha=0.3, which="both")
            panel.legend(fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def remember(case, side):
    """Do a side's step once, and print by how much the peak of memory rose."""
    before = measure.peak()
    case = layers.named(case)
    case.sides[side]()()
    print(json.dumps({"mb": measure.peak() - before}))


def main():
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under three minutes")
    parser.add_argument("--only", default="", help="cases whose name has these words")
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--output", default="runs/benchmarks")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        remember(*arguments.memory)
        return
    console = Console(width=120)
    repeats = arguments.repeats or (5 if arguments.quick else 11)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    results, growth = {}, {}
    found = {"machine": measure.machine(), "results": results, "growth": growth}
    cases = layers.cases(arguments.quick)
    if not arguments.quick:
        cases = itertools.chain(cases, tokenizing.cases(), training.cases())
    elsewhere = measure.Process(measure.Sides, named)
    for case in cases:
        if arguments.only not in case.name:
            continue
        console.print(case.name, style="dim")
        rows = measured(case, repeats, elsewhere)
        if not (arguments.quick or arguments.no_memory or case.units > 1):
            for side, row in rows.items():
                row["memory_mb"] = measure.memory(__file__, case.name, side)
        # Goals are set for texts of full length.
        goal = {} if arguments.quick else case.goal
        about = {"goal": goal, "units": case.units, "unit": case.unit}
        results[case.name] = {"sides": rows, **about}
        save(found, folder)  # what was measured is not lost with what was not
    show(results, console)
    if not (arguments.quick or arguments.only):
        growth |= grow(3, console, elsewhere)
        save(found, folder)
    if growth and importlib.util.find_spec("matplotlib"):
        draw(growth, folder / "benchmarks.png")


if __name__ == "__main__":
    main()
