"""Export for serving: one SavedModel from strings to labels and attention."""

import shutil
import tempfile
from pathlib import Path

import keras

from kattn import warmup
from kattn.formats import ids, litert, onnx, openvino
from kattn.models import TextClassifier, live_steps
from kattn.models.portable import portable
from kattn.names import unknown
from kattn.text.libraries import tensorflow

#: Formats of files that take token ids.
FILES = {"onnx": onnx, "openvino": openvino, "litert": litert}
FORMATS = "saved_model", *FILES


def export(classifier, path, format="saved_model"):
    """Write a classifier for serving: a SavedModel of strings, or a file of token ids.

    `"saved_model"` is in TensorFlow Serving's layout.

    Everything from the string to the label is in its graph. It loads where neither
    kattn nor KerasHub is installed, once `tensorflow_text` is imported, which brings
    the operations on strings; TensorFlow Serving has them built in. The graph runs on
    every machine: nothing in it is compiled by XLA or bound to cuDNN.

    Two signatures take the strings `text`, `(B,)`: any number of texts of any length,
    empty ones too. Of a classifier of pairs they take `premise` and `hypothesis`, and
    what follows for texts is given for both, its name beginning with theirs.

    - `serving_default` gives `probabilities`, float32 `(B, num_classes)`, and `label`,
      strings `(B,)`: the name of the likeliest class, or its number if classes have no
      names.
    - `attend` gives these two, the attention as float32 under the names that
      `classifier.backbone.attention_model()` has for it (`sentence_weights` `(B, S)`
      and `word_weights` `(B, S, T)` of a hierarchical model), and `words`, the strings
      `(B, S, T)` that the weights belong to; the empty string stands for padding.

    A third, `ids`, gives what `serving_default` does, and takes int32 `token_ids` of
    any lengths, `(B, T)` or `(B, S, T)`, 0 for padding.

    With `kattn[serving]` installed, requests to warm up with are written, too, which
    TensorFlow Serving answers before it takes others.

    `"onnx"` is `model.onnx`, from int32 token ids to `probabilities`, its batch and
    lengths free and a recurrence one node; `"litert"` is `model.tflite`, the same for
    LiteRT, formerly TensorFlow Lite, of its own operations alone; `"openvino"` is
    `model.xml` and `model.bin`. Beside it are `vocabulary.txt`, and `ids.json`, which
    says how a text becomes ids.

    Args:
        classifier: A `kattn.models.TextClassifier` with its preprocessor.
        path: The folder that a file of ids gets. Of a SavedModel, the folder of all
            versions: the new one is the subfolder `1`, or the number after the highest
            that is there; it appears complete or not at all.
        format: `"saved_model"`, `"onnx"`, `"openvino"` or `"litert"`.

    Returns:
        The `pathlib.Path` of the new version, or of the folder.

    Raises:
        ImportError: Without the extra of the format, `onnx` or `openvino`.
        FileExistsError: For a file of ids, if `path` is there already.
        TypeError: If `classifier` is not one of kattn's.
        ValueError: If it has no preprocessor, or there is no such format; for
            `"openvino"`, if it has n-grams or dynamic attention.
        RuntimeError: If Keras runs on another backend than TensorFlow.
        NotADirectoryError: If `path` is a file.

    Example:
        A script without kattn reads it like this:

            import tensorflow as tf
            import tensorflow_text

            served = tf.saved_model.load("exported/1")
            served.signatures["serving_default"](text=tf.constant(["Good film!"]))
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not isinstance(classifier, TextClassifier):
        raise TypeError(
            "Only classifiers of kattn.models can be exported. "
            f"Received: {classifier!r} ({type(classifier).__name__})"
        )
    if classifier.preprocessor is None:
        raise ValueError(
            "The export takes strings, so the classifier needs its preprocessor. "
            "Received: a classifier with preprocessor=None"
        )
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A model that takes strings is written on the TensorFlow backend. Save the "
            "classifier with `save_to_preset(folder)`; then run `python -m kattn "
            "export` with KERAS_BACKEND=tensorflow set, or load the preset and export "
            f"it there. Received: the {keras.backend.backend()} backend"
        )
    path = Path(path)
    if format in FILES:
        return _as_file(classifier, path, format)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(
            f"The path of an export is a folder. Received: the file {str(path)!r}"
        )
    with portable(classifier), live_steps.decided(True):
        module, signatures = _traced(classifier)
    path.mkdir(parents=True, exist_ok=True)
    # A name that is no number: TensorFlow Serving looks past it.
    work = Path(tempfile.mkdtemp(prefix=".export-", dir=path))
    try:
        # In a folder of its own, whose permissions are those of any new folder.
        tensorflow().saved_model.save(module, work / "new", signatures)
        if warmup.available():
            warmup.write(work / "new", classifier.preprocessor.fields)
        return _publish(work / "new", path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _as_file(classifier, path, format):
    """A folder with the file of a format and what says how ids are made."""
    if path.exists():
        raise FileExistsError(
            f"{format!r} is written to a new folder. Received: {str(path)!r}, which is "
            "there already"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".export-", dir=path.parent))
    try:
        (work / "new").mkdir()
        files = FILES[format].write(classifier, work / "new")
        ids.write(classifier, work / "new", files)
        return (work / "new").rename(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _traced(classifier):
    """What is saved: a module of the variables and tables, and the signatures.

    `keras.export.ExportArchive` finds lookup tables below layers that are built, and
    a preprocessor need not be; a module says what it holds.
    """
    tf = tensorflow()
    preprocessor = classifier.preprocessor
    model = classifier.attention_model()
    class_names = classifier.class_names or map(str, range(classifier.num_classes))
    class_names = tf.constant([name.encode() for name in class_names])

    # One string an example, called `text`, or two.
    fields = preprocessor.fields
    prefixes = [""] if len(fields) == 1 else [f"{field}_" for field in fields]
    texts = [tf.TensorSpec([None], tf.string, name=field) for field in fields]

    def said(logits):
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))  # (B, num_classes)
        label = tf.gather(class_names, tf.argmax(probabilities, axis=-1))
        return {"probabilities": probabilities, "label": label}

    @tf.function(input_signature=texts, autograph=False)
    def attend(*texts):
        with tf.device("cpu"):
            words = preprocessor.words(texts if len(fields) > 1 else texts[0])
            inputs = preprocessor.pad(preprocessor.look_up(words))
            shown = {}
            for prefix, part in zip(prefixes, tf.nest.flatten(words), strict=True):
                shape = tf.shape(inputs[f"{prefix}token_ids"], tf.int64)
                shown[f"{prefix}words"] = part.to_tensor("", shape=shape)
        outputs = dict(model(inputs, training=False))
        return {
            **said(outputs.pop("logits")),
            **shown,
            **{name: tf.cast(x, tf.float32) for name, x in outputs.items()},
        }

    @tf.function(input_signature=texts, autograph=False)
    def serving_default(*texts):
        outputs = attend(*texts)
        return {name: outputs[name] for name in ("probabilities", "label")}

    # Ids, and what is live among them.
    masks = {f"{p}token_ids": f"{p}padding_mask" for p in prefixes}
    numbers = [
        tf.TensorSpec(classifier.input[name].shape, tf.int32, name=name)
        for name in masks
    ]

    @tf.function(input_signature=numbers, autograph=False)
    def from_ids(*numbers):
        given = dict(zip(masks, numbers, strict=True))
        live = {masks[name]: x != 0 for name, x in given.items()}
        return said(classifier({**given, **live}, training=False))

    # Concrete functions, because `save` would trace others anew, outside `portable`.
    signatures = {
        "serving_default": serving_default.get_concrete_function(),
        "attend": attend.get_concrete_function(),
        "ids": from_ids.get_concrete_function(),
    }
    module = tf.Module()
    resource = tf.saved_model.experimental.TrackableResource
    descendants = tf.train.TrackableView(preprocessor).descendants()
    module.tables = [x for x in descendants if isinstance(x, resource)]
    module.model_variables = [variable.value for variable in model.variables]
    return module, signatures


def _publish(new, path):
    """Rename a finished version to the next free number."""
    while True:
        taken = [int(p.name) for p in path.iterdir() if p.name.isdecimal()]
        version = path / str(max(taken, default=0) + 1)
        try:
            return new.rename(version)
        except OSError:
            if not version.exists():  # another export was not quicker: a real error
                raise
