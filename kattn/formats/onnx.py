"""ONNX: one file that ONNX Runtime and many others run."""

import contextlib
import logging

from kattn.formats.graph import OUTPUT, trace
from kattn.formats.operations import handlers
from kattn.formats.recurrence import marked
from kattn.text.libraries import tensorflow

FILE = "model.onnx"
_OPSET = 18


def write(classifier, folder, recurrences=marked):
    """Write a classifier from token ids to probabilities.

    The batch and all lengths are free. A recurrence is one node, GRU or LSTM.

    Args:
        classifier: A `kattn.models.TextClassifier`.
        folder: The folder that gets `model.onnx`.
        recurrences: As for `kattn.formats.graph.trace`.

    Returns:
        The names of the files.

    Raises:
        ImportError: If tf2onnx is not installed.
    """
    try:
        from tf2onnx import optimizer, tf_loader, tfonnx, utils
    except ImportError as error:
        raise ImportError(
            'ONNX needs tf2onnx, which is not installed: pip install "kattn[onnx]"'
        ) from error
    tf = tensorflow()
    graph = trace(classifier, recurrences)
    function = graph.function
    given = [x for x in function.inputs if x.dtype != tf.resource]
    names = [x.name for x in given], [x.name for x in function.outputs]
    renamed = dict(zip(names[0], graph.inputs, strict=True))
    # Those that are safe for two free lengths; runtimes have their own.
    chosen = {
        "fold_constants": optimizer.ConstFoldOptimizer,
        "merge_duplication": optimizer.MergeDuplicatedNodesOptimizer,
        "remove_identity": optimizer.IdentityOptimizer,
    }
    with _quiet(logging.getLogger("tf2onnx")):
        frozen = tf_loader.from_function(function, *names)
        with tf.Graph().as_default() as imported:
            tf.import_graph_def(frozen, name="")
            made = tfonnx.process_tf_graph(
                imported,
                opset=_OPSET,
                custom_op_handlers=handlers(graph.recurrences),
                input_names=names[0],
                output_names=names[1],
                tensors_to_rename={**renamed, names[1][0]: OUTPUT},
            )
        made = optimizer.optimize_graph(made, catch_errors=False, optimizers=chosen)
    utils.save_protobuf(str(folder / FILE), made.make_model("kattn"))
    return [FILE]


@contextlib.contextmanager
def _quiet(logger):
    """Without its warnings, which are of what is mended here."""
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
