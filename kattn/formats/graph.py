"""What is converted: a function of token ids, of operations that formats have."""

import dataclasses

from kattn import blocks
from kattn.models import live_steps
from kattn.models.portable import portable
from kattn.text.libraries import tensorflow

#: What the function gives.
OUTPUT = "probabilities"


@dataclasses.dataclass(frozen=True)
class Graph:
    """A traced function of token ids.

    Args:
        function: A concrete function of TensorFlow.
        inputs: The names of the token ids, in the function's order.
        recurrences: What the context of the recurrences said of them.
    """

    function: object
    inputs: tuple[str, ...]
    recurrences: object


def trace(classifier, recurrences) -> Graph:
    """The graph of a classifier, from token ids to probabilities.

    All pairs of words are compared at once: a choice by size is one that formats
    cannot make.

    Args:
        classifier: A `kattn.models.TextClassifier`.
        recurrences: Context, made of the classifier, in which its recurrences are
            traced as the format has them.

    Returns:
        The graph.
    """
    tf = tensorflow()
    names = [name for name in classifier.input if name.endswith("token_ids")]
    specs = [
        tf.TensorSpec(classifier.input[name].shape, tf.int32, name=name)
        for name in names
    ]
    with (
        portable(classifier),
        live_steps.decided(False),  # but Keras's layers, which are known there
        recurrences(classifier) as found,
        blocks.decided(True),
    ):

        @tf.function(input_signature=specs, autograph=False)
        def probabilities(*ids):
            given = dict(zip(names, ids, strict=True))
            live = {
                name.replace("token_ids", "padding_mask"): x != 0
                for name, x in given.items()
            }
            logits = classifier({**given, **live}, training=False)
            return {OUTPUT: tf.nn.softmax(tf.cast(logits, tf.float32))}

        function = probabilities.get_concrete_function()
    return Graph(function, tuple(names), found)
