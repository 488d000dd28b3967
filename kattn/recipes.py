"""What train.py does, callable from Python: data, model, training, figures, files."""

import dataclasses
import hashlib
import itertools
import sys
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from sklearn.utils.class_weight import compute_class_weight

from kattn import (
    baseline,
    building,
    datasets,
    distribution,
    pictures,
    recipe,
    repeats,
    report,
    robustness,
    seq2seq_recipes,
)
from kattn.asked import asked
from kattn.datasets.equality import apart, unseen
from kattn.models.families import FAMILIES, family
from kattn.models.word_embedding import NAME
from kattn.progress import CHECKPOINT, Progress
from kattn.recipe import Recipe
from kattn.run_files import versions, write_history, write_metrics
from kattn.saved_models import write_saved_model

#: Where a run keeps the training on another corpus that it begins with.
FIRST = "first"


def run(arguments: dict) -> Path:
    """Do what the command line asks for.

    Args:
        arguments: Keys of a `Recipe` that are given, and `recipe` (a file, whose keys
            they override), `output`, `resume` (folders), `tensorboard`, and those of
            `kattn.distribution.begin`.

    Returns:
        The folder of the run.

    Raises:
        ValueError: If a key or a value is not one of a recipe's, or `output` is not
            empty.
        FileNotFoundError: If a file named is not there.
        ImportError: If `tensorboard` is asked for and not installed.
    """
    if seq2seq_recipes.asked_for(arguments):
        return seq2seq_recipes.run(arguments)
    arguments = dict(arguments)
    names = ("distribute", "coordinator", "num_processes", "process_id")
    processes = distribution.begin(*(arguments.pop(name, None) for name in names))
    alone = processes.count == 1 or arguments.get("resume")
    if not alone and arguments.get("output") is None:
        raise ValueError("Processes that train together are told where: --output")
    return _all(*asked(arguments, Recipe, complete), processes)


def _all(chosen, folder, tensorboard, processes):
    if processes.count > 1 and (chosen.seeds or chosen.pretrain):
        raise ValueError(
            "Several processes do one training. Leave out --seeds and --pretrain; what "
            "was learned before is given by --vectors or --from-preset."
        )
    try:
        if chosen.seeds:
            return train_seeds(chosen, folder, tensorboard)
        return train(chosen, folder, tensorboard, processes=processes)
    except KeyboardInterrupt:
        if (folder / "recipe.toml").is_file():
            Console(highlight=False).print(
                f"\nTo go on later: python train.py --resume {folder}"
            )
        raise


def complete(keys: dict) -> Recipe:
    """A recipe of the keys given, and of what their model family has for others.

    Args:
        keys: Keys of a `Recipe`.

    Returns:
        The recipe.

    Raises:
        ValueError: If a value is not one of a recipe's, the family is not known, or it
            has no such option.
    """
    model = keys.get("model", Recipe.model)
    kin = family(model)
    others = {name for other in FAMILIES.values() for name in other.options()}
    for name in others - {*kin.options()}:
        if keys.get(name) is not None:
            fields = {field.name for field in dataclasses.fields(Recipe)}
            raise ValueError(
                f"The model {model!r} has no option {name!r}. Its options are: "
                f"{', '.join(sorted(fields & {*kin.options()}))}"
            )
    readers = [
        name
        for name, other in FAMILIES.items()
        if hasattr(other.classifier.backbone_cls, "word_recurrence")
    ]
    if keys.get("pretrain") == "language_model" and model not in readers:
        raise ValueError(
            "A language model teaches a model that reads words one by one: "
            f"{', '.join(readers)}. Received: {model!r}"
        )
    return Recipe(**{**kin.defaults, **keys})


def train(
    chosen: Recipe,
    folder: Path,
    tensorboard: bool = False,
    corpus=None,
    processes=distribution.Processes(),  # noqa: B008
) -> Path:
    """Train, evaluate, save and export by a recipe; go on where a former try stopped.

    Args:
        chosen: The recipe.
        folder: The run's folder: it gets `preset/`, `saved_model/1/`, `metrics.json`,
            `history.csv`, `recipe.toml`, `learning_curves.png`, `confusion.png` and,
            if the model weighs words, `attention.html`.
        tensorboard: Whether to write logs for TensorBoard to `tensorboard/`.
        corpus: The recipe's `kattn.datasets.Corpus`, where it was loaded already.
        processes: Those that train together; the first one writes the files, and the
            folder is one that all can read.

    Returns:
        The folder.
    """
    console = Console(highlight=False, quiet=not processes.first)
    began = time.perf_counter()
    policy = "mixed_bfloat16" if chosen.mixed_precision else "float32"
    keras.config.set_dtype_policy(policy)

    corpus = corpus or _corpus(chosen)
    report.show_corpus(corpus, console)
    if chosen.pretrain:
        _begin(chosen, corpus, folder)
    if chosen.pretrain in datasets.names():
        going_on = _trained_first(chosen, corpus, folder)
    else:
        going_on = building.pretrained(chosen, corpus, folder, console)
    same = dataclasses.replace(chosen, data_dir=None)  # which may be elsewhere
    processes.agree(recipe=repr(same).encode(), data=_content(corpus))
    keras.utils.set_random_seed(chosen.seed)
    with processes.scope():
        classifier = building.build(going_on, corpus, console)
    if processes.first:
        folder.mkdir(parents=True, exist_ok=True)
        recipe.write(chosen, folder / "recipe.toml")

    progress = Progress(folder, chosen.patience, processes.first)
    resumed = (folder / CHECKPOINT).is_file()
    if resumed:
        with processes.scope():
            progress.restore(classifier)
        console.print(f"Going on after epoch {progress.next_epoch}.")
    console.print(
        f"{chosen.model}: {classifier.count_params():,} parameters, at most "
        f"{chosen.epochs} epochs; writing to {folder}"
    )
    callbacks = [progress]
    if tensorboard and processes.first:
        callbacks.append(keras.callbacks.TensorBoard(str(folder / "tensorboard")))
    if not progress.finished(chosen.epochs):
        with processes.scope(), processes.together(folder):
            classifier.fit(
                corpus.train.texts,
                corpus.train.labels,
                batch_size=chosen.batch_size,
                validation_data=(corpus.validation.texts, corpus.validation.labels),
                epochs=chosen.epochs,
                initial_epoch=progress.next_epoch,
                callbacks=callbacks,
                class_weight=_class_weight(chosen, corpus),
                seed=chosen.seed,
                verbose=(1 if sys.stdout.isatty() else 2) if processes.first else 0,
            )
    if processes.part():
        if not processes.first:
            return folder
        classifier = building.build(going_on, corpus, Console(quiet=True))
    classifier.set_weights(progress.best_weights)
    parameters = classifier.count_params()
    if chosen.quantize and not classifier.backbone.token_embedding.quantization_mode:
        classifier.quantize(chosen.quantize, filters=NAME)

    test = corpus.test
    predicted = classifier.predict(test.texts, batch_size=64, verbose=0).argmax(axis=-1)
    figures = report.figures(test.labels, predicted, corpus.class_names)
    report.show_figures(figures, console)

    classifier.save_to_preset(folder / "preset")
    write_saved_model(classifier, folder)
    # Ten of all classes: official splits are often sorted by class.
    shown = test.take(np.random.default_rng(0).permutation(len(test))[:10])
    if classifier.weighs_words:
        explanations = classifier.explain(shown.texts)
        explanations.to_html(folder / "attention.html", shown.labels.tolist())
    write_history(progress.history, folder / "history.csv")
    pictures.learning_curves(
        progress.history, progress.best_epoch, folder / "learning_curves.png"
    )
    pictures.confusion(figures, folder / "confusion.png")
    best = progress.history[progress.best_epoch]
    metrics = {
        "test": figures,
        "validation": {"accuracy": best["val_accuracy"], "loss": best["val_loss"]},
        "best_epoch": progress.best_epoch + 1,
        "epochs": len(progress.history),
        "seed": chosen.seed,
        "training_examples": len(corpus.train),
        "parameters": parameters,
        "seconds": {
            "training": sum(row["seconds"] for row in progress.history),
            "total": time.perf_counter() - began,
            "resumed": resumed,
        },
        "versions": versions(),
    }
    if chosen.ngrams:
        metrics["alone"] = _opinions(classifier, corpus.validation)
    rows = unseen(corpus)
    if len(rows) < len(test):
        right = predicted == test.labels
        metrics["unseen"] = {
            "examples": len(rows),
            "accuracy": float(right[rows].mean()),
        }
    # Last, for it says that the run is finished.
    write_metrics(metrics, folder)
    (folder / CHECKPOINT).unlink()
    seconds = metrics["seconds"]["total"]
    console.print(f"Finished in {seconds:.0f} s. Written to {folder}:")
    for name in sorted(p.name for p in folder.iterdir()):
        console.print(f"  {name}")
    return folder


def train_seeds(chosen: Recipe, folder: Path, tensorboard: bool = False) -> Path:
    """Train with each seed of a recipe, and keep the run that is best on validation.

    Args:
        chosen: The recipe.
        folder: The run's folder: it gets what `train` writes for the best run, and a
            folder `seed_<n>` with all of each. `metrics.json` has the accuracies of
            all seeds beside the best one's, what a plain model gets, and for single
            texts how the best one does on texts that are not as those it learned from.
        tensorboard: As for `train`.

    Returns:
        The folder.
    """
    console = Console(highlight=False)
    corpus = _corpus(chosen)
    _begin(chosen, corpus, folder)
    same = dataclasses.replace(chosen, seeds=None)
    if chosen.pretrain not in datasets.names():  # which each seed begins with
        same = building.pretrained(same, corpus, folder, console)
    finished = {seed: folder / f"seed_{seed}" for seed in chosen.seeds}
    for seed, run in finished.items():
        if not (run / "metrics.json").is_file():
            train(dataclasses.replace(same, seed=seed), run, tensorboard)
    metrics = repeats.keep_best(folder, finished)
    metrics["baseline"] = baseline.measure(corpus)
    if not corpus.pairs:
        kept = family(chosen.model).classifier.from_preset(folder / "preset")
        metrics["robustness"] = robustness.measure(kept, corpus.test)
    write_metrics(metrics, folder)
    report.show_seeds(metrics, console)
    return folder


def _trained_first(chosen, corpus, folder):
    """Train on the labels of another corpus; the recipe to go on with from there."""
    other = {"dataset": chosen.pretrain, "pretrain": None}
    kept = {"ngrams": None, "quantize": None}  # what is for the finished model alone
    first = dataclasses.replace(chosen, **other, **kept)
    run = folder / FIRST
    if not (run / "metrics.json").is_file():
        train(first, run, corpus=apart(_corpus(first), corpus))
    start = {"pretrain": None, "vectors": None, "from_preset": str(run / "preset")}
    return dataclasses.replace(chosen, **start)


def _corpus(chosen):
    """The corpus of a recipe, if its model can read it."""
    corpus = building.corpus_of(chosen)
    kin = family(chosen.model)
    if corpus.pairs != kin.pairs:
        reads, has = ("pairs of texts", "single texts")[:: 1 if kin.pairs else -1]
        raise ValueError(
            f"The model {chosen.model!r} reads {reads}, and the corpus "
            f"{corpus.name!r} has {has}."
        )
    return corpus


def _content(corpus):
    """What a training reads of a corpus, as bytes."""
    digest = hashlib.sha256()
    for split in (corpus.train, corpus.validation):
        texts = split.texts if corpus.pairs else (split.texts,)
        for text in itertools.chain(*texts):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
        digest.update(split.labels.tobytes())
    return digest.digest()


def _begin(chosen, corpus, folder):
    """Write the recipe, so that a killed run can go on, if it makes a model."""
    building.build(chosen.without_pretraining(), corpus, Console(quiet=True))
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(chosen, folder / "recipe.toml")


def _opinions(classifier, split):
    """Accuracies of a classifier's network and of its n-grams, each alone."""
    inputs = classifier.preprocessor(split.texts)
    said = classifier.opinions_model().predict(inputs, batch_size=64, verbose=0)
    return {
        name: float(np.mean(logits.argmax(axis=-1) == split.labels))
        for name, logits in said.items()
    }


def _class_weight(chosen, corpus):
    if chosen.class_weight is None:
        return None
    classes = np.unique(corpus.train.labels)
    weights = compute_class_weight("balanced", classes=classes, y=corpus.train.labels)
    return {int(c): float(w) for c, w in zip(classes, weights, strict=True)}
