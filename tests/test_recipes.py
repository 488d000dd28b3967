"""train.py as its users have it: what it writes, what it refuses, what it resumes."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

import kattn
from kattn import building, command_line, recipe, recipes, report, run_files
from kattn.__main__ import main
from kattn.progress import CHECKPOINT
from kattn.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
SMALL = {
    "text_column": "review",
    "label_column": "stars",
    "epochs": 6,
    "patience": 9,
    "batch_size": 16,
    "min_count": 1,
    "max_words": 8,
    "max_sentences": 4,
    "embedding_dim": 8,
    "units": 4,
    "attention_units": 4,
    "learning_rate": 0.02,
}
# A model that is traced in half the time, where any will do.
FLAT = {k: v for k, v in SMALL.items() if k != "max_sentences"}
FLAT["model"] = "bilstm_attention"


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A CSV of the user's own, in which one word decides."""
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    draw = np.random.default_rng(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "stars"])
        for i in range(100):
            words = list(draw.choice(["film", "plot", "was", "long", "the"], 5))
            words.insert(draw.integers(6), ["awful", "great"][i % 2])
            writer.writerow(
                [f"It began. {' '.join(words)}, they said.", 1 + 4 * (i % 2)]
            )
    return path


@pytest.fixture(scope="module")
def finished(reviews, tmp_path_factory):
    """A run from beginning to end."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    recipes.run({**SMALL, "dataset": str(reviews), "output": str(folder)})
    return folder


def arguments(options):
    return [
        part
        for k, v in options.items()
        for part in (f"--{k.replace('_', '-')}", str(v))
    ]


def command(*options, **more):
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *map(str, options)],
        capture_output=True,
        text=True,
        **more,
    )


# === What a run writes ===


def test_a_run_writes_everything_and_no_more(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        "attention.html",
        "confusion.png",
        "history.csv",
        "learning_curves.png",
        "metrics.json",
        "preset",
        "recipe.toml",
        "saved_model",
    ]
    assert [path.name for path in (finished / "saved_model").iterdir()] == ["1"]


def test_metrics_are_fractions_of_the_test_split(finished, reviews):
    metrics = json.loads((finished / "metrics.json").read_text())
    corpus = kattn.datasets.load(reviews, text="review", label="stars")
    model = kattn.models.TextClassifier.from_preset(finished / "preset")
    predicted = model.predict(corpus.test.texts, verbose=0).argmax(-1)
    right = predicted == corpus.test.labels
    assert metrics["test"]["accuracy"] == pytest.approx(right.mean())
    assert metrics["test"]["examples"] == len(corpus.test)
    assert np.trace(metrics["test"]["confusion"]) == right.sum()
    assert set(metrics["test"]["per_class"]) == {"1", "5"}
    assert metrics["seed"] == 0
    assert metrics["parameters"] == model.count_params()
    assert metrics["versions"]["kattn"] == kattn.__version__
    assert model.class_names == ["1", "5"]


def test_history_has_a_row_for_each_epoch(finished):
    with open(finished / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"} <= set(rows[0])
    assert float(rows[5]["loss"]) < float(rows[0]["loss"])


def test_the_resolved_recipe_names_every_choice(finished, reviews):
    keys = tomllib.loads((finished / "recipe.toml").read_text())
    assert Recipe(**keys) == Recipe(**{**SMALL, "dataset": str(reviews)})
    assert keys["dropout"] == Recipe().dropout


def test_the_preset_saved_is_the_best_epochs(finished, reviews):
    metrics = json.loads((finished / "metrics.json").read_text())
    corpus = kattn.datasets.load(reviews, text="review", label="stars")
    model = kattn.models.TextClassifier.from_preset(finished / "preset")
    loss, accuracy = model.evaluate(
        corpus.validation.texts, corpus.validation.labels, verbose=0
    )
    assert metrics["validation"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert metrics["validation"]["loss"] == pytest.approx(loss, abs=1e-5)


def test_a_finished_run_is_not_resumed_nor_written_over(finished):
    with pytest.raises(ValueError, match="is finished"):
        recipes.run({"resume": str(finished)})
    before = sorted(finished.rglob("*"))
    with pytest.raises(ValueError, match="not empty"):
        recipes.run({"output": str(finished)})
    assert sorted(finished.rglob("*")) == before


def test_trained_weights_can_be_the_start_of_another_run(finished, reviews, tmp_path):
    chosen = Recipe(
        **{**SMALL, "dataset": str(reviews), "from_preset": str(finished / "preset")}
    )
    corpus = kattn.datasets.load(reviews, text="review", label="stars")
    model = building.build(chosen, corpus, Console(quiet=True))
    start = kattn.models.TextClassifier.from_preset(finished / "preset")
    for got, expected in zip(model.get_weights(), start.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)
    three = dataclasses.replace(corpus, class_names=("a", "b", "c"))
    other = building.build(chosen, three, Console(quiet=True))
    assert other.class_names == ["a", "b", "c"]
    np.testing.assert_array_equal(
        other.backbone.get_weights()[0], start.backbone.get_weights()[0]
    )


def test_word_vectors_start_the_embedding_and_set_its_width(reviews, tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("great 0.5 -1 2\nunheard 1 1 1\n")
    corpus = kattn.datasets.load(reviews, text="review", label="stars")
    chosen = Recipe(**{**SMALL, "dataset": str(reviews), "vectors": str(vectors)})
    with (console := Console()).capture() as shown:
        model = building.build(chosen, corpus, console)
    table = np.array(model.backbone.token_embedding.embeddings)
    number = model.preprocessor.tokenizer.token_to_id("great")
    np.testing.assert_allclose(table[number], [0.5, -1, 2])
    assert model.backbone.embedding_dim == 3
    assert "1 of" in shown.get()


def test_word_vectors_are_kept_in_eight_bits_and_the_figures_are_of_them(
    reviews, tmp_path
):
    tf = pytest.importorskip("tensorflow")
    folder = tmp_path / "run"
    options = {**FLAT, "epochs": 2, "ngrams": 50, "quantize": "int8"}
    recipes.run({**options, "dataset": str(reviews), "output": str(folder)})
    model = kattn.models.TextClassifier.from_preset(folder / "preset")
    table = model.backbone.token_embedding
    assert table.quantization_mode == "int8" and model.ngram_logits.adapted
    assert {v.dtype for v in table.variables} == {"int8", "float32"}
    metrics = json.loads((folder / "metrics.json").read_text())
    scales = table.input_dim  # one for each word
    assert model.count_params() == metrics["parameters"] + scales
    corpus = kattn.datasets.load(reviews, text="review", label="stars")
    test, held = corpus.test, corpus.validation
    predicted = model.predict(test.texts, verbose=0).argmax(axis=-1)
    assert metrics["test"]["accuracy"] == np.mean(predicted == test.labels)
    for name, logits in model.opinions_model()(model.preprocessor(held.texts)).items():
        right = np.array(logits).argmax(axis=-1) == held.labels
        assert metrics["alone"][name] == pytest.approx(right.mean())
    served = tf.saved_model.load(str(folder / "saved_model" / "1"))
    given = served.signatures["serving_default"](text=tf.constant(test.texts))
    np.testing.assert_allclose(
        given["probabilities"], model.predict_proba(test.texts, verbose=0), atol=1e-5
    )


def test_the_module_exports_a_preset_and_trains_by_the_same_rules(
    finished, tmp_path, capsys
):
    main(["export", str(finished / "preset"), str(tmp_path / "served")])
    assert (tmp_path / "served" / "1" / "saved_model.pb").is_file()
    assert str(tmp_path / "served" / "1") in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--model", "hna", "--output", str(tmp_path / "run")])
    assert stopped.value.code == 1
    assert "Did you mean 'han'" in capsys.readouterr().err


# === Resuming ===


def epochs_done(folder):
    """Epochs in a run's checkpoint, which is whole whenever it is there."""
    if not (folder / CHECKPOINT).is_file():
        return 0
    with np.load(folder / CHECKPOINT) as archive:
        return len(json.loads(str(archive["state"]))["history"])


def test_killed_after_an_epoch_and_resumed_it_gives_the_same_figures(
    finished, reviews, tmp_path
):
    killed = tmp_path / "killed"
    options = arguments({**SMALL, "dataset": reviews, "output": killed})
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while epochs_done(killed) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "metrics.json").exists()
    assert 2 <= epochs_done(killed) < SMALL["epochs"], "killed too late"

    recipes.run({"resume": str(killed)})

    def figures(folder):
        with open(folder / "history.csv", newline="") as file:
            rows = [
                [float(v) for k, v in row.items() if k != "seconds"]
                for row in csv.DictReader(file)
            ]
        metrics = json.loads((folder / "metrics.json").read_text())
        return rows, metrics["validation"], metrics["test"]["confusion"]

    rows, validation, confusion = figures(killed)
    expected_rows, expected_validation, expected_confusion = figures(finished)
    np.testing.assert_allclose(rows, expected_rows, atol=1e-6)
    assert validation == pytest.approx(expected_validation, abs=1e-6)
    assert confusion == expected_confusion
    assert json.loads((killed / "metrics.json").read_text())["seconds"]["resumed"]
    a = kattn.models.TextClassifier.from_preset(killed / "preset").get_weights()
    b = kattn.models.TextClassifier.from_preset(finished / "preset").get_weights()
    for got, expected in zip(a, b, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_checkpoint_of_another_model_or_half_a_file_is_refused(finished, tmp_path):
    model = kattn.models.TextClassifier.from_preset(finished / "preset")
    progress = kattn.progress.Progress(tmp_path, 1)
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 half")
    with pytest.raises(ValueError, match="cannot be read"):
        progress.restore(model)
    state = {"history": [], "best_epoch": 0, "stopped": False}
    state["counts"] = {"variables": 1, "optimizer": 0, "best": 0}
    np.savez(
        tmp_path / CHECKPOINT,
        **{"state": np.array(json.dumps(state)), "variables/0": np.zeros(3)},
    )
    with pytest.raises(ValueError, match="of another model"):
        progress.restore(model)


# === Bad input ===


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "hna"}, "Unknown model.*Did you mean 'han'"),
        ({"dataset": "bcb"}, "Unknown dataset"),
        ({"epoch": 3}, "Unknown recipe key.*Did you mean 'epochs'"),
        ({"from_preset": "han_bbc"}, "Unknown preset"),
        ({"recipe": "nowhere.toml"}, "no recipe file"),
        ({"vectors": "nowhere.txt"}, "nowhere.txt"),
        ({"resume": "nowhere"}, "no run to resume"),
        ({"resume": "nowhere", "epochs": 3}, "stands alone"),
        ({"epochs": 0}, "'epochs' is at least 1"),
        ({"hops": 3}, "'han' has no option 'hops'. Its options are: attention_units"),
        ({"model": "bilstm_attention", "pooling": "men"}, "Did you mean 'mean'"),
        ({"model": "apcnn", "kernel_sizes": []}, "of type a list of int"),
        ({"model": "apcnn", "kernel_sizes": [3, 0]}, "is at least 1"),
        ({"model": "abcnn"}, "reads pairs of texts, and the corpus .* single texts"),
        ({"dropout": 1.5}, "less than 1"),
        ({"pretrain": "word2vex"}, "Did you mean 'word2vec'"),
        ({"pretrain": "bbc", "dataset": "bbc"}, "is another corpus than the recipe"),
        ({"pretrain": "word2vec", "vectors": "x.txt"}, "are learned, read or a preset"),
        ({"seeds": [1, 1]}, "'seeds' are different"),
        ({"seeds": [0, 1], "from_preset": "han_bbc"}, "Unknown preset"),
        ({"model": "abcnn", "seeds": [0, 1]}, "reads pairs of texts"),
        ({"label_column": "star"}, "star"),
    ],
)
def test_bad_input_is_explained_and_leaves_nothing(
    options, message, reviews, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    small = SMALL
    if "model" in options:  # which has other options than the model of SMALL
        small = {"text_column": "review", "label_column": "stars"}
    given = {**small, "dataset": str(reviews), **options}
    if "resume" in options:
        given = options
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        recipes.run(given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = ", "not TOML"),
        ("epochs = 'three'", "of type int"),
        ("epochs = 3.5", "of type int"),
        ("class_weight = 'fair'", "Unknown class weight"),
        ("lerning_rate = 0.1", "Did you mean 'learning_rate'"),
    ],
)
def test_a_bad_recipe_file_is_explained(text, message, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        recipes.run({"recipe": str(path), "output": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()


def test_tensorboard_that_is_not_installed_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"kattn\[tensorboard\]"):
        recipes.run({"tensorboard": True, "output": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs whose label is whether both texts have the same number in them."""
    rows = [
        f"the number {i % 7}\tnumber {(i + i // 2 % 2) % 7} it is\t{i // 2 % 2}\n"
        for i in range(80)
    ]
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    path.write_text("p\th\tl\n" + "".join(rows))
    columns = {"premise_column": "p", "hypothesis_column": "h", "label_column": "l"}
    return {**columns, "dataset": str(path)}


def test_pairs_are_refused_by_a_model_of_single_texts(pairs, tmp_path):
    with pytest.raises(ValueError, match="reads single texts, .* has pairs of texts"):
        recipes.run({**pairs, "output": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()


def test_a_run_on_pairs_writes_everything(pairs, tmp_path):
    options = {"model": "abcnn", "pair_features": True, "epochs": 1, "filters": 4}
    folder = recipes.run({**pairs, **options, "output": str(tmp_path / "run")})
    figures = json.loads((folder / "metrics.json").read_text())["test"]
    assert figures["examples"] == 10
    text = (folder / "attention.html").read_text()
    assert text.count("premise") >= 8 and "hypothesis" in text
    made = tomllib.loads((folder / "recipe.toml").read_text())
    assert made["pair_features"] is True and made["model"] == "abcnn"
    assert "units" not in made
    assert (folder / "saved_model" / "1" / "saved_model.pb").is_file()


def test_the_command_line_says_one_sentence_and_exits_nonzero(tmp_path):
    done = command("--model", "hna", cwd=tmp_path)
    assert done.returncode == 1
    assert "Did you mean 'han'" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(capsys):
    with pytest.raises(ValueError, match="x"), command_line.reporting(debug=True):
        raise ValueError("x")
    with pytest.raises(SystemExit), command_line.reporting(debug=False):
        raise ValueError("a sentence")
    assert "error: a sentence" in capsys.readouterr().err


def test_help_needs_nothing_but_the_standard_library(tmp_path):
    done = command("--help", env={"PATH": os.environ["PATH"], "PYTHONPATH": ""})
    assert done.returncode == 0
    assert "--resume" in done.stdout
    blocked = "import sys; sys.modules.update(keras=None, numpy=None, tensorflow=None)"
    script = f"{blocked}; import runpy; sys.argv = ['train.py', '--help']; "
    script += f"runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


# === Several seeds, and vectors learned first ===


@pytest.mark.parametrize("seeds", [None, [0, 1]])
def test_stopped_while_it_learns_without_labels_a_run_can_go_on(
    seeds, reviews, tmp_path, monkeypatch, capsys
):
    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "learn_vectors", stopped)
    folder = tmp_path / "run"
    options = {**FLAT, "dataset": str(reviews), "pretrain": "word2vec", "seeds": seeds}
    with pytest.raises(KeyboardInterrupt):
        recipes.run({**options, "output": str(folder)})
    assert f"--resume {folder}" in capsys.readouterr().out.replace("\n", "")
    assert [path.name for path in folder.iterdir()] == ["recipe.toml"]
    with pytest.raises(KeyboardInterrupt):  # it is there again
        recipes.run({"resume": str(folder)})


def test_another_corpus_is_trained_on_first(reviews, tmp_path, monkeypatch):
    corpus = kattn.datasets.load(reviews, text="review", label="stars")
    more = dataclasses.replace(
        corpus,
        class_names=("a", "b", "c"),
        train=kattn.datasets.Split(
            [*corpus.train.texts, *corpus.test.texts, "a tale of whales"],
            np.append(np.resize([0, 1, 2], 90), 2).astype("int32"),
        ),
    )
    corpora = {"trec": corpus, "trec50": more}
    monkeypatch.setattr(building, "corpus_of", lambda chosen: corpora[chosen.dataset])
    folder = tmp_path / "run"
    options = {**FLAT, "epochs": 1, "dataset": "trec", "pretrain": "trec50"}
    recipes.run({**options, "seeds": [3], "output": str(folder)})
    first = kattn.models.TextClassifier.from_preset(
        folder / "seed_3" / recipes.FIRST / "preset"
    )
    kept = kattn.models.TextClassifier.from_preset(folder / "preset")
    assert first.class_names == ["a", "b", "c"] and kept.class_names == ["1", "5"]
    words = kept.preprocessor.tokenizer.get_vocabulary()
    assert words == first.preprocessor.tokenizer.get_vocabulary() and "whales" in words
    assert recipe.read(folder / "seed_3" / "recipe.toml")["pretrain"] == "trec50"
    # What the corpus holds out was not learned from.
    held = {*corpus.validation.texts, *corpus.test.texts}
    shown = {text for text in more.train.texts if text not in held}
    metrics = json.loads(
        (folder / "seed_3" / recipes.FIRST / "metrics.json").read_text()
    )
    assert metrics["training_examples"] == len(shown)


def test_of_several_seeds_the_one_best_on_validation_is_kept(reviews, tmp_path):
    pytest.importorskip("gensim", reason="the extra `vectors` is not installed")
    # All texts are test texts too, and ten more: most of them stand in train.
    with open(reviews, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    test_file = tmp_path / "test.csv"
    with open(test_file, "w", newline="", encoding="utf-8") as file:
        more = [[f"{text} At last.", stars] for text, stars in rows[:10]]
        csv.writer(file).writerows([header, *rows, *more])
    options = {
        **FLAT,
        "dataset": str(reviews),
        "test_file": str(test_file),
        "pretrain": "word2vec",
        "epochs": 2,
        "seeds": [3, 1],
    }
    folder = recipes.run({**options, "output": str(tmp_path / "run")})
    metrics = json.loads((folder / "metrics.json").read_text())
    ran = {
        seed: json.loads((folder / f"seed_{seed}" / "metrics.json").read_text())
        for seed in (3, 1)
    }
    for seed, one in ran.items():
        assert one["seed"] == seed
        assert metrics["seeds"][str(seed)] == {
            part: one[part]["accuracy"] for part in ("test", "unseen", "validation")
        }
        # Nine tenths are trained on, and a tenth is the validation split.
        assert one["test"]["examples"] == 110 and one["unseen"]["examples"] == 20
    test = [one["test"]["accuracy"] for one in ran.values()]
    assert metrics["mean"] == pytest.approx(np.mean(test))
    assert metrics["standard_deviation"] == pytest.approx(np.std(test, ddof=1))
    best = max(
        ran.values(),
        key=lambda one: (one["validation"]["accuracy"], -one["validation"]["loss"]),
    )
    assert metrics["seed"] == best["seed"]
    assert metrics["test"] == best["test"]
    assert metrics["baseline"]["accuracy"] == 1
    assert set(metrics["robustness"]) == {
        *("typos", "lower", "upper", "length_quartiles")
    }
    kept = kattn.models.TextClassifier.from_preset(folder / "preset")
    one = kattn.models.TextClassifier.from_preset(
        folder / f"seed_{best['seed']}" / "preset"
    )
    texts = ["It was great.", "It was awful."]
    np.testing.assert_array_equal(
        kept.predict(texts, verbose=0), one.predict(texts, verbose=0)
    )
    # All seeds start from one set of vectors, and the recipe says how they came to be.
    assert recipe.read(folder / "recipe.toml")["pretrain"] == "word2vec"
    assert (folder / building.VECTORS).is_file()
    for seed in ran:
        keys = recipe.read(folder / f"seed_{seed}" / "recipe.toml")
        assert keys["vectors"] == str(folder / building.VECTORS)

    # Killed before its end it goes on with the seeds that are missing.
    (folder / "metrics.json").unlink()
    shutil.rmtree(folder / "seed_1")
    before = (folder / "seed_3" / "metrics.json").stat().st_mtime_ns
    recipes.run({"resume": str(folder)})
    again = json.loads((folder / "metrics.json").read_text())
    assert (folder / "seed_3" / "metrics.json").stat().st_mtime_ns == before
    assert again["seeds"] == metrics["seeds"]


def test_every_recipe_key_is_an_argument_of_the_command_line():
    import dataclasses

    keys = {field.name for field in dataclasses.fields(Recipe)}
    known = {action.dest for action in command_line.parser()._actions}
    extra = {"help", "recipe", "backend", "output", "resume", "evaluate"}
    extra |= {"tensorboard", "debug"}
    extra |= {"distribute", "coordinator", "num_processes", "process_id"}
    assert known == keys | extra


# === Parts ===


def test_output_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = Recipe(dataset="some/reviews.csv")
    for name in ("han-reviews", "han-reviews-2", "han-reviews-3"):
        folder = run_files.new_folder(chosen.model, chosen.dataset)
        assert folder == Path("runs", name)
        folder.mkdir(parents=True)


def test_balanced_classes_count_the_same():
    labels = np.array([0] * 30 + [2] * 10)
    corpus = kattn.datasets.Corpus(
        "x", ("a", "b", "c"), *[kattn.datasets.Split([""] * 40, labels)] * 3, notes=()
    )
    assert recipes._class_weight(Recipe(), corpus) is None
    weights = recipes._class_weight(Recipe(class_weight="balanced"), corpus)
    assert weights == {0: pytest.approx(40 / 60), 2: pytest.approx(2.0)}


def test_a_limit_keeps_so_many_texts_and_says_so(reviews):
    corpus = kattn.datasets.load(reviews, text="review", label="stars")
    some = building.limited(corpus, 7)
    assert [len(s) for s in (some.train, some.validation, some.test)] == [7, 7, 7]
    assert "At most 7" in some.notes[-1]


def test_figures_are_those_of_the_predictions():
    figures = report.figures([0, 0, 1, 2], [0, 1, 1, 1], ("a", "b", "c"))
    assert figures["accuracy"] == 0.5
    assert figures["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    # f1 by hand: a 2/3, b 1/2, c 0
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 3)
    with (console := Console()).capture() as shown:
        report.show_figures(figures, console)
    assert "0.5000" in shown.get()


def test_recipes_round_trip(tmp_path):
    chosen = Recipe(dataset='a "b"\\c.csv', learning_rate=1, dropout=0)
    recipe.write(chosen, tmp_path / "recipe.toml")
    assert Recipe(**recipe.read(tmp_path / "recipe.toml")) == chosen


def test_another_backend_trains_and_its_export_is_written_by_tensorflow(
    reviews, tmp_path
):
    pytest.importorskip("jax", reason="JAX is not installed")
    options = {**FLAT, "epochs": 1, "limit": 20, "dataset": reviews}
    folder = tmp_path / "run"
    done = command(*arguments(options), "--backend", "jax", "--output", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "saved_model" / "1" / "saved_model.pb").is_file()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["versions"]["backend"] == "jax"
    assert keras.backend.backend() == "tensorflow"
