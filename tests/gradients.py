"""Gradients on whichever backend Keras runs: TensorFlow, JAX or PyTorch."""

import keras
import numpy as np
from keras import ops


def gradients(function, arrays, variables=()):
    """Value and gradients of a scalar function of tensors and of Keras variables.

    Args:
        function: Takes as many tensors as there are arrays and gives a scalar tensor,
            or a pair of one and further outputs.
        arrays: NumPy arrays of floats.
        variables: Keras variables that the function reads.

    Returns:
        What the function gave, and the gradients by the arrays and then by the
        variables, all in NumPy; `None` for what the function does not depend on.
    """
    run = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    outputs, slopes = run[keras.backend.backend()](
        function, [ops.convert_to_tensor(x) for x in arrays], list(variables)
    )
    outputs = keras.tree.map_structure(ops.convert_to_numpy, outputs)
    slopes = [None if x is None else ops.convert_to_numpy(x) for x in slopes]
    return outputs, slopes


def _scalar(outputs):
    return outputs[0] if isinstance(outputs, tuple | list) else outputs


def _tensorflow(function, tensors, variables):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = function(*tensors)
    sources = tensors + [variable.value for variable in variables]
    slopes = tape.gradient(_scalar(outputs), sources)
    return outputs, [None if x is None else tf.convert_to_tensor(x) for x in slopes]


def _jax(function, tensors, variables):
    import jax

    def loss(tensors, values):
        scope = keras.StatelessScope(list(zip(variables, values, strict=True)))
        with scope:
            outputs = function(*tensors)
        return _scalar(outputs), outputs

    values = [variable.value for variable in variables]
    slopes, outputs = jax.grad(loss, argnums=(0, 1), has_aux=True)(tensors, values)
    return outputs, [*slopes[0], *slopes[1]]


def _torch(function, tensors, variables):
    import torch

    tensors = [x.detach().requires_grad_() for x in tensors]
    outputs = function(*tensors)
    sources = tensors + [variable.value for variable in variables]
    return outputs, torch.autograd.grad(_scalar(outputs), sources, allow_unused=True)


def check_gradients(function, formula, arrays, variables, dtype, rtol):
    """Gradients of a function of tensors against the differences of its formula.

    Args:
        function: Takes as many tensors as there are arrays and gives a tensor.
        formula: Takes the arrays, and then the values of the variables, and gives what
            the function gives, in NumPy.
        arrays: NumPy arrays in float64.
        variables: Keras variables that the function reads.
        dtype: What the function computes in.
        rtol: How near values and slopes must come.
    """
    points = [*arrays, *(ops.convert_to_numpy(x).astype("float64") for x in variables)]
    rng = np.random.default_rng(0)
    expected = formula(*points)
    towards = rng.normal(size=np.shape(expected))

    def loss(*tensors):
        outputs = function(*tensors)
        return ops.sum(ops.multiply(outputs, towards.astype(dtype))), outputs

    (_, outputs), slopes = gradients(loss, [x.astype(dtype) for x in arrays], variables)
    np.testing.assert_allclose(outputs, expected, rtol=rtol, atol=rtol)
    for n, slope in enumerate(slopes):
        slope = np.zeros(points[n].shape) if slope is None else slope
        direction = rng.normal(size=points[n].shape)
        ahead, behind = (
            (formula(*points[:n], points[n] + step, *points[n + 1 :]) * towards).sum()
            for step in (1e-5 * direction, -1e-5 * direction)
        )
        # Against the size of the gradient: slopes that cancel have no digits left.
        size = 1 + np.linalg.norm(slope) * np.linalg.norm(direction)
        error = abs((slope * direction).sum() - (ahead - behind) / 2e-5)
        assert error <= rtol * size, (n, error / size)
