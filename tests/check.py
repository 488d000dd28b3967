"""What Keras requires of every layer, in one check (after its `run_layer_test`)."""

import json
import tempfile
from pathlib import Path

import keras
import numpy as np


def check_layer(
    layer_class,
    init_kwargs,
    call_inputs,
    call_kwargs=None,
    *,
    weights,
    seeds=0,
    supports_masking=True,
    mask_shape=None,
    flags=({},),
    fit=True,
    policies=("mixed_float16", "mixed_bfloat16", "bfloat16"),
):
    """Hold a layer to what Keras requires.

    Args:
        layer_class: The class.
        init_kwargs: Arguments of its constructor: a dictionary, or a function of a
            dtype policy that makes one (for layers that wrap a layer).
        call_inputs: Arrays by argument name, in the order of `call`; the first is the
            one whose mask Keras passes on.
        call_kwargs: Further arguments of every call.
        weights: How many weights the built layer has.
        seeds: How many seed generators.
        supports_masking: What the attribute says.
        mask_shape: Shape of the mask that the output carries where the first input
            carries one of `(B, ..., T)`; `None` where it carries none.
        flags: Sets of call arguments for each of which the symbolic and the eager
            call must agree.
        fit: Whether to fit a model of the layer.
        policies: Names of the dtype policies it is held to.
    """
    call_kwargs = call_kwargs or {}

    def make(policy=None):
        kwargs = init_kwargs(policy) if callable(init_kwargs) else dict(init_kwargs)
        return layer_class(**kwargs, **({} if policy is None else {"dtype": policy}))

    _check_config(make())
    layer = make()
    assert layer.supports_masking is supports_masking
    _check_build(layer, call_inputs, weights, seeds)
    for options in flags:
        _check_symbolic(make(), call_inputs, {**call_kwargs, **options})
    _check_masks(make(), call_inputs, call_kwargs, mask_shape)
    if fit:
        for jit_compile in ("auto", False):
            _check_fit(make(), call_inputs, call_kwargs, jit_compile)
    for policy in policies:
        _check_policy(make(policy), policy, call_inputs, call_kwargs, flags)
    _check_saving(make(), call_inputs, call_kwargs)


def _check_config(layer):
    config = layer.get_config()
    json.dumps(config)
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert set(dir(again)) == set(dir(layer))
    revived = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    )
    assert type(revived) is type(layer)
    assert revived.get_config() == config
    assert keras.saving.get_registered_name(type(layer)).startswith("kattn>")


def _check_build(layer, call_inputs, weights, seeds):
    shapes = [array.shape for array in call_inputs.values()]
    layer.build(*shapes)
    assert layer.built
    assert len(layer.weights) == weights
    assert len({weight.path for weight in layer.weights}) == weights
    assert len(layer.variables) - len(layer.weights) == seeds
    before = [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
    layer(**call_inputs)
    assert len(layer.weights) == weights, "the call made weights"
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)


def _specs(outputs):
    return [
        (tuple(x.shape), keras.backend.standardize_dtype(x.dtype))
        for x in keras.tree.flatten(outputs)
    ]


def _check_symbolic(layer, call_inputs, options):
    """Shape and dtype of the symbolic call are those of the eager one."""
    eager = layer(**call_inputs, **options)
    symbolic = layer.compute_output_spec(
        **{k: keras.KerasTensor(x.shape, x.dtype) for k, x in call_inputs.items()},
        **options,
    )
    assert keras.tree.flatten(symbolic) is not None
    assert _specs(symbolic) == _specs(eager)
    keras.tree.assert_same_structure(symbolic, eager)
    # With free sizes, only what was free is free.
    free = layer.compute_output_spec(
        **{
            k: keras.KerasTensor((None,) * (x.ndim - 1) + x.shape[-1:], x.dtype)
            for k, x in call_inputs.items()
        },
        **options,
    )
    for (shape, dtype), (known, known_dtype) in zip(
        _specs(free), _specs(eager), strict=True
    ):
        assert dtype == known_dtype
        assert len(shape) == len(known)
        assert all(a in (None, b) for a, b in zip(shape, known, strict=True))


def _masking(array, hidden):
    """The array as a tensor that carries a Keras mask hiding some positions."""
    array = np.where(hidden[..., None], 0.0, array).astype("float32")
    return keras.layers.Masking(0.0)(array)


def _check_masks(layer, call_inputs, call_kwargs, mask_shape):
    """A mask arrives, is heeded, is passed on or dropped, and is not wiped."""
    name, array = next(iter(call_inputs.items()))
    others = {k: x for k, x in call_inputs.items() if k != name}
    hidden = np.zeros(array.shape[:-1], bool)
    hidden[..., -1] = True
    tensor = _masking(array, hidden)
    outputs = layer(tensor, **others, **call_kwargs)
    mask = getattr(keras.tree.flatten(outputs)[0], "_keras_mask", None)
    assert (None if mask is None else tuple(mask.shape)) == mask_shape
    kept = keras.ops.convert_to_numpy(tensor._keras_mask)
    np.testing.assert_array_equal(kept, ~hidden)


def _model(layer, call_inputs, call_kwargs):
    inputs = {
        k: keras.Input(x.shape[1:], dtype=x.dtype, name=k)
        for k, x in call_inputs.items()
    }
    outputs = layer(**inputs, **call_kwargs)
    return keras.Model(inputs, outputs)


def _check_fit(layer, call_inputs, call_kwargs, jit_compile):
    model = _model(layer, call_inputs, call_kwargs)
    # A head, so that there is something to train where the layer has no weights.
    outputs = keras.layers.Dense(2)(keras.tree.flatten(model.outputs)[0])
    model = keras.Model(model.inputs, outputs)
    target = np.ones((len(next(iter(call_inputs.values()))), *outputs.shape[1:]))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    batch = len(target)
    before = [keras.ops.convert_to_numpy(weight) for weight in layer.trainable_weights]
    history = model.fit(call_inputs, target, batch_size=batch, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    changed = [
        not np.array_equal(keras.ops.convert_to_numpy(weight), old)
        for weight, old in zip(layer.trainable_weights, before, strict=True)
    ]
    assert all(changed), "a weight was not trained: " + ", ".join(
        w.path for w, c in zip(layer.trainable_weights, changed, strict=True) if not c
    )


def _check_policy(layer, name, call_inputs, call_kwargs, flags):
    policy = keras.DTypePolicy(name)
    for options in flags:
        outputs = layer(**call_inputs, **call_kwargs, **options)
        for x in keras.tree.flatten(outputs):
            assert keras.backend.standardize_dtype(x.dtype) == policy.compute_dtype
            numbers = keras.ops.convert_to_numpy(x).astype("float32")
            assert np.isfinite(numbers).all()
        spec = layer.compute_output_spec(
            **{k: keras.KerasTensor(x.shape, x.dtype) for k, x in call_inputs.items()},
            **call_kwargs,
            **options,
        )
        assert _specs(spec) == _specs(outputs)
    for weight in layer.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == policy.variable_dtype
    for sublayer in layer._flatten_layers(include_self=True):
        if not isinstance(sublayer, keras.layers.InputLayer | keras.layers.Softmax):
            assert sublayer.dtype_policy.name == name, sublayer.name
    revived = type(layer).from_config(layer.get_config())
    assert revived.dtype_policy.name == name


def _check_saving(layer, call_inputs, call_kwargs):
    model = _model(layer, call_inputs, call_kwargs)
    for weight in model.weights:
        weight.assign(keras.random.normal(weight.shape, seed=3))
    expected = keras.tree.flatten(model(call_inputs))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        revived = keras.saving.load_model(path)
    for a, b in zip(expected, keras.tree.flatten(revived(call_inputs)), strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))
