"""What is loaded is data: no file runs code, and none reaches out of its folder."""

import base64
import json
import marshal
import os
import pickle
import shutil
import tarfile
import types
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kattn import datasets, models, recipe
from kattn.datasets.archives import members
from kattn.models import manifest
from kattn.progress import CHECKPOINT, Progress

#: Who reads which file of a preset.
READERS = {
    "config.json": models.HierarchicalAttentionBackbone,
    "task.json": models.TextClassifier,
    "preprocessor.json": models.HierarchicalAttentionTextClassifierPreprocessor,
    "tokenizer.json": models.HierarchicalAttentionTokenizer,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    tokenizer = models.HierarchicalAttentionTokenizer(["good", "bad"])
    classifier = models.HierarchicalAttentionTextClassifier(
        models.HierarchicalAttentionBackbone(4, 3, units=2, attention_units=2),
        preprocessor=READERS["preprocessor.json"](tokenizer),
        class_names=["no", "yes"],
    )
    folder = tmp_path_factory.mktemp("safety") / "saved"
    classifier.save_to_preset(folder)
    return folder


@pytest.fixture
def preset(saved, tmp_path):
    """A copy to tamper with."""
    return Path(shutil.copytree(saved, tmp_path / "preset"))


@pytest.fixture
def mark(tmp_path):
    """The file that a payload would make."""
    path = tmp_path / "code-ran"
    yield path
    assert not path.exists()


def payload(mark):
    """Code of a lambda that makes the file, as Keras writes it."""
    code = eval(f"lambda x: __import__('os').mkdir({str(mark)!r})").__code__
    return base64.b64encode(marshal.dumps(code)).decode()


class Pickled:
    """What makes the file as soon as it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def refused(folder, match, name="task.json", error=(TypeError, ValueError)):
    """That a preset does not load where one of its files is read."""
    with pytest.raises(error, match=match):
        READERS[name].from_preset(folder)


def rewrite(path, change):
    """Change a JSON file of a preset and list it again, as its author would."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content) or content))
    manifest.write(path.parent)


def test_the_payloads_do_run_where_nothing_stops_them(tmp_path):
    pickle.loads(pickle.dumps(Pickled(tmp_path / "pickled")))
    assert (tmp_path / "pickled").exists()
    code = marshal.loads(base64.b64decode(payload(tmp_path / "lambda")))
    types.FunctionType(code, globals())(None)
    assert (tmp_path / "lambda").exists()


# === Classes ===


def foreign(mark):
    """Configs of what is no layer of Keras's or kattn's."""
    lambda_ = {
        "class_name": "__lambda__",
        "config": {"value": [payload(mark), None, None]},
        "registered_name": None,
    }
    yield {
        "module": "os",
        "class_name": "system",
        "config": {"command": f"touch {mark}"},
        "registered_name": "system",
    }
    yield {
        "module": "builtins",
        "class_name": "function",
        "config": "exec",
        "registered_name": "function",
    }
    yield lambda_
    yield {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": "l", "function": lambda_},
        "registered_name": None,
    }
    yield {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "layers": [
                {
                    "module": "keras.layers",
                    "class_name": "Lambda",
                    "config": {"name": "l", "function": lambda_},
                    "registered_name": None,
                }
            ]
        },
        "registered_name": "Sequential",
    }


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("name", READERS)
def test_a_foreign_class_for_a_part_of_a_preset(preset, mark, name, kind):
    rewrite(preset / name, lambda _: list(foreign(mark))[kind])
    refused(preset, "class|lambda|not a mapping", name)


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("name", ["config.json", "task.json"])
def test_a_foreign_class_within_a_config(preset, mark, name, kind):
    def change(content):
        config = content["config"]
        backbone = config["backbone"]["config"] if name == "task.json" else config
        backbone["normalizer"] = list(foreign(mark))[kind]

    rewrite(preset / name, change)
    refused(preset, "locate|ambda|normalizer", name)


def test_a_keras_file_with_a_lambda_layer(mark, tmp_path):
    lambda_ = keras.layers.Lambda(
        eval(f"lambda x: __import__('os').mkdir({str(mark)!r})")
    )
    path = tmp_path / "lambda.keras"
    inputs = keras.Input((2,))
    # Called for its shape alone, so that it runs first where it is loaded.
    outputs = keras.layers.Lambda(lambda x: x, output_shape=(2,), name="l")(inputs)
    keras.Model(inputs, outputs).save(path)
    tampered = tmp_path / "tampered.keras"
    with zipfile.ZipFile(path) as read, zipfile.ZipFile(tampered, "w") as written:
        for name in read.namelist():
            data = read.read(name)
            if name == "config.json":
                config = json.loads(data)
                for layer in config["config"]["layers"]:
                    if layer["class_name"] == "Lambda":
                        layer["config"]["function"] = lambda_.get_config()["function"]
                data = json.dumps(config)
            written.writestr(name, data)
    with pytest.raises(ValueError, match="[Ll]ambda"):
        keras.saving.load_model(tampered)


# === Folders ===


@pytest.mark.filterwarnings("ignore:The preset .* has no kattn.json")
@pytest.mark.parametrize("name", ["../../etc", "..", "/etc", "models/../../../etc"])
def test_a_name_that_is_a_way_out(tmp_path, monkeypatch, name):
    (tmp_path / "etc").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    refused(name, "no preset")
    with pytest.raises(ValueError, match="Received: "):
        datasets.load(name)


@pytest.mark.parametrize("name", ["model.weights.h5", "assets/tokenizer", "more"])
def test_a_link_that_leads_out(preset, saved, name):
    path = preset / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(saved / name)
    refused(preset, "lie in its folder.*a link to")


def test_links_of_the_hugging_face_cache_are_right(saved, tmp_path):
    snapshot, blobs = tmp_path / "snapshots" / "1", tmp_path / "blobs"
    shutil.copytree(saved, snapshot)
    blobs.mkdir()
    for number, path in enumerate(snapshot.rglob("*.h5")):
        path.rename(blobs / str(number))
        path.symlink_to(Path("..", "..", "blobs", str(number)))
    models.TextClassifier.from_preset(snapshot)


@pytest.mark.parametrize("name", ["../outside", "{}/outside"])
def test_a_list_of_files_that_names_another_folder(preset, name):
    outside = preset.parent / "outside"
    outside.write_text("")
    content = json.loads((preset / manifest.NAME).read_text())
    content["files"][name.format(preset.parent)] = manifest.digest(outside)
    (preset / manifest.NAME).write_text(json.dumps(content))
    refused(preset, "lie in its folder.*outside")


@pytest.mark.parametrize("name", ["preprocessor.json", "tokenizer.json"])
@pytest.mark.parametrize("value", ["{}/outside.json", "../outside.json", 3])
def test_a_config_that_names_a_file_elsewhere(preset, name, value):
    value = value.format(preset.parent) if isinstance(value, str) else value

    def change(content):
        content["config"]["config_file"] = value

    rewrite(preset / name, change)
    refused(preset, "name of a file, without a folder", name)


def test_a_config_that_names_a_file_as_vocabulary(preset):
    def change(content):
        content["config"]["vocabulary"] = "/etc/passwd"

    rewrite(preset / "tokenizer.json", change)
    refused(preset, "/etc/passwd", "tokenizer.json")


# === Weights ===


@pytest.mark.parametrize("name", ["model.weights.h5", "task.weights.h5"])
def test_weights_that_are_a_pickle(preset, mark, name):
    (preset / name).write_bytes(pickle.dumps(Pickled(mark)))
    refused(preset, "damaged")
    manifest.write(preset)
    refused(preset, "signature not found", error=OSError)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("link", ["external", "soft"])
def test_weights_that_lie_in_another_file(preset, saved, link):
    """Keras follows no link of HDF5, and misses what stands there."""
    with h5py.File(preset / "model.weights.h5", "a") as file:
        found = []
        file.visititems(lambda name, item: found.append((name, item)))
        found = [name for name, item in found if isinstance(item, h5py.Dataset)]
        for name in found:
            del file[name]
            file[name] = (
                h5py.ExternalLink(str(saved / "model.weights.h5"), name)
                if link == "external"
                else h5py.SoftLink("/elsewhere")
            )
    manifest.write(preset)
    refused(preset, "objects could not be loaded")


def test_a_checkpoint_with_objects(mark, tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    state = json.dumps({"counts": {"variables": 1}})
    objects = np.array([Pickled(mark)], dtype=object)
    np.savez(tmp_path / CHECKPOINT, state=np.array(state), **{"variables/0": objects})
    with pytest.raises(ValueError, match="cannot be read.*allow_pickle=False"):
        Progress(tmp_path, 1).restore(model)
    (tmp_path / CHECKPOINT).write_bytes(pickle.dumps(Pickled(mark)))
    with pytest.raises(ValueError, match="cannot be read"):
        Progress(tmp_path, 1).restore(model)


# === Recipes and corpora ===


@pytest.mark.parametrize("key", ["model", "dataset", "pretrain", "seed", "quantize"])
def test_a_recipe_with_code_in_its_values(mark, tmp_path, key):
    from kattn import recipes

    path = tmp_path / "recipe.toml"
    path.write_text(f"{key} = '''__import__(\"os\").mkdir({str(mark)!r})'''\n")
    with pytest.raises(ValueError, match="__import__"):
        recipes.run({"recipe": str(path), "output": str(tmp_path / "run")})
    assert recipe.read(path)  # a string as any other
    path.write_text("[[seed]]\n!!python/object/apply:os.system ['true']\n")
    with pytest.raises(ValueError, match="not TOML"):
        recipe.read(path)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "C:\\x", "a\\..\\..\\x"])
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_an_archive_that_reaches_out(tmp_path, kind, name):
    path = tmp_path / "in" / f"corpus.{kind}"
    path.parent.mkdir()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "x")
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(ValueError, match="plain files that stay within its folder"):
        members(path, lambda name: True)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", path.name]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_an_archive_with_a_link(tmp_path, kind):
    path = tmp_path / "corpus.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("train.txt")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ValueError, match="plain files that stay within its folder"):
        members(path, lambda name: True)
