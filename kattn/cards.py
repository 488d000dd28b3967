"""The card of a preset and the README's table, written from what the run measured."""

import json
import re
import shutil
import statistics
import tempfile
from pathlib import Path

import tomli_w

from kattn import recipe, writing_cards
from kattn.datasets.description import LABELLED, PARALLEL
from kattn.datasets.description import describe as describe_corpus
from kattn.files import replacing
from kattn.listing import Preset, describe
from kattn.models import manifest, weight_files
from kattn.models.families import family
from kattn.recipe import Recipe
from kattn.seq2seq_recipe import Seq2SeqRecipe, writes

#: What only a person can say of a preset: what was tried, what it cannot do.
NOTES = "notes.md"
_WIDTH = 88  # of a line of code
_PAIR = '(["A dog is running."], ["There is no dog running."])'
_CHINESE_PAIR = '(["怎么还款"], ["如何还款"])'
_KEPT = (NOTES, "attention.png")
_TABLE = re.compile(r"(<!-- presets -->\n).*?(<!-- /presets -->\n)", re.DOTALL)


def publish(run, folder) -> Path:
    """Put a finished run's preset where it is shipped from, with its card.

    Args:
        run: The folder of a run by several seeds.
        folder: `models/<name>`. Its `notes.md` is kept, and ends the card; a picture
            of its attention is kept, too.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If the run is not finished.
    """
    run, folder = Path(run), Path(folder)
    if not (run / "metrics.json").is_file():
        raise FileNotFoundError(f"There is no finished run in {str(run)!r}.")
    file = run / "recipe.toml"
    keys = recipe.read(file, Seq2SeqRecipe if writes(file) else Recipe)
    keys.pop("data_dir", None)  # a folder of this machine
    if "vectors" in keys:
        keys["vectors"] = Path(keys["vectors"]).name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        made, former = Path(beside, "made"), Path(beside, "former")
        shutil.copytree(run / "preset", made)
        for path in made.glob("*.weights.h5"):
            weight_files.rewrite(path)
        manifest.write(made)
        shutil.copyfile(run / "metrics.json", made / "metrics.json")
        (made / "recipe.toml").write_text(tomli_w.dumps(keys), encoding="utf-8")
        for name in _KEPT:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, made / name)
        text = card(folder.name, made)
        (made / "README.md").write_text(text, encoding="utf-8")
        if folder.is_dir():
            folder.rename(former)
        made.rename(folder)
    return folder


def card(name: str, folder: Path) -> str:
    """The card of a preset, in Markdown.

    Args:
        name: The preset's name.
        folder: Its files, with `recipe.toml`, `metrics.json` and perhaps `notes.md`.
    """
    about = describe(name, folder)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    corpus = describe_corpus(about.corpus, PARALLEL if about.writes else LABELLED)
    if about.writes:
        parts = writing_cards.parts(about, metrics, corpus)
    else:
        parts = _parts(about, metrics, corpus, recipe.read(folder / "recipe.toml"))
    if (folder / NOTES).is_file():
        parts.append((folder / NOTES).read_text(encoding="utf-8").strip())
    parts += [
        "## License",
        f"Code and weights: Apache 2.0. The corpus: {corpus.licence.rstrip('.')}. "
        f"{corpus.citation}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _parts(about, metrics, corpus, keys):
    """What the card of a classifier says before its notes."""
    name, kin = about.name, family(about.model)
    classes = ", ".join(metrics["test"]["per_class"])
    example = '["A text of yours."]'
    if kin.pairs:
        example = _CHINESE_PAIR if name.endswith("_zh") else _PAIR
    vectors = " --vectors FILE" if "vectors" in keys else ""
    return [
        f"# {name}",
        f"{kin.title} ({kin.paper}), trained on "
        f"[{corpus.title}](../../datasets/{about.corpus}/README.md): {classes}.",
        f"```python\nimport kattn\n\n{_loading(kin, name)}\n"
        f"classifier.classify({example})\n```",
        "## Figures",
        _figures(about, metrics),
        _alone(metrics),
        _robustness(metrics),
        f"{metrics['parameters']:,} parameters, {about.megabytes:.1f} MB; "
        f"{metrics['seconds']['total']:,.0f} seconds of training a seed.",
        _quantized(keys),
        "## How it was trained",
        "On the training split alone, everything chosen on the validation split, the "
        "test split read once for each seed:",
        f"    python train.py models/{name}/recipe.toml --data-dir FOLDER{vectors}",
        f"`python train.py --evaluate {name} --data-dir FOLDER` finds it again.",
    ]


def _loading(kin, name):
    """The line that loads a preset; three, where it would be too long for one."""
    loader, of = f"classifier = kattn.models.{kin.classifier.__name__}", f'"{name}"'
    line = f"{loader}.from_preset({of})"
    if len(line) > _WIDTH:
        return f"{loader}.from_preset(\n    {of}\n)"
    return line


def _figures(about, metrics):
    """Test accuracy by seed, and what a plain model gets."""
    lines = ["| seed | validation | test |", "|---|---|---|"]
    for seed, one in metrics["seeds"].items():
        kept = " (this one)" if int(seed) == metrics["seed"] else ""
        accuracies = f"{_percent(one['validation'])} | {_percent(one['test'])}"
        lines.append(f"| {seed}{kept} | {accuracies} |")
    plain = metrics["baseline"]
    lines += [
        f"| mean, standard deviation | | {_percent(about.accuracy)}, "
        f"{100 * about.deviation:.1f} |",
        f"| {plain['method']} | | {_percent(plain['accuracy'])} |",
    ]
    if "unseen" in metrics:
        repeated = metrics["test"]["examples"] - metrics["unseen"]["examples"]
        mean = statistics.fmean(one["unseen"] for one in metrics["seeds"].values())
        lines.append(
            f"| mean without the {repeated:,} test examples that also stand in train "
            f"| | {_percent(mean)} |"
        )
    examples = f"{metrics['test']['examples']:,}"
    return f"Accuracy; {examples} test examples.\n\n" + "\n".join(lines)


def _alone(metrics):
    """What its parts get alone; "" where it is a network alone."""
    if "alone" not in metrics:
        return ""
    return (
        "The answer is the mean of a network's logits and of those that words and runs "
        "of words have by themselves (`ngrams`). On validation the network of this "
        f"seed alone gets {_percent(metrics['alone']['network'])}, the n-grams alone "
        f"{_percent(metrics['alone']['ngrams'])}, both together "
        f"{_percent(metrics['validation']['accuracy'])}."
    )


def _quantized(keys):
    """What 8 bits mean to who trains on; "" for word vectors of 32."""
    if "quantize" not in keys:
        return ""
    return (
        "Its word vectors are kept in 8 bits a number, which the figures are of; where "
        "the model is trained further, they stay as they are."
    )


def _robustness(metrics):
    """Accuracy on texts that are not as those it learned from; "" for pairs."""
    if "robustness" not in metrics:
        return ""
    found = metrics["robustness"]
    quarters = ", ".join(map(_percent, found["length_quartiles"]))
    lengths = (
        f"By length, from the shortest quarter of the texts to the longest: {quarters}."
    )
    if "typos" not in found:
        return lengths
    return (
        "The same texts with slips in 5 % of their letters: "
        f"{_percent(found['typos'])}; in lower case {_percent(found['lower'])}, in "
        f"upper case {_percent(found['upper'])}. {lengths}"
    )


def table(presets: list[Preset]) -> str:
    """The README's tables of presets, in Markdown: of those that write its own."""
    writers = [preset for preset in presets if preset.writes]
    lines = [
        "| preset | corpus | test accuracy, mean of the seeds | plain model | size |",
        "|---|---|---|---|---|",
    ]
    for preset in presets:
        if preset.writes:
            continue
        deviation = f" ± {100 * preset.deviation:.1f}" if preset.deviation else ""
        plain = _percent(preset.baseline) if preset.baseline else ""
        lines.append(
            f"| [`{preset.name}`](models/{preset.name}) | {preset.corpus} | "
            f"{_percent(preset.accuracy)}{deviation} | {plain} | "
            f"{preset.megabytes:.1f} MB |"
        )
    made = "\n".join(lines) + "\n"
    return f"{made}\n{writing_cards.table(writers)}" if writers else made


def refresh(readme, presets: list[Preset]) -> None:
    """Put the table of presets into a README, between its two marks."""
    readme = Path(readme)
    text = readme.read_text(encoding="utf-8")
    made = _TABLE.sub(lambda found: found[1] + table(presets) + found[2], text)
    with replacing(readme) as path:
        path.write_text(made, encoding="utf-8")


def _percent(fraction):
    return f"{100 * fraction:.1f} %"
