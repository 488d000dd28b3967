"""Operations of TensorFlow that tf2onnx lacks, in ONNX's.

A handler is called with the context, which is the graph, the node and its name, and
puts nodes of ONNX in the node's place.
"""

import numpy as np

from kattn.formats.recurrence import OPERATION, name_of

_INT32, _INT64, _BOOL = 6, 7, 9  # as ONNX numbers types


class _Place:
    """The place that a node leaves, with its inputs and outputs."""

    def __init__(self, context, node, name):
        self.context, self.name = context, name
        self.inputs, self.outputs = list(node.input), list(node.output)
        self.shapes, self.types = node.output_shapes, node.output_dtypes
        self.count = 0
        context.remove_node(name)

    def constant(self, values, dtype):
        """A constant's name."""
        self.count += 1
        values = np.asarray(values, dtype)
        made = self.context.make_const(f"{self.name}_constant_{self.count}", values)
        return made.output[0]

    def node(self, kind, inputs, type=None, shape=None, **attributes):
        """A new node's output; type and shape are the first output's unless told."""
        made = self.context.make_node(
            kind,
            inputs,
            attr=attributes,
            dtypes=[self.types[0] if type is None else type],
            shapes=[self.shapes[0] if shape is None else shape],
        )
        return made.output[0]

    def give(self, kind, inputs, output=0, **attributes):
        """A new node that gives one of the outputs."""
        self.context.make_node(
            kind,
            inputs,
            attr=attributes,
            outputs=[self.outputs[output]],
            dtypes=[self.types[output]],
            shapes=[self.shapes[output]],
        )


def _erfc(context, node, name, _):
    """`1 - erf(x)`."""
    place = _Place(context, node, name)
    one = place.constant(1, "float32")
    place.give("Sub", [one, place.node("Erf", place.inputs)])


def _log1p(context, node, name, _):
    """`log(1 + x)`."""
    place = _Place(context, node, name)
    one = place.constant(1, "float32")
    place.give("Log", [place.node("Add", [*place.inputs, one])])


def _where(context, node, name, _):
    """A choice: tf2onnx may multiply by 0 what is not chosen, infinities too."""
    place = _Place(context, node, name)
    place.give("Where", place.inputs)


def _top_k(context, node, name, _):
    """The largest, in their own type: tf2onnx has them rounded to float32."""
    place = _Place(context, node, name)
    x, k = place.inputs
    k = place.node("Cast", [k], type=_INT64, shape=[], to=_INT64)
    k = place.node("Reshape", [k, place.constant([1], "int64")], _INT64, [1])
    made = context.make_node(
        "TopK",
        [x, k],
        attr={"axis": -1, "largest": 1, "sorted": 1},
        output_count=2,
        dtypes=[place.types[0], _INT64],
        shapes=place.shapes,
    )
    place.give("Identity", [made.output[0]])
    place.give("Cast", [made.output[1]], output=1, to=place.types[1])


def _lower_bound(context, node, name, _):
    """How many of the sorted keys are less: a binary search, its steps unrolled."""
    size = context.get_shape(node.input[0])[-1]
    keys_type = context.get_dtype(node.input[0])
    place = _Place(context, node, name)
    keys, values = place.inputs
    keys = place.node(
        "Reshape", [keys, place.constant([-1], "int64")], keys_type, [size]
    )
    many, last = place.constant(size, "int32"), place.constant(size - 1, "int32")
    found = place.node("Mul", [values, place.constant(0, "int32")], _INT32)
    step = 1 << (size.bit_length() - 1)
    while step:
        at = place.node("Add", [found, place.constant(step - 1, "int32")], _INT32)
        nearest = place.node("Min", [at, last], _INT32)
        key = place.node("Gather", [keys, nearest], keys_type, axis=0)
        less = place.node("Less", [key, values], _BOOL)
        within = place.node("Less", [at, many], _BOOL)
        on = place.node("And", [less, within], _BOOL)
        on = place.node("Cast", [on], _INT32, to=_INT32)
        far = place.node("Mul", [on, place.constant(step, "int32")], _INT32)
        found = place.node("Add", [found, far], _INT32)
        step //= 2
    place.give("Cast", [found], to=place.types[0])


def _recurrence(recurrences):
    """The handler of the operation that stands for recurrences."""

    def handler(context, node, name, _):
        layer = recurrences[name_of(name)]
        place = _Place(context, node, name)
        inputs, *_, lengths = place.inputs
        weights = [
            place.constant(x, "float32")
            for x in (layer.kernel, layer.recurrent, layer.bias)
        ]
        attributes = {
            "hidden_size": layer.units,
            "direction": "reverse" if layer.backward else "forward",
        }
        count = 3
        if layer.kind == "GRU":
            attributes["linear_before_reset"] = 1
            count = 2
        made = context.make_node(
            layer.kind,
            [inputs, *weights, lengths],
            attr=attributes,
            output_count=count,
            dtypes=place.types[:count],
            shapes=[None] * count,
        )
        one = place.constant([1], "int64")
        place.give("Squeeze", [made.output[0], one])  # the axis of directions
        for i in range(1, count):
            place.give("Identity", [made.output[i]], output=i)

    return handler


def handlers(recurrences):
    """The handlers, as tf2onnx takes them.

    Args:
        recurrences: Those of a `kattn.formats.graph.Graph`.

    Returns:
        A dictionary: the operation's name to a handler and its arguments.
    """
    made = {
        "Erfc": _erfc,
        "Log1p": _log1p,
        "SelectV2": _where,
        "TopKV2": _top_k,
        "LowerBound": _lower_bound,
        OPERATION: _recurrence(recurrences),
    }
    return {kind: (handler, []) for kind, handler in made.items()}
