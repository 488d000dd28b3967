"""One recipe, several seeds: what they gave, and the one that is kept."""

import json
import shutil
import statistics
from pathlib import Path

from kattn.files import replacing


def keep_best(folder, finished) -> dict:
    """Keep the run that is best on validation, and write what all of them gave.

    The best is the one of highest validation accuracy, ties going to the lower loss:
    the test split chooses nothing.

    Args:
        folder: Gets `preset/` and `saved_model/` of the best run, and with them its
            history, its page of attention and its metrics; `metrics.json` has beside
            these `seeds`, the accuracies of all runs, and the `mean` and
            `standard_deviation` of those on the test split.
        finished: Seed to the folder of its run.

    Returns:
        The metrics.
    """
    folder = Path(folder)
    metrics = {seed: _metrics(run) for seed, run in finished.items()}
    best = max(metrics, key=lambda seed: _rank(metrics[seed]))
    for path in sorted(finished[best].iterdir()):
        if path.is_dir():
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        elif path.name not in ("metrics.json", "recipe.toml"):
            with replacing(folder / path.name) as copy:
                shutil.copyfile(path, copy)
    test = [one["test"]["accuracy"] for one in metrics.values()]
    splits = [
        name for name in ("test", "unseen", "validation") if name in metrics[best]
    ]
    return {
        **metrics[best],
        "seeds": {
            str(seed): {name: one[name]["accuracy"] for name in splits}
            for seed, one in metrics.items()
        },
        **_spread(test),
    }


def of_seeds(finished, measures) -> dict:
    """What each seed gave on the test split.

    Args:
        finished: Seed to the folder of its run.
        measures: Names of measures; those that the runs lack are left out.

    Returns:
        For each measure `seeds`, a figure each, their `mean` and their
        `standard_deviation`.
    """
    tests = {str(seed): _metrics(run)["test"] for seed, run in finished.items()}
    found = {}
    for name in measures:
        figures = {seed: test[name] for seed, test in tests.items() if name in test}
        if figures:
            found[name] = {"seeds": figures, **_spread(list(figures.values()))}
    return found


def _spread(figures):
    deviation = statistics.stdev(figures) if len(figures) > 1 else 0.0
    return {"mean": statistics.fmean(figures), "standard_deviation": deviation}


def _metrics(run):
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def _rank(metrics):
    return metrics["validation"]["accuracy"], -metrics["validation"]["loss"]
