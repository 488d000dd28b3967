"""Presets whose weights take half the bytes: float16 in the file, float32 in use."""

from pathlib import Path

from kattn.models import manifest, weight_files


def save(model, folder, mantissa_bits=10):
    """Save a model as a preset that keeps its weights as float16.

    The model's own weights are rounded, too, so that what is measured of it is true of
    the preset. Loaded, they are of the precision that the model has.

    Args:
        model: A model with `save_to_preset`.
        folder: As for `save_to_preset`.
        mantissa_bits: Of a float16's 10 bits of mantissa so many are kept in matrices,
            the others are 0, which takes hardly a byte: with 4 of them a weight takes
            about one in all.
    """
    rounded = [
        _rounded(weight, mantissa_bits if weight.ndim > 1 else 10)
        for weight in model.get_weights()
    ]
    model.set_weights(rounded)
    model.save_to_preset(folder)
    for path in Path(folder).glob("*.weights.h5"):
        weight_files.rewrite(path, halve=True)
    manifest.write(Path(folder))


def _rounded(weight, mantissa_bits):
    """The nearest float16 of so many bits of mantissa; what is no float as it is."""
    if weight.dtype != "float32":
        return weight
    left_out = 10 - mantissa_bits
    bits = weight.astype("float16").view("uint16").astype("uint32")
    bits = (bits + (1 << left_out >> 1)) >> left_out << left_out
    return bits.astype("uint16").view("float16")
