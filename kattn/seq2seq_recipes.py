"""What train.py does for models that write: data, model, training, figures, files."""

import dataclasses
import sys
import time
from pathlib import Path

import keras
from rich.console import Console

from kattn import pictures, recipe, repeats, seq2seq_building, writing
from kattn.asked import asked
from kattn.models import half_precision
from kattn.progress import CHECKPOINT, Progress
from kattn.run_files import versions, write_history, write_metrics
from kattn.saved_models import write_saved_model
from kattn.seq2seq_recipe import MODEL, Seq2SeqRecipe, writes


def asked_for(arguments: dict) -> bool:
    """Whether a command line means a model that writes, and not a classifier.

    Args:
        arguments: As for `kattn.recipes.run`.
    """
    if "model" in arguments:
        return arguments["model"] == MODEL
    path = arguments.get("recipe")
    if arguments.get("resume"):
        path = Path(arguments["resume"], "recipe.toml")
    return path is not None and writes(path)


def run(arguments: dict) -> Path:
    """Do what the command line asks for.

    Args:
        arguments: As for `kattn.recipes.run`, the keys those of a `Seq2SeqRecipe`.

    Returns:
        The folder of the run.

    Raises:
        ValueError: If a key or a value is not one of a recipe's, or the folder is not
            empty.
        FileNotFoundError: If a file named is not there.
    """
    chosen, folder, tensorboard = asked(
        arguments, Seq2SeqRecipe, lambda keys: Seq2SeqRecipe(**keys)
    )
    try:
        return (train_seeds if chosen.seeds else train)(chosen, folder, tensorboard)
    except KeyboardInterrupt:
        if (folder / "recipe.toml").is_file():
            Console(highlight=False).print(
                f"\nTo go on later: python train.py --resume {folder}"
            )
        raise


def train(chosen: Seq2SeqRecipe, folder: Path, tensorboard: bool = False) -> Path:
    """Train, measure, save and export by a recipe; go on where a former try stopped.

    Args:
        chosen: The recipe.
        folder: The run's folder: it gets `preset/`, `saved_model/1/`, `metrics.json`,
            `history.csv`, `recipe.toml`, `learning_curves.png` and `written.tsv`, what
            was written of the test split.
        tensorboard: Whether to write logs for TensorBoard to `tensorboard/`.

    Returns:
        The folder.
    """
    console = Console(highlight=False)
    began = time.perf_counter()
    if chosen.bleu:
        writing.check_bleu()
    corpus = seq2seq_building.corpus_of(chosen)
    for note in corpus.notes:
        console.print(note)
    keras.utils.set_random_seed(chosen.seed)
    model = seq2seq_building.build(chosen, corpus)
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(chosen, folder / "recipe.toml")
    progress = Progress(folder, chosen.patience)
    resumed = (folder / CHECKPOINT).is_file()
    if resumed:
        progress.restore(model)
        console.print(f"Going on after epoch {progress.next_epoch}.")
    pairs = seq2seq_building.fitting(model, corpus.train.pairs())
    console.print(
        f"{chosen.model}: {model.count_params():,} parameters, {len(pairs[0]):,} pairs "
        f"to learn from, at most {chosen.epochs} epochs; writing to {folder}"
    )
    callbacks = [progress]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(str(folder / "tensorboard")))
    if not progress.finished(chosen.epochs):
        model.fit(
            pairs,
            batch_size=chosen.batch_size,
            validation_data=seq2seq_building.fitting(model, corpus.validation.pairs()),
            epochs=chosen.epochs,
            initial_epoch=progress.next_epoch,
            callbacks=callbacks,
            seed=chosen.seed,
            verbose=1 if sys.stdout.isatty() else 2,
        )
    if chosen.mixed_precision:  # what is kept computes like every other preset
        single = dataclasses.replace(chosen, mixed_precision=False)
        model = seq2seq_building.build(single, corpus)
    model.set_weights(progress.best_weights)
    if chosen.half_precision:
        half_precision.save(model, folder / "preset", chosen.mantissa_bits)
    else:
        model.save_to_preset(folder / "preset")
    write_saved_model(model, folder)
    metrics = {"validation": measure(model, corpus.validation, chosen)[0]}
    metrics["test"], metrics["length_quartiles"], written = measure(
        model, corpus.test, chosen
    )
    best = progress.history[progress.best_epoch]
    metrics["validation"] |= {
        "loss": best["val_loss"],
        "token_accuracy": best["val_accuracy"],
    }
    _write_written(corpus.test, written, folder / "written.tsv")
    write_history(progress.history, folder / "history.csv")
    pictures.learning_curves(
        progress.history, progress.best_epoch, folder / "learning_curves.png"
    )
    metrics |= {
        "best_epoch": progress.best_epoch + 1,
        "epochs": len(progress.history),
        "seed": chosen.seed,
        "training_examples": len(pairs[0]),
        "parameters": model.count_params(),
        "seconds": {
            "training": sum(row["seconds"] for row in progress.history),
            "total": time.perf_counter() - began,
            "resumed": resumed,
        },
        "versions": versions(),
    }
    # Last, for it says that the run is finished.
    write_metrics(metrics, folder)
    (folder / CHECKPOINT).unlink()
    for part in ("validation", "test"):
        console.print(part, {k: round(x, 4) for k, x in metrics[part].items()})
    return folder


def train_seeds(chosen: Seq2SeqRecipe, folder: Path, tensorboard: bool = False) -> Path:
    """Train with each seed of a recipe, and keep the run that is best on validation.

    Args:
        chosen: The recipe.
        folder: The run's folder: it gets what `train` writes for the best run, and a
            folder `seed_<n>` with all of each.
        tensorboard: As for `train`.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(chosen, folder / "recipe.toml")
    same = dataclasses.replace(chosen, seeds=None)
    finished = {seed: folder / f"seed_{seed}" for seed in chosen.seeds}
    for seed, one in finished.items():
        if not (one / "metrics.json").is_file():
            train(dataclasses.replace(same, seed=seed), one, tensorboard)
    metrics = repeats.keep_best(folder, finished)
    metrics["measures"] = repeats.of_seeds(finished, writing.MEASURES)
    write_metrics(metrics, folder)
    return folder


def measure(model, split, chosen: Seq2SeqRecipe) -> tuple[dict, list[dict], list[str]]:
    """Write a text for each source of a split, and compare it with the references.

    Args:
        model: An `AttentionSeq2Seq`.
        split: A `kattn.datasets.ParallelSplit`.
        chosen: The recipe, which says how to search.

    Returns:
        What `kattn.writing.figures` gives, of the tokens that references have; what
        `kattn.writing.by_length` does; and what was written.
    """
    written = model.generate(
        split.sources,
        beam_width=chosen.beam_width,
        length_penalty=chosen.length_penalty,
        batch_size=256,
    )
    tokenizer = model.preprocessor.target_tokenizer
    left_out = str.maketrans("", "", chosen.measured_without)
    measured = [text.translate(left_out) for text in written]
    references = [
        [
            text.decode().translate(left_out)
            for text in tokenizer.join(tokenizer.words(options)).numpy()
        ]
        for options in map(list, split.references)
    ]
    return (
        writing.figures(measured, references, chosen.bleu),
        writing.by_length(split.sources, measured, references, chosen.bleu),
        written,
    )


def _write_written(split, written, path):
    lines = ["source\treference\twritten"]
    for source, options, text in zip(
        split.sources, split.references, written, strict=True
    ):
        lines.append(f"{source}\t{' | '.join(options)}\t{text}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
