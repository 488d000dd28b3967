"""Presets whose weights take half the bytes: float16 in the file, float32 in use."""

from pathlib import Path

from kattn.models import manifest, weight_files


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
        weight_files.rewrite(path, halve=True)
    manifest.write(Path(folder))
