"""Step 3, and how the three steps are run: plain or compiled.

    energies = score(query, key)                # kattn.scores
    weights  = normalizer(energies, visible)    # kattn.normalizers, kattn.regions
    context  = weights @ value

The energies and weights are made in one place, for every layer and every variant.
"""

import contextlib
import contextvars
import functools
import math

import keras
from keras import ops

from kattn import pairwise
from kattn.bands import Band
from kattn.names import unknown
from kattn.normalizers import Softmax
from kattn.pairwise import wide
from kattn.parts import Value
from kattn.regions import Global

_PLAIN = contextvars.ContextVar("kattn_plain", default=False)
_COMPILE = ("auto", "always", "never")
_MANY_PAIRS = 128 * 128


@contextlib.contextmanager
def plain():
    """Within this context nothing is compiled: what an exported model needs.

    A SavedModel that holds XLA-compiled functions is refused by TensorFlow Serving on
    GPUs; `kattn.export` and the models' `export` trace inside this context.
    """
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def attend(
    query,
    key,
    value,
    *,
    score,
    region=None,
    normalizer=None,
    query_mask=None,
    key_mask=None,
    attention_mask=None,
    keep=None,
    drawn=(),
    start=0,
    key_is_projected=False,
    return_weights=True,
    compile="auto",
):
    """Attention in its three steps: energies, weights, context.

    Energies and weights are computed in float32 (float64 for float64 inputs), whatever
    the policy. A query that may see no key gets weights 0 and context 0. What stands at
    a masked position, were it NaN, reaches neither an output nor a gradient.

    Args:
        query: Tensor `(..., Tq, Dq)`.
        key: Tensor `(..., Tk, Dk)`.
        value: Tensor `(..., Tk, Dv)`.
        score: A built `kattn.scores.Score`.
        region: A built `kattn.regions.Region`; `Global()` if `None`.
        normalizer: A `kattn.normalizers.Normalizer`; `Softmax()` if `None`.
        query_mask: Boolean `(..., Tq)`, `False` for queries that see nothing.
        key_mask: Boolean `(..., Tk)`, `False` for keys nobody sees.
        attention_mask: Boolean `(..., Tq, Tk)`, or what broadcasts to it, `False` for
            pairs that do not meet.
        keep: What the weights are multiplied with before the sum: dropout. A function
            of the weights' shape that gives such a tensor, drawn by the layer, which
            owns the seed; or the tensor `(..., Tq, Tk)`, for which all pairs are made.
        drawn: What the normalizer's `draw` gave, likewise drawn by the layer.
        start: Position of the first query: an integer, or a tensor of them that
            broadcasts to `(..., Tq)`.
        key_is_projected: Whether `key` is what `score.project_key` gave already: the
            memory of a decoder, projected once for all its steps.
        return_weights: Whether the weights are made for all pairs and returned. Without
            them, a region that is a window compares what the window can see alone, and
            nothing is `(Tq, Tk)`.
        compile: `"auto"` compiles with XLA where that was measured to win: on a GPU
            always, on a CPU for additive scores of long texts, and only where the
            lengths are known, since XLA compiles anew for each. `"always"`, `"never"`.
            On the TensorFlow backend alone; JAX compiles by itself. A normalizer that
            is a layer (`Hard`, `Monotonic`) is never compiled apart.

    Returns:
        `(context, weights)`: `(..., Tq, Dv)` in the value's dtype, and `(..., Tq, Tk)`
        in float32 or wider, before `keep`; `None` without `return_weights`.

    Raises:
        ValueError: If `compile` is none of the three words, or if shapes do not fit.

    Example:
        >>> score = kattn.scores.ScaledDot()
        >>> x = np.ones((2, 3, 4), "float32")
        >>> context, weights = kattn.attend(x, x, x, score=score)
        >>> context.shape, weights.shape
        (TensorShape([2, 3, 4]), TensorShape([2, 3, 3]))
    """
    return attended(
        query,
        key,
        value,
        score=score,
        region=region,
        normalizer=normalizer,
        query_mask=query_mask,
        key_mask=key_mask,
        attention_mask=attention_mask,
        keep=keep,
        drawn=drawn,
        start=start,
        key_is_projected=key_is_projected,
        return_weights=return_weights,
        compile=compile,
    )[:2]


def attended(
    query,
    key,
    value,
    *,
    score,
    region=None,
    normalizer=None,
    query_mask=None,
    key_mask=None,
    attention_mask=None,
    keep=None,
    drawn=(),
    start=0,
    key_is_projected=False,
    return_weights=True,
    compile="auto",
):
    """What `attend` does, and which queries see any key at all.

    Returns:
        `(context, weights, reads)`, the last a function that gives booleans which
        broadcast to `(..., Tq)`, or `None` where every query sees every key.
    """
    if compile not in _COMPILE:
        raise unknown("compile policy", compile, _COMPILE)
    region, normalizer = region or Global(), normalizer or Softmax()
    same = key is value
    query, value = _tensor(query), _tensor(value)
    key = value if same else _tensor(key)
    check_shapes(query, key, value, query_mask, key_mask, attention_mask)
    query, value = cleared(query, query_mask), cleared(value, key_mask)
    key = value if same else cleared(key, key_mask)
    if not key_is_projected:
        score.check(query.shape, key.shape)
        key = score.project_key(key)
    asked = score.project_query(query)
    band = None
    if not (return_weights or drawn or score.by_place or attention_mask is not None):
        band = _band(region, normalizer, start, query, key)
    if band is None:
        seen, closeness = region.view(
            query, ops.shape(key)[-2], start=start, key_mask=key_mask
        )
        visible = _visible(seen, query_mask, key_mask, attention_mask)
    else:
        visible, closeness = band.visible(query_mask, key_mask), None
        asked, key, value = (
            band.of_queries(asked),
            band.of_keys(key),
            band.of_keys(value),
        )
    if callable(keep):
        keep = keep((*ops.shape(asked)[:-1], ops.shape(key)[-2]))
    steps = (score.pairwise, normalizer, region.renormalize)
    core = functools.partial(_three_steps, *steps)
    if _compiles(compile, score, normalizer, asked, key):
        core = _compiled(*steps)
    parameters = tuple(wide(parameter) for parameter in score.parameters())
    context, weights = core(
        asked, key, value, parameters, visible, closeness, drawn, keep
    )
    if band is not None:
        context = band.joined(context)

    def reads():
        if visible is None:
            return None
        sees = ops.any(visible, axis=-1)
        if band is None:
            return sees
        return band.joined(ops.expand_dims(sees, -1))[..., 0]

    return context, weights if return_weights else None, reads


def _band(region, normalizer, start, query, key):
    """The band that a window makes of all pairs; `None` where that saves nothing."""
    if region.window is None or not isinstance(normalizer, Value):
        return None
    if not isinstance(start, int) or start != 0:
        return None
    lengths = query.shape[-2], key.shape[-2]
    band = Band(region.window, ops.shape(query)[-2], ops.shape(key)[-2])
    if None in lengths or band.count * band.size * band.reach < math.prod(lengths):
        return band
    return None


def _three_steps(
    pairwise,
    normalizer,
    renormalize,
    query,
    key,
    value,
    parameters,
    visible,
    closeness,
    drawn,
    keep,
):
    energies = pairwise(wide(query), wide(key), *parameters)  # (..., Tq, Tk)
    weights = normalizer(energies, visible, *drawn)  # (..., Tq, Tk)
    if closeness is not None:
        weights = weights * ops.cast(closeness, weights.dtype)
    if renormalize:
        total = ops.sum(weights, axis=-1, keepdims=True)  # (..., Tq, 1)
        weights = weights / ops.where(total == 0, ops.ones_like(total), total)
    shares = weights if keep is None else weights * ops.cast(keep, weights.dtype)
    context = ops.matmul(ops.cast(shares, value.dtype), value)  # (..., Tq, Dv)
    return context, weights


def cleared(tensor, mask):
    """Zeros where the mask is `False`, so that padding cannot reach anything.

    Not even as a NaN, which would survive a weight of 0, nor in the gradient of a
    projection, which sums over all positions.

    Args:
        tensor: Tensor `(..., T, D)`.
        mask: Boolean `(..., T)`, or `None`.

    Returns:
        A tensor of the same shape.
    """
    if mask is None:
        return tensor
    live = ops.expand_dims(ops.cast(mask, "bool"), -1)  # (..., T, 1)
    return ops.where(live, tensor, ops.zeros_like(tensor))


def check_shapes(
    query, key, value, query_mask=None, key_mask=None, attention_mask=None
):
    """Raise where shapes do not fit, as far as they are known before running.

    Args:
        query: Tensor, real or symbolic, as for `attend`; so are the others.
        key: Likewise.
        value: Likewise.
        query_mask: Likewise, or `None`.
        key_mask: Likewise.
        attention_mask: Likewise.

    Raises:
        ValueError: If a rank, a length, a batch or a mask does not fit.
        TypeError: If a mask is neither of booleans nor of integers.
    """
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if len(tensor.shape) < 2:
            raise ValueError(
                f"Attention needs a {name} of shape (..., length, width). "
                f"Received: shape {tuple(tensor.shape)}"
            )
        if tensor.shape[-2] == 0:
            raise ValueError(
                f"Attention needs a {name} of at least one position. "
                f"Received: shape {tuple(tensor.shape)}"
            )
    if not _fits(key.shape[:-1], value.shape[:-1]):
        raise ValueError(
            "Key and value have the same batch and length. Received: key of shape "
            f"{tuple(key.shape)}, value of shape {tuple(value.shape)}"
        )
    outer, other = query.shape[:-2], key.shape[:-2]
    if not (_fits(outer, other) or _fits(other, outer)):
        raise ValueError(
            "Query and key have the same batch. Received: query of shape "
            f"{tuple(query.shape)}, key of shape {tuple(key.shape)}"
        )
    outer = other if _fits(outer, other) else outer
    for name, mask, expected in (
        ("query_mask", query_mask, query.shape[:-1]),
        ("key_mask", key_mask, key.shape[:-1]),
        (
            "attention_mask",
            attention_mask,
            (*outer, query.shape[-2], key.shape[-2]),
        ),
    ):
        check_truth(mask, name)
        if mask is not None and not _fits(mask.shape, expected):
            raise ValueError(
                f"{name} has shape {tuple(expected)}, or one that broadcasts to it. "
                f"Received: shape {tuple(mask.shape)}"
            )


def check_truth(mask, name):
    """Raise a `TypeError` where a mask does not say true or false.

    A mask of floats is refused, since it may be one that others add to energies, where
    0 is for what may be seen.

    Args:
        mask: Tensor or array, real or symbolic, or `None`.
        name: What the mask is called in the error message.
    """
    if mask is None:
        return
    kind = type(mask).__name__
    if hasattr(mask, "dtype"):
        kind = keras.backend.standardize_dtype(mask.dtype)
        if kind == "bool" or "int" in kind:
            return
    raise TypeError(
        f"{name} is a tensor of booleans, True for what may be seen. Received: {kind}"
    )


def _fits(shape, expected):
    """Whether a shape broadcasts to another; `None` fits everything."""
    return len(shape) <= len(expected) and all(
        a in (None, 1) or b is None or a == b
        for a, b in zip(reversed(shape), reversed(expected), strict=False)
    )


def _tensor(x):
    """A tensor of floats."""
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    return x if "float" in dtype else ops.cast(x, keras.config.floatx())


def _visible(seen, query_mask, key_mask, attention_mask):
    """All masks and the region AND-ed: `(..., Tq, Tk)`, or `None` where all is seen."""
    masks = [seen, attention_mask]
    if query_mask is not None:
        masks.append(ops.expand_dims(query_mask, -1))
    if key_mask is not None:
        masks.append(ops.expand_dims(key_mask, -2))
    masks = [ops.cast(mask, "bool") for mask in masks if mask is not None]
    return functools.reduce(ops.logical_and, masks) if masks else None


def _compiles(policy, score, normalizer, query, key):
    """Whether this call goes through XLA."""
    if policy == "never" or _PLAIN.get() or keras.backend.backend() != "tensorflow":
        return False
    if not isinstance(normalizer, Value):
        return False
    if policy == "always":
        return True
    lengths = query.shape[-2], key.shape[-2]
    if None in lengths:
        return False
    if _has_gpu():
        return True
    # On a CPU, XLA halves the time of tanh over all pairs going forward. With the way
    # back it wins on long texts, is even at 128 by 128 and loses on shorter ones; dot
    # products it only slows down.
    return score.pairwise is pairwise.tanh_sums and math.prod(lengths) >= _MANY_PAIRS


@functools.cache
def _compiled(*steps):
    """One compiled core for all layers with equal parts: masks are its arguments.

    The parts are the cache's key because they compare by value. As arguments of a
    `tf.function` they would be held by weak references, and traced anew for each
    layer whose predecessor is gone.
    """
    import tensorflow as tf

    return tf.function(
        functools.partial(_three_steps, *steps),
        jit_compile=True,
        autograph=False,
    )


@functools.cache
def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
