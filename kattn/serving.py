"""Export for serving: one SavedModel from strings to what a model says of them."""

import shutil
import tempfile
from pathlib import Path

import keras

from kattn import serving_classification, serving_generation, warmup
from kattn.formats import ids, litert, onnx, openvino
from kattn.models import AttentionSeq2Seq, TextClassifier, live_steps
from kattn.models.portable import portable
from kattn.names import unknown
from kattn.text.libraries import tensorflow

#: Formats of files that take token ids.
FILES = {"onnx": onnx, "openvino": openvino, "litert": litert}
FORMATS = "saved_model", *FILES


def export(
    model,
    path,
    format="saved_model",
    *,
    compiled=False,
    beam_width=None,
    length_penalty=None,
    coverage_penalty=None,
):
    """Write a model for serving: a SavedModel of strings, or a file of token ids.

    `"saved_model"` is in TensorFlow Serving's layout.

    Everything from the string to the label, or to the text, is in its graph. It loads
    where neither kattn nor KerasHub is installed, once `tensorflow_text` is imported,
    which brings the operations on strings; TensorFlow Serving has them built in. The
    graph runs on every machine: nothing in it is bound to cuDNN, or compiled by XLA
    unless `compiled` asks for it.

    Of a classifier two signatures take the strings `text`, `(B,)`: any number of texts
    of any length, empty ones too. Of a classifier of pairs they take `premise` and
    `hypothesis`, and what follows for texts is given for both, its name beginning with
    theirs.

    - `serving_default` gives `probabilities`, float32 `(B, num_classes)`, and `label`,
      strings `(B,)`: the name of the likeliest class, or its number if classes have no
      names.
    - `attend` gives these two, the attention as float32 under the names that
      `classifier.backbone.attention_model()` has for it (`sentence_weights` `(B, S)`
      and `word_weights` `(B, S, T)` of a hierarchical model), and `words`, the strings
      `(B, S, T)` that the weights belong to; the empty string stands for padding.

    A third, `ids`, gives what `serving_default` does, and takes int32 `token_ids` of
    any lengths, `(B, T)` or `(B, S, T)`, 0 for padding.

    Of a model that writes there is one signature, `generate`, which is
    `serving_default` as well: a beam search, as the model's `search`. It takes the
    strings `text`, `(B,)`, and gives

    - `texts`, strings `(B, K)`, the best first, and their `scores`, float32 `(B, K)`;
      where there are fewer than K, the rest are empty and their scores the lowest
      float32. Of an empty source there is one, the empty text.
    - `alignments`, float32 `(B, K, L, Ts)`: by which weights of the source's tokens
      each token was written; these are `tokens`, strings `(B, K, L)`, and those are
      `source_tokens`, strings `(B, Ts)`; the empty string stands for padding.

    A source of more tokens than the preprocessor takes is an error here, too.

    With `kattn[serving]` installed, requests to warm up with are written, too, which
    TensorFlow Serving answers before it takes others.

    `"onnx"` is `model.onnx`, from int32 token ids to `probabilities`, its batch and
    lengths free and a recurrence one node; `"litert"` is `model.tflite`, the same for
    LiteRT, formerly TensorFlow Lite, of its own operations alone; `"openvino"` is
    `model.xml` and `model.bin`. Beside it are `vocabulary.txt`, and `ids.json`, which
    says how a text becomes ids.

    Args:
        model: A `kattn.models.TextClassifier`, or for a SavedModel also an
            `AttentionSeq2Seq`, with its preprocessor.
        path: The folder that a file of ids gets. Of a SavedModel, the folder of all
            versions: the new one is the subfolder `1`, or the number after the highest
            that is there; it appears complete or not at all.
        format: `"saved_model"`, `"onnx"`, `"openvino"` or `"litert"`.
        compiled: Of a classifier as a SavedModel: whether XLA compiles attention where
            it is loaded, for GPU servers other than TensorFlow Serving, which refuses
            such graphs there. It does so anew for each shape of a batch, so a server
            should keep to few. Attention that is dynamic, or not a function of its
            energies alone, is never compiled.
        beam_width: Of a model that writes: K, how many texts are kept at each step,
            and found; 5 if `None`.
        length_penalty: Likewise, see `kattn.decoding.beam_search`; 0 if `None`.
        coverage_penalty: Likewise.

    Returns:
        The `pathlib.Path` of the new version, or of the folder.

    Raises:
        ImportError: Without the extra of the format, `onnx` or `openvino`.
        FileExistsError: For a file of ids, if `path` is there already.
        TypeError: If `model` is not one of kattn's.
        ValueError: If it has no preprocessor, or there is no such format, or not for
            it: for `"openvino"`, if it has n-grams or dynamic attention; if a
            classifier is given what says how to search, or anything but a SavedModel
            of one is to be compiled.
        RuntimeError: If Keras runs on another backend than TensorFlow.
        NotADirectoryError: If `path` is a file.

    Example:
        A script without kattn reads it like this:

            import tensorflow as tf
            import tensorflow_text

            served = tf.saved_model.load("exported/1")
            served.signatures["serving_default"](text=tf.constant(["Good film!"]))
    """
    search = {
        "beam_width": beam_width,
        "length_penalty": length_penalty,
        "coverage_penalty": coverage_penalty,
    }
    search = {name: value for name, value in search.items() if value is not None}
    _check(model, format, compiled, search)
    path = Path(path)
    if format in FILES:
        return _as_file(model, path, format)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(
            f"The path of an export is a folder. Received: the file {str(path)!r}"
        )
    writes = isinstance(model, AttentionSeq2Seq)
    served = serving_generation if writes else serving_classification
    with portable(model, compiled), live_steps.decided(True):
        signatures = served.signatures(model, **search)
    path.mkdir(parents=True, exist_ok=True)
    # A name that is no number: TensorFlow Serving looks past it.
    work = Path(tempfile.mkdtemp(prefix=".export-", dir=path))
    try:
        # In a folder of its own, whose permissions are those of any new folder.
        tensorflow().saved_model.save(_module(model), work / "new", signatures)
        if warmup.available():
            warmup.write(work / "new", *served.requests(model))
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


def _check(model, format, compiled, search):
    """Raise an error where there is nothing to export, or not so."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if not isinstance(model, TextClassifier | AttentionSeq2Seq):
        raise TypeError(
            "Only models of kattn.models can be exported: classifiers, and "
            f"AttentionSeq2Seq. Received: {model!r} ({type(model).__name__})"
        )
    if model.preprocessor is None:
        raise ValueError(
            "The export takes strings, so the model needs its preprocessor. "
            "Received: a model with preprocessor=None"
        )
    if isinstance(model, AttentionSeq2Seq):
        if format != "saved_model":
            raise ValueError(
                "A model that writes has one format, 'saved_model', whose graph holds "
                f"the search. Received: format={format!r} for {type(model).__name__}"
            )
    elif search:
        raise ValueError(
            f"{', '.join(search)}: these say how texts are searched for, by a model "
            f"that writes. Received: a classifier, {type(model).__name__}"
        )
    if compiled and (isinstance(model, AttentionSeq2Seq) or format != "saved_model"):
        raise ValueError(
            "Attention is compiled in a classifier's SavedModel alone. Received: "
            f"compiled={compiled!r}, format={format!r} for {type(model).__name__}"
        )
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A model that takes strings is written on the TensorFlow backend. Save it "
            "with `save_to_preset(folder)`; then run `python -m kattn export` with "
            "KERAS_BACKEND=tensorflow set, or load the preset and export it there. "
            f"Received: the {keras.backend.backend()} backend"
        )


def _module(model):
    """What the graphs of a model refer to: its variables, and its tables of words.

    `keras.export.ExportArchive` finds lookup tables below layers that are built, and
    a preprocessor need not be; a module says what it holds.
    """
    tf = tensorflow()
    module = tf.Module()
    resource = tf.saved_model.experimental.TrackableResource
    descendants = tf.train.TrackableView(model.preprocessor).descendants()
    module.tables = [x for x in descendants if isinstance(x, resource)]
    module.model_variables = [variable.value for variable in model.variables]
    return module


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
