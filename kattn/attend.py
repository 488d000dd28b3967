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

from kattn import blocks, fused, pairwise
from kattn.bands import Band
from kattn.devices import has_gpu
from kattn.names import unknown
from kattn.normalizers import Softmax
from kattn.pairwise import wide
from kattn.parts import Value
from kattn.regions import Global
from kattn.shapes import check_shapes

_DECIDED = contextvars.ContextVar("kattn_compile", default="auto")
_COMPILE = ("auto", "always", "never")
_PLANS = ("auto", "whole", "blocks", "bands")
_MANY_PAIRS = 128 * 128


@contextlib.contextmanager
def compiling(policy):
    """Within this context `attend` is compiled by this policy in place of `"auto"`.

    A SavedModel that holds XLA-compiled functions is refused by TensorFlow Serving on
    GPUs: `kattn.export`, unless it is asked for them, and the models' `export` trace
    inside the context of `"never"`.

    Args:
        policy: As `compile` of `attend`. `"never"` holds for what would be compiled
            always, too, and nothing is compiled that never is.
    """
    if policy not in _COMPILE:
        raise unknown("compile policy", policy, _COMPILE)
    token = _DECIDED.set(policy)
    try:
        yield
    finally:
        _DECIDED.reset(token)


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
    plan="auto",
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
        key_is_projected: Whether `key` is what `score.project_key` gave already, and
            padding is cleared: the memory of a decoder, ready for all its steps.
        return_weights: Whether the weights are made for all pairs and returned.
        plan: How pairs are made, which changes nothing beyond rounding. `"whole"`: all
            at once, and kept for the way back. `"blocks"`: for some queries at a time,
            and made again in the way back, so that a score that compares number by
            number never has `(Tq, Tk, D)` of them; and nothing is `(Tq, Tk)` where
            softmax over products is read without weights and without dropout.
            `"bands"`: those alone that a region with a window can see, nothing being
            `(Tq, Tk)`. `"auto"`: bands where they save work, else whole up to 2^20
            numbers a text, or 2^26 pairs of products, and blocks above.
        compile: `"auto"` compiles with XLA where that was measured to win: on a GPU
            always, on a CPU for additive scores of long texts, and only where the
            lengths are known, since XLA compiles anew for each. `"always"`, `"never"`.
            On the TensorFlow backend alone; JAX compiles by itself. A normalizer that
            is a layer (`Hard`, `Monotonic`) is never compiled apart.

    Returns:
        `(context, weights)`: `(..., Tq, Dv)` in the value's dtype, and `(..., Tq, Tk)`
        in float32 or wider, before `keep`; `None` without `return_weights`.

    Raises:
        ValueError: If `plan` or `compile` is none of its words, if shapes do not fit,
            or for `plan="bands"` where no band can be made.

    Example:
        >>> score = kattn.scores.ScaledDot()
        >>> x = np.ones((2, 3, 4), "float32")
        >>> context, weights = kattn.attend(x, x, x, score=score)
        >>> context.shape, weights.shape
        (TensorShape([2, 3, 4]), TensorShape([2, 3, 3]))
    """
    if compile not in _COMPILE:
        raise unknown("compile policy", compile, _COMPILE)
    if plan not in _PLANS:
        raise unknown("plan", plan, _PLANS)
    region, normalizer = region or Global(), normalizer or Softmax()
    same = key is value
    query, value = _tensor(query), _tensor(value)
    key = value if same else _tensor(key)
    check_shapes(query, key, value, query_mask, key_mask, attention_mask)
    query = cleared(query, query_mask)
    if not key_is_projected:
        value = cleared(value, key_mask)
        key = value if same else cleared(key, key_mask)
        score.check(query.shape, key.shape)
        key = score.project_key(key)
    asked = score.project_query(query)
    band = None
    given = keep is not None and not callable(keep)
    made_whole = return_weights or drawn or given or score.by_place
    if isinstance(normalizer, Value) and not made_whole and plan in ("auto", "bands"):
        saving = plan == "auto"
        band = _band(region, start, attention_mask, asked, key, saving)
    if plan == "bands" and band is None:
        raise ValueError(
            "A band is made of a window of keys that follows the queries from position "
            "0, with a normalizer that is a plain value and a score by vectors. "
            "Expected: such parts, no attention_mask, no array as keep and "
            f"return_weights=False; or plan='auto'. Received: region={region!r}, "
            f"return_weights={return_weights}"
        )
    fit = {"whole": True, "blocks": False}.get(plan, blocks.given())
    if not made_whole and keep is None and attention_mask is None:
        if _fuses(score, region, normalizer, band, asked, key):
            asked = asked / normalizer.temperature
            if band is None:
                context = fused.read(asked, key, value, key_mask, few=fit)
            else:
                asked = band.of_queries(asked)
                key, value = band.of_keys(key), band.of_keys(value)
                live = band.live(key_mask)
                context = fused.read(asked, key, value, live, band.pattern())
                context = band.joined(context)
            return cleared(context, query_mask), None
    visible, closeness = _view(
        region, band, start, query, key, query_mask, key_mask, attention_mask
    )
    if band is not None:
        asked = band.of_queries(asked)
        key, value = band.of_keys(key), band.of_keys(value)
    if callable(keep):
        keep = keep((*ops.shape(asked)[:-1], ops.shape(key)[-2]))
    steps = (fit, score.pairwise, normalizer, region.renormalize)
    core = functools.partial(_three_steps, *steps)
    if _compiles(compile, score, normalizer, asked, key):
        core = _compiled(*steps)
    parameters = tuple(wide(parameter) for parameter in score.parameters())
    context, weights = core(
        asked, key, value, parameters, visible, closeness, drawn, keep
    )
    if band is not None:
        context = band.joined(context)
    return context, weights if return_weights else None


def reads(query, key, *, region, query_mask=None, key_mask=None, attention_mask=None):
    """Which queries see any key.

    Args:
        query: Tensor `(..., Tq, Dq)`; this and the others as for `attend`.
        key: Tensor `(..., Tk, Dk)`.
        region: A built `kattn.regions.Region`.
        query_mask: Boolean `(..., Tq)`, or `None`.
        key_mask: Boolean `(..., Tk)`, or `None`.
        attention_mask: Boolean `(..., Tq, Tk)`, or `None`.

    Returns:
        Booleans that broadcast to `(..., Tq)`; `None` where every query sees a key.
    """
    band = _band(region, 0, attention_mask, query, key)
    masks = query_mask, key_mask, attention_mask
    visible, _ = _view(region, band, 0, query, key, *masks)
    if visible is None:
        return None
    sees = ops.any(visible, axis=-1)
    return sees if band is None else band.joined(sees[..., None])[..., 0]


def _fuses(score, region, normalizer, band, query, key):
    """Whether energies, weights and context may be one function, `fused.read`."""
    return (
        (type(region) is Global or band is not None)
        and not region.renormalize
        and type(normalizer) is Softmax
        and score.pairwise is pairwise.products
        and query.shape[-2] != 1  # for one query there is nothing to save
        and len(query.shape) == len(key.shape)
    )


def _band(region, start, attention_mask, query, key, saving=True):
    """The band that a window makes of all pairs; `None` where there is none.

    With `saving` also where it saves nothing.
    """
    if region.window is None or attention_mask is not None:
        return None
    if not isinstance(start, int) or start != 0:
        return None
    lengths = query.shape[-2], key.shape[-2]
    band = Band(region.window, ops.shape(query)[-2], ops.shape(key)[-2])
    if not saving or None in lengths:
        return band
    return band if band.count * band.size * band.reach < math.prod(lengths) else None


def _view(region, band, start, query, key, query_mask, key_mask, attention_mask):
    """What a query sees, the masks and the region AND-ed; and the region's closeness.

    Booleans `(..., Tq, Tk)`, or `None` where all is seen; a band's where there is one.
    """
    if band is not None:
        return band.visible(query_mask, key_mask), None
    seen, closeness = region.view(
        query, ops.shape(key)[-2], start=start, key_mask=key_mask
    )
    masks = [seen, attention_mask]
    if query_mask is not None:
        masks.append(ops.expand_dims(query_mask, -1))
    if key_mask is not None:
        masks.append(ops.expand_dims(key_mask, -2))
    masks = [ops.cast(mask, "bool") for mask in masks if mask is not None]
    return functools.reduce(ops.logical_and, masks) if masks else None, closeness


def _three_steps(
    fit,
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
    with blocks.decided(fit):
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
    return ops.where(live, tensor, 0)


def _tensor(x):
    """A tensor of floats."""
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    return x if "float" in dtype else ops.cast(x, keras.config.floatx())


def _compiles(policy, score, normalizer, query, key):
    """Whether this call goes through XLA."""
    policies = policy, _DECIDED.get()
    if "never" in policies or keras.backend.backend() != "tensorflow":
        return False
    if not isinstance(normalizer, Value):
        return False
    if "always" in policies:
        return True
    lengths = query.shape[-2], key.shape[-2]
    if None in lengths:
        return False
    if has_gpu():
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
