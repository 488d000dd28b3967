"""Presets whose weights take half the bytes: float16 in the file, float32 in use."""

from pathlib import Path

import h5py

from kattn.files import replacing
from kattn.models import manifest


def save(model, folder):
    """Save a model as a preset that keeps its weights as float16.

    The model's own weights are rounded, too, so that what is measured of it is true of
    the preset. Loaded, they are of the precision that the model has.

    Args:
        model: A model with `save_to_preset`.
        folder: As for `save_to_preset`.
    """
    rounded = [weight.astype("float16") for weight in model.get_weights()]
    model.set_weights(rounded)
    model.save_to_preset(folder)
    for path in Path(folder).glob("*.weights.h5"):
        _halve(path)
    manifest.write(Path(folder))


def _halve(path):
    with (
        replacing(path) as made,
        h5py.File(made, "w") as half,
        h5py.File(path) as whole,
    ):

        def copy(name, item):
            if isinstance(item, h5py.Group):
                copied = half.require_group(name)
            else:
                dtype = "float16" if item.dtype == "float32" else item.dtype
                copied = half.create_dataset(name, data=item[()], dtype=dtype)
            copied.attrs.update(item.attrs)

        whole.visititems(copy)
        half.attrs.update(whole.attrs)
