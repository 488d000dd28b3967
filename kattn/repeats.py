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
        "mean": statistics.fmean(test),
        "standard_deviation": statistics.stdev(test) if len(test) > 1 else 0.0,
    }


def _metrics(run):
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def _rank(metrics):
    return metrics["validation"]["accuracy"], -metrics["validation"]["loss"]
