"""Presets: found by name, checked before loading, replaced whole."""

import json
import shutil
from pathlib import Path

import pytest

from kattn.models import (
    HierarchicalAttentionBackbone,
    HierarchicalAttentionTextClassifier,
    HierarchicalAttentionTextClassifierPreprocessor,
    HierarchicalAttentionTokenizer,
    manifest,
    presets,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    tokenizer = HierarchicalAttentionTokenizer(["good", "bad"])
    model = HierarchicalAttentionTextClassifier(
        HierarchicalAttentionBackbone(4, 3, units=2, attention_units=2),
        preprocessor=HierarchicalAttentionTextClassifierPreprocessor(tokenizer),
        class_names=["no", "yes"],
    )
    folder = tmp_path_factory.mktemp("presets") / "saved"
    model.save_to_preset(folder)
    return model, folder


def load(folder):
    return HierarchicalAttentionTextClassifier.from_preset(folder)


def listed(folder):
    return sorted(json.loads((folder / manifest.NAME).read_text())["files"])


def test_the_list_names_every_file_of_the_model(saved):
    _, folder = saved
    assert listed(folder) == [
        "assets/tokenizer/vocabulary.txt",
        "config.json",
        "metadata.json",
        "model.weights.h5",
        "preprocessor.json",
        "task.json",
        "task.weights.h5",
        "tokenizer.json",
    ]


def test_any_file_missing_or_damaged_is_named(saved, tmp_path):
    _, folder = saved
    for name in listed(folder):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ValueError, match=f"damaged: '{name}'"):
            load(copy)
        (copy / name).unlink()
        with pytest.raises(ValueError, match=f"incomplete: '{name}'"):
            load(copy)
        shutil.rmtree(copy)


def test_a_damaged_list_is_an_error(saved, tmp_path):
    _, folder = saved
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / manifest.NAME).write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        load(tmp_path / "copy")


def test_a_preset_without_a_list_loads_with_one_warning(saved, tmp_path):
    _, folder = saved
    shutil.copytree(folder, tmp_path / "hub")
    (tmp_path / "hub" / manifest.NAME).unlink()
    with pytest.warns(UserWarning, match="cannot be checked") as warned:
        load(tmp_path / "hub")
    assert len(warned) == 1


def test_an_unknown_name_gets_the_nearest_and_no_network(saved, tmp_path, monkeypatch):
    _, folder = saved
    monkeypatch.setattr(
        presets.assets, "folders", lambda kind: {"han_bbc_en": Path(folder)}
    )
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("network"))
    with pytest.raises(ValueError, match="Did you mean 'han_bbc_en'"):
        load("han_bcc_en")
    assert load("han_bbc_en").class_names == ["no", "yes"]
    assert list(HierarchicalAttentionTextClassifier.presets) == ["han_bbc_en"]
    assert list(HierarchicalAttentionBackbone.presets) == ["han_bbc_en"]
    with pytest.raises(ValueError, match="no preset folder"):
        load("./nowhere/at_all")


def test_a_folder_that_is_no_preset_is_named(tmp_path):
    with (
        pytest.raises(ValueError, match=r"no config\.json"),
        pytest.warns(UserWarning, match="cannot be checked"),
    ):
        load(tmp_path)


def test_a_hub_handle_is_downloaded_whole_and_checked(saved, tmp_path, monkeypatch):
    _, folder = saved
    asked = []
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)

    def snapshot_download(handle):
        asked.append(handle)
        return str(copy)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert load("hf://user/model").class_names == ["no", "yes"]
    assert asked == ["user/model"]
    (copy / "task.weights.h5").unlink()
    with pytest.raises(ValueError, match="incomplete"):
        load("hf://user/model")


def test_a_write_that_fails_leaves_the_former_preset(saved, tmp_path, monkeypatch):
    model, folder = saved
    target = tmp_path / "target"
    shutil.copytree(folder, target)
    before = {p: p.read_bytes() for p in target.rglob("*") if p.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HierarchicalAttentionTextClassifier, "save_task_weights", full)
    with pytest.raises(OSError, match="No space left"):
        model.save_to_preset(target)
    assert {p: p.read_bytes() for p in target.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_saving_keeps_the_card_and_replaces_the_model(saved, tmp_path):
    model, folder = saved
    target = tmp_path / "target"
    shutil.copytree(folder, target)
    (target / "README.md").write_text("# A card")
    (target / "model.weights.h5").write_bytes(b"old")
    model.save_to_preset(target)
    assert (target / "README.md").read_text() == "# A card"
    load(target)
