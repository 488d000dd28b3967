"""The cards of presets that write, and their table, from what the runs measured."""

from kattn.writing import MEASURES

# A source in the language of each corpus.
_EXAMPLES = {
    "cmudict": "attention",
    "cmudict_stress": "attention",
    "tatoeba": "我喜欢你的红帽子。",
}


def parts(about, metrics, corpus) -> list[str]:
    """What the card of a preset that writes says before its notes, in Markdown.

    Args:
        about: A `kattn.listing.Preset`.
        metrics: The content of its metrics.json.
        corpus: The description of its corpus.
    """
    return [
        f"# {about.name}",
        "An encoder-decoder whose attention asks anew at every step (Bahdanau et al. "
        "2015, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025), trained on "
        f"[{corpus.title}](../../datasets/{about.corpus}/README.md).",
        "```python\nimport kattn\n\n"
        f'model = kattn.models.AttentionSeq2Seq.from_preset("{about.name}")\n'
        f'model.generate(["{_EXAMPLES[about.corpus]}"], beam_width=5)\n```',
        "## Figures",
        _figures(metrics),
        *_by_length(metrics),
        f"{metrics['parameters']:,} parameters, {about.megabytes:.1f} MB; "
        f"{metrics['seconds']['training']:,.0f} seconds of training a seed.",
        "## How it was trained",
        "On the training split alone, everything chosen on the validation split, the "
        "test split read once for each seed:",
        f"    python train.py models/{about.name}/recipe.toml --data-dir FOLDER",
        f"`python train.py --evaluate {about.name} --data-dir FOLDER` finds it again.",
    ]


def _figures(metrics):
    """A row for each seed, a column for each measure."""
    measures = metrics["measures"]
    rule = "|---" * (1 + len(measures)) + "|"
    lines = [_row("seed", (MEASURES[name] for name in measures)), rule]
    for seed in metrics["seeds"]:
        kept = " (this one)" if int(seed) == metrics["seed"] else ""
        cells = (shown(name, x["seeds"][seed]) for name, x in measures.items())
        lines.append(_row(f"{seed}{kept}", cells))
    if len(metrics["seeds"]) > 1:
        means = (
            f"{shown(name, x['mean'])} ± {shown(name, x['standard_deviation'])}"
            for name, x in measures.items()
        )
        lines.append(_row("mean, standard deviation", means))
    return f"{metrics['test']['examples']:,} test sources.\n\n" + "\n".join(lines)


def _by_length(metrics):
    """A row for each quarter of the sources, of the run that was kept."""
    quarters = metrics.get("length_quartiles")
    if not quarters:
        return []
    names = [name for name in MEASURES if name in quarters[0]]
    lines = [
        _row("sources, from the shortest quarter", (MEASURES[name] for name in names)),
        "|---" * (1 + len(names)) + "|",
    ]
    for found in quarters:
        cells = (shown(name, found[name]) for name in names)
        lines.append(_row(f"of up to {found['longest']} characters", cells))
    return ["\n".join(lines)]


def table(presets) -> str:
    """The README's table of presets that write, in Markdown."""
    lines = [
        _row("preset", ["corpus", *MEASURES.values(), "size"]),
        "|---" * (3 + len(MEASURES)) + "|",
    ]
    for preset in presets:
        cells = (
            shown(name, preset.measures[name]) if name in preset.measures else ""
            for name in MEASURES
        )
        size = f"{preset.megabytes:.1f} MB"
        name = f"[`{preset.name}`](models/{preset.name})"
        lines.append(_row(name, [preset.corpus, *cells, size]))
    return "\n".join(lines) + "\n"


def shown(measure, figure) -> str:
    """A figure as it is written: a share in percent; BLEU is of 100 by itself."""
    return f"{figure:.1f}" if measure == "bleu" else f"{100 * figure:.1f} %"


def _row(first, cells):
    return "| " + " | ".join([first, *cells]) + " |"
