"""Presets by name, by folder and by hub handle, checked before they are loaded."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import keras

from kattn import assets
from kattn.models import manifest
from kattn.names import unknown


def names() -> list[str]:
    """The names of all presets that came with kattn."""
    return list(folders())


def folders() -> dict[str, Path]:
    """The folder of each preset that came with kattn, by name."""
    found = assets.folders("models")
    return {n: path for n, path in found.items() if (path / "config.json").is_file()}


def locate(preset) -> str:
    """Turn what a user may call a preset into what KerasHub loads, checked.

    Args:
        preset: A name of a kattn preset, a folder, or a handle such as
            `"hf://user/name"`, which is downloaded whole.

    Returns:
        The path of the folder, or the handle itself for schemes KerasHub alone knows.

    Raises:
        ValueError: If there is no such preset, or its files are not what was saved or
            lie outside its folder.
    """
    preset = os.fspath(preset)
    if preset.startswith("hf://"):
        import huggingface_hub

        folder = huggingface_hub.snapshot_download(preset.removeprefix("hf://"))
    elif "://" in preset:
        return preset
    elif preset in names():
        folder = folders()[preset]
    elif Path(preset).is_dir():
        folder = preset
    elif "/" in preset or os.sep in preset:
        raise ValueError(f"There is no preset folder {preset!r}.")
    else:
        raise unknown("preset", preset, names())
    folder = Path(folder)
    manifest.check(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"The folder {str(folder)!r} is no preset: it has no config.json."
        )
    if preset not in names():  # an installer may link to the files of ours
        manifest.confine(folder)
    return str(folder)


def load(preset):
    """Load the task of a preset, a classifier or a model that writes.

    Args:
        preset: As for `locate`.

    Returns:
        The model, of the class that was saved.

    Raises:
        ValueError: If there is no such preset, or no task of kattn in it.
    """
    file = Path(locate(preset), "task.json")
    name = None
    if file.is_file():
        name = json.loads(file.read_text(encoding="utf-8")).get("registered_name")
    cls = keras.saving.get_registered_object(name)
    if not (isinstance(cls, type) and issubclass(cls, Presets)):
        raise ValueError(
            "Expected a preset whose task.json names a model of kattn. Received: "
            f"{str(preset)!r}, which has {f'{name!r}' if name else 'none'}"
        )
    return cls.from_preset(preset)


class _PresetsOfClass:
    """`cls.presets`: the kattn presets that a class can load, with their metadata."""

    def __get__(self, instance, owner):
        backbone_cls = getattr(owner, "backbone_cls", None) or owner
        wanted = keras.saving.get_registered_name(backbone_cls)
        found = {}
        for name, folder in folders().items():
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if config["registered_name"] == wanted:
                metrics = folder / "metrics.json"
                found[name] = {
                    "path": str(folder),
                    "metrics": json.loads(metrics.read_text(encoding="utf-8"))
                    if metrics.is_file()
                    else {},
                }
        return found


def _of_preset(folder, dtype):
    """What KerasHub is to be told that the precision of a preset is.

    What it keeps in 8 bits stays so, computing in `dtype`: KerasHub takes the policy
    asked for in place of the preset's own, and then does not find the weights that it
    expects. What was trained in mixed precision is loaded as Keras computes by default,
    like every preset of numbers: KerasHub (0.32) stops at the name of such a policy.
    """
    config = Path(folder, "config.json")
    if not config.is_file():
        return dtype
    saved = json.loads(config.read_text(encoding="utf-8"))["config"]
    saved = saved.get("dtype") if isinstance(saved, dict) else None
    if not isinstance(saved, dict):
        return dtype
    if dtype is None:
        match saved:
            case {"class_name": "DTypePolicy", "config": {"name": str(name)}}:
                return keras.config.dtype_policy() if "mixed" in name else None
        return None
    saved = keras.dtype_policies.deserialize(saved)
    if not isinstance(saved, keras.dtype_policies.DTypePolicyMap):
        return dtype
    wanted = keras.dtype_policies.get(dtype)
    kept = {
        path: f"{policy.quantization_mode}_from_{wanted.name}"
        for path, policy in saved.items()
    }
    policies = {path: keras.dtype_policies.get(name) for path, name in kept.items()}
    return keras.dtype_policies.DTypePolicyMap(wanted, policies)


class Presets:
    """Mixin before a KerasHub class: kattn's names, checked files, whole saves."""

    presets = _PresetsOfClass()

    @classmethod
    def from_preset(cls, preset, *args, **kwargs):
        """Load from a preset.

        Args:
            preset: A name of a kattn preset (`cls.presets` lists them; no network is
                touched), the path of a preset folder, or a hub handle such as
                `"hf://user/name"`.
            *args: As KerasHub's `from_preset` of the class.
            **kwargs: Likewise: `load_weights`, `dtype` (Keras's own policy if it is
                not given, whichever the model was trained in), and for a classifier
                `num_classes`, which gives it a new head.

        Returns:
            An object of the class, with the preset's weights.

        Raises:
            ValueError: If there is no such preset, or a file of it is missing or is not
                what was saved.
        """
        folder = locate(preset)
        if issubclass(cls, keras.Model):
            dtype = _of_preset(folder, kwargs.pop("dtype", None))
            if dtype is not None:
                kwargs["dtype"] = dtype
        return super().from_preset(folder, *args, **kwargs)

    @classmethod
    def from_config(cls, config):
        """Make an object of a config, as Keras does, that names no foreign file.

        KerasHub joins `config_file` to the folder that it reads from or writes to.
        """
        name = config.get("config_file", "config.json")
        if not isinstance(name, str) or name != Path(name).name:
            raise ValueError(
                f"`config_file` is the name of a file, without a folder. Received: "
                f"{name!r} in the config of {cls.__name__}"
            )
        return super().from_config(config)

    def save_to_preset(self, preset_dir, *args, **kwargs):
        """Save as a preset: the former one is replaced whole, or left as it was.

        Args:
            preset_dir: The folder. Files in it that belong to no model (a card, say)
                are kept.
            *args: As KerasHub's `save_to_preset` of the class.
            **kwargs: Likewise.
        """
        with _replacing(Path(preset_dir)) as folder:
            super().save_to_preset(str(folder), *args, **kwargs)
            manifest.write(folder)


@contextlib.contextmanager
def _replacing(target):
    """A copy of a folder to work in, which takes its place if all goes well."""
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        new, old = work / "new", work / "old"
        if target.is_dir():
            shutil.copytree(target, new)
        else:
            new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        if not target.exists() and (work / "old").exists():
            (work / "old").rename(target)
        shutil.rmtree(work, ignore_errors=True)
