"""An exported SavedModel, read back to answer requests."""

import re
import reprlib
from pathlib import Path

from kattn.names import unknown
from kattn.text.libraries import tensorflow, tensorflow_text


def newest(folder) -> Path:
    """The version to serve of a folder that `kattn.export` wrote.

    Args:
        folder: A SavedModel, or a folder of numbered versions of one.

    Returns:
        The folder itself, or its subfolder of the highest number.

    Raises:
        ValueError: If there is no SavedModel in it.

    Example:
        >>> newest("nowhere")
        Traceback (most recent call last):
            ...
        ValueError: There is no SavedModel in 'nowhere'...
    """
    folder = Path(folder)
    if _is_saved_model(folder):
        return folder
    versions = [
        p for p in folder.glob("*") if p.name.isdecimal() and _is_saved_model(p)
    ]
    if not versions:
        raise ValueError(
            f"There is no SavedModel in {str(folder)!r}. Expected a folder that "
            "`kattn.export` wrote: saved_model.pb, or numbered versions that hold it"
        )
    return max(versions, key=lambda p: int(p.name))


def _is_saved_model(folder):
    return (folder / "saved_model.pb").is_file()


class Unanswerable(ValueError):
    """An example that the model does not take, a source of too many tokens say."""


class Served:
    """The signatures of a SavedModel that take strings.

    It is asked once before it is used, so that one that cannot answer is known by then.

    Args:
        version: The folder of the SavedModel.

    Attributes:
        fields: The strings of an example, by signature: `("text",)`, or
            `("premise", "hypothesis")`.

    Raises:
        ValueError: If it cannot be loaded, or does not answer.
    """

    def __init__(self, version):
        tf = tensorflow()
        tensorflow_text()
        try:
            self._loaded = tf.saved_model.load(str(version))
            self._signatures = {
                name: signature
                for name, signature in self._loaded.signatures.items()
                if _takes_strings(signature, tf)
            }
            self.fields = {
                name: tuple(_inputs(signature))
                for name, signature in self._signatures.items()
            }
            for name in ["serving_default", *self.fields]:
                self.answer(name, [("",) * len(self.fields[name])] * 2)
        except Exception as error:  # what damaged files lead to is anything
            what = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"The SavedModel {str(version)!r} cannot be served. Export it anew. "
                f"TensorFlow says: {what}"
            ) from error

    def examples(self, signature_name, instances):
        """What a request asks, checked.

        Args:
            signature_name: A key of `fields`.
            instances: A list of strings, or of objects of the fields.

        Returns:
            A list of tuples of strings, in the order of the fields.

        Raises:
            ValueError: If there is no such signature, or an instance is something else.
        """
        if signature_name not in list(self.fields):  # it may be anything
            raise unknown("signature_name", signature_name, self.fields)
        fields = self.fields[signature_name]
        return [_example(x, i, fields) for i, x in enumerate(instances)]

    def answer(self, signature_name, examples):
        """Ask the model.

        Args:
            signature_name: A key of `fields`.
            examples: What `examples` returns.

        Returns:
            A list of a dictionary for each: its outputs as numbers, strings, lists.

        Raises:
            Unanswerable: If the model does not take one of them; why, in its own words.
        """
        tf = tensorflow()
        given = {
            # Half a pair of surrogates, which JSON allows, has no UTF-8 form: its bytes
            # are passed on, and the graph takes them for a space.
            field: tf.constant([x.encode("utf-8", "surrogatepass") for x in texts])
            for field, texts in zip(
                self.fields[signature_name], zip(*examples, strict=True), strict=True
            )
        }
        try:
            outputs = self._signatures[signature_name](**given)
        except tf.errors.InvalidArgumentError as error:
            if said := re.search(r"assertion failed: \[(.*?)\]", error.message):
                raise Unanswerable(f"{said[1]}.") from error
            raise
        # In one order, whatever this process has read them in.
        columns = {name: _plain(x.numpy()) for name, x in sorted(outputs.items())}
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


def _inputs(signature):
    return signature.structured_input_signature[1]


def _takes_strings(signature, tf):
    return all(x.dtype == tf.string for x in _inputs(signature).values())


def _example(instance, place, fields):
    if isinstance(instance, str) and len(fields) == 1:
        return (instance,)
    if isinstance(instance, dict) and set(instance) == set(fields):
        texts = tuple(instance[field] for field in fields)
        if all(isinstance(text, str) for text in texts):
            return texts
    form = "{" + ", ".join(f'"{field}": "..."' for field in fields) + "}"
    form = f"a string or {form}" if len(fields) == 1 else form
    raise ValueError(
        f"Each instance is {form}. Received: {reprlib.repr(instance)} "
        f"({type(instance).__name__}) at place {place}"
    )


def _plain(values):
    """An array as lists of numbers and strings."""
    if values.dtype == object:
        return _decoded(values.tolist())
    return values.tolist()


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(x) for x in value]
    return value.decode("utf-8", "replace")
