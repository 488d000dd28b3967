"""The presets that come with kattn: what of, how good and how large they are."""

import dataclasses
import json
import tomllib

from kattn.models.presets import folders


@dataclasses.dataclass(frozen=True)
class Preset:
    """A trained model that comes with kattn.

    Args:
        name: What `from_preset` takes.
        model: Its family, as `train.py --model` calls it.
        corpus: What it was trained on, as `kattn.datasets.load` calls it.
        accuracy: On the corpus's test split: the mean of all seeds. Of a model that
            writes, the share of texts that are written as a reference has them.
        deviation: Its standard deviation; `None` where one seed alone was trained.
        baseline: What a plain model gets on the same split; see `kattn.baseline`.
        megabytes: Size of its files.
        measures: Of a model that writes, the means of its other figures, by the names
            that `kattn.writing.figures` has for them.
    """

    name: str
    model: str
    corpus: str
    accuracy: float
    deviation: float | None
    baseline: float | None
    megabytes: float
    measures: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether it is a model that writes, and not a classifier."""
        return bool(self.measures)


def presets() -> list[Preset]:
    """List the presets that come with kattn.

    Example:
        >>> next(p for p in presets() if p.name == "han_bbc_en").corpus
        'bbc'
    """
    return [describe(name, folder) for name, folder in folders().items()]


def describe(name: str, folder) -> Preset:
    """A preset as its recipe.toml, its metrics.json and its files describe it."""
    keys = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    listed = json.loads((folder / "kattn.json").read_text(encoding="utf-8"))["files"]
    return Preset(
        name,
        keys["model"],
        keys["dataset"],
        metrics.get("mean", metrics["test"]["accuracy"]),
        metrics.get("standard_deviation"),
        metrics.get("baseline", {}).get("accuracy"),
        sum((folder / file).stat().st_size for file in listed) / 1e6,
        {n: found["mean"] for n, found in metrics.get("measures", {}).items()},
    )
