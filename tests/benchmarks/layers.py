"""Cases of single layers: one step of training, or one pass, on the same numbers."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from measure import Case

import kattn
from kattn import normalizers, regions, scores


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


# === Steps: gradients of the sum of squares of what a function gives ===


def keras_step(function, arrays):
    """Of a function of tensors, in one graph."""

    @tf.function(autograph=False)
    def slopes(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = tf.reduce_sum(tf.square(function(*tensors)))
        return tape.gradient(loss, tensors)

    tensors = [tf.constant(x) for x in arrays]
    return lambda: [x.numpy() for x in slopes(*tensors)]


def keras_forward(function, arrays):
    run = tf.function(function, autograph=False)
    tensors = [tf.constant(x) for x in arrays]
    return lambda: [run(*tensors).numpy()]


def torch_step(function, arrays, compiled=False):
    import torch

    function = torch.compile(function) if compiled else function
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]

    def step():
        loss = function(*tensors).square().sum()
        return [x.numpy() for x in torch.autograd.grad(loss, tensors)]

    return step


def torch_forward(function, arrays):
    import torch

    tensors = [torch.tensor(x) for x in arrays]

    def step():
        with torch.no_grad():
            return [function(*tensors).numpy()]

    return step


def exact(function, arrays):
    """Gradients in float64, of a function written from the formula."""

    def expected():
        return keras_step(function, [x.astype("float64") for x in arrays])()

    return functools.cache(expected)


# === Additive attention ===


def bahdanau(query, key, value, vector):
    """The formula, with all pairs at once."""
    pairs = tf.tanh(query[:, :, None] + key[:, None])  # (B, Tq, Tk, D)
    return tf.nn.softmax(tf.einsum("bqkd,d->bqk", pairs, vector)) @ value


def torch_bahdanau(query, key, value, vector):
    pairs = (query[:, :, None] + key[:, None]).tanh()
    return (pairs @ vector).softmax(-1) @ value


class Given(scores.Additive):
    """The additive score of what is projected already, with a given vector."""

    def build(self, query_shape, key_shape):
        pass

    def project_query(self, query):
        return query

    def project_key(self, key):
        return key

    def parameters(self):
        return (self.vector_given,)


def kattn_bahdanau(query, key, value, vector):
    score = Given()
    score.vector_given = vector
    return kattn.attend(query, key, value, score=score, return_weights=False)[0]


def keras_bahdanau(arrays):
    layer = keras.layers.AdditiveAttention()
    layer.build([arrays[0].shape, arrays[2].shape, arrays[1].shape])

    def run(query, key, value, vector):
        values = [(layer.scale, vector)]
        with keras.StatelessScope(state_mapping=values):
            return layer([query, value, key])

    return keras_step(run, arrays)


def additive(batch, length, width=64, checked=True, alone=False):
    arrays = draw(*[(batch, length, width)] * 3, (width,))
    arrays[3] /= width**0.5
    ours = {"kattn": lambda: keras_step(kattn_bahdanau, arrays)}
    peers = {
        "keras": lambda: keras_bahdanau(arrays),
        "torch": lambda: torch_step(torch_bahdanau, arrays),
        "torch.compile": lambda: torch_step(torch_bahdanau, arrays, compiled=True),
    }
    return Case(
        f"additive, training, B {batch}, T {length}, D {width}",
        ours if alone else ours | peers,
        exact(bahdanau, arrays) if checked else None,
        {} if alone else {"keras": 2.5, "torch.compile": 2.5},
        rtol=1e-3,  # the vector's slope sums two million terms in float32
    )


# === A local window ===


def windowed(function, window, length):
    places = np.arange(length)
    band = abs(places[:, None] - places) <= window
    return functools.partial(function, band=band)


def dense_window(query, key, value, band):
    energies = query @ tf.transpose(key, (0, 2, 1)) / query.shape[-1] ** 0.5
    return tf.nn.softmax(tf.where(band, energies, -np.inf)) @ value


def kattn_window(query, key, value, window):
    return kattn.attend(
        query,
        key,
        value,
        score=scores.ScaledDot(),
        region=regions.Local(window, window),
        return_weights=False,
    )[0]


def torch_window(query, key, value, band):
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    return scaled_dot_product_attention(
        query, key, value, attn_mask=torch.from_numpy(band)
    )


def flex_window(arrays, window):
    """FlexAttention compiled: forward alone, for on a CPU it has no way back."""
    import torch
    from torch.nn.attention import flex_attention as flex

    length = arrays[0].shape[1]
    block_mask = flex.create_block_mask(
        lambda b, h, q, k: (q - k).abs() <= window, None, None, length, length, "cpu"
    )
    compiled = torch.compile(flex.flex_attention)

    def run(query, key, value):
        heads = (x[:, None] for x in (query, key, value))
        return compiled(*heads, block_mask=block_mask)[:, 0]

    return torch_forward(run, arrays)


def window(length, batch=2, width=64, half=64, checked=True, alone=False):
    arrays = draw(*[(batch, length, width)] * 3)
    attended = functools.partial(kattn_window, window=half)
    ours = {"kattn": lambda: keras_step(attended, arrays)}
    peers = {
        "dense": lambda: keras_step(windowed(dense_window, half, length), arrays),
        "torch": lambda: torch_step(windowed(torch_window, half, length), arrays),
    }
    return [
        Case(
            f"window of {2 * half + 1}, training, B {batch}, T {length}, D {width}",
            ours if alone else ours | peers,
            exact(windowed(dense_window, half, length), arrays) if checked else None,
            {} if alone else {"dense": 9.0},
        ),
        Case(
            f"window of {2 * half + 1}, forward, B {batch}, T {length}, D {width}",
            {
                "kattn": lambda: keras_forward(attended, arrays),
                "flex": lambda: flex_window(arrays, half),
            },
            lambda: keras_forward(
                windowed(dense_window, half, length),
                [x.astype("float64") for x in arrays],
            )(),
            {"flex": 2.0},
        ),
    ]


# === Heads ===


def heads(batch, length, number=8, width=32):
    inner = number * width
    text, *weights = draw((batch, length, inner), *[(inner, inner)] * 4, seed=1)
    weights = [w / inner**0.5 for w in weights]

    def of_layer(layer):
        layer.build((batch, length, inner), (batch, length, inner))
        shapes = [w.shape for w in layer.get_weights()]
        bias = [np.zeros(shape, "float32") for shape in shapes[1::2]]
        kernels = [w.reshape(s) for w, s in zip(weights, shapes[::2], strict=True)]
        layer.set_weights([x for both in zip(kernels, bias, strict=True) for x in both])
        values = layer.trainable_variables

        def run(text, *_):
            return layer(text, text)

        @tf.function(autograph=False)
        def slopes(text):
            with tf.GradientTape() as tape:
                tape.watch(text)
                loss = tf.reduce_sum(tf.square(run(text)))
            return tape.gradient(loss, [text, *[v.value for v in values]])

        tensor = tf.constant(text)
        return lambda: [slopes(tensor)[0].numpy()]

    def of_torch():
        import torch

        layer = torch.nn.MultiheadAttention(inner, number, batch_first=True)
        with torch.no_grad():
            joined = np.concatenate([w.T for w in weights[:3]])
            layer.in_proj_weight.copy_(torch.from_numpy(joined))
            layer.out_proj.weight.copy_(torch.from_numpy(weights[3].T.copy()))
            layer.in_proj_bias.zero_()
            layer.out_proj.bias.zero_()
        tensor = torch.tensor(text, requires_grad=True)

        def step():
            output, _ = layer(tensor, tensor, tensor, need_weights=False)
            loss = output.square().sum()
            sources = [tensor, *layer.parameters()]
            return [torch.autograd.grad(loss, sources)[0].numpy()]

        return step

    def formula(text):
        query, key, value = (
            tf.transpose(
                tf.reshape(text @ w, (batch, length, number, width)), (0, 2, 1, 3)
            )
            for w in (x.astype("float64") for x in weights[:3])
        )
        energies = query @ tf.transpose(key, (0, 1, 3, 2)) / width**0.5
        read = tf.transpose(tf.nn.softmax(energies) @ value, (0, 2, 1, 3))
        return tf.reshape(read, (batch, length, inner)) @ weights[3].astype("float64")

    return Case(
        f"{number} heads, training, B {batch}, T {length}, D {inner}",
        {
            "kattn": lambda: of_layer(kattn.layers.MultiHeadAttention(number, width)),
            "keras": lambda: of_layer(keras.layers.MultiHeadAttention(number, width)),
            "torch": of_torch,
        },
        exact(formula, [text]),
        {"keras": 1.0, "torch": 1.5},
    )


# === Scores against the plain composition ===


def composed(name, query, key, value, weight):
    """The three steps as one would write them with keras.ops."""
    if name == "cosine":
        query, key = (ops.normalize(x, axis=-1) for x in (query, key))
    elif name == "bilinear":
        query = ops.matmul(query, weight)
    if name == "concat":
        pairs = ops.concatenate(
            [
                ops.repeat(ops.expand_dims(query, 2), key.shape[1], axis=2),
                ops.repeat(ops.expand_dims(key, 1), query.shape[1], axis=1),
            ],
            axis=-1,
        )
        energies = ops.matmul(pairs, ops.concatenate([weight[0], weight[1]]))
    else:
        energies = ops.matmul(query, ops.swapaxes(key, 1, 2))
    return ops.matmul(ops.softmax(energies), value)


def of_score(score, query, key, value, weight):
    name = type(score).__name__.lower()
    known = {"bilinear": lambda: [(score.query_dense.kernel, weight)]}
    known["concat"] = lambda: [(score.vector, ops.concatenate([weight[0], weight[1]]))]
    with keras.StatelessScope(state_mapping=known.get(name, list)()):
        return kattn.attend(query, key, value, score=score, return_weights=False)[0]


def score(name, batch=8, length=512, width=64):
    if name == "concat":  # the composition makes (B, T, T, 2D)
        length = 256
    arrays = draw(*[(batch, length, width)] * 3, (width, width))
    arrays[3] /= 8
    if name == "cosine":
        arrays = arrays[:3]

    built = scores.get(name)
    built.build(arrays[0].shape, arrays[1].shape)

    def run(function, how=name):
        return lambda *x: function(how, *x, *([None] if len(x) == 3 else []))

    return Case(
        f"{name}, training, B {batch}, T {length}, D {width}",
        {
            "kattn": lambda: keras_step(run(of_score, built), arrays),
            "keras.ops": lambda: keras_step(run(composed), arrays),
        },
        exact(run(composed), arrays),
        {"keras.ops": 1.0},
        rtol=1e-3,  # of the composition's own: products of vectors 2D wide, T^2 times
    )


# === Normalizers ===


def normalizer(name, goal):
    (energies,) = draw((8, 8, 512, 512))
    slope = draw((8, 8, 512, 512), seed=1)[0]

    def ours():
        function = normalizers.get(name)

        @tf.function(jit_compile=True, autograph=False)
        def slopes(energies, slope):
            with tf.GradientTape() as tape:
                tape.watch(energies)
                weights = function(energies)
            return tape.gradient(weights, energies, slope)

        tensors = tf.constant(energies), tf.constant(slope)
        return lambda: [slopes(*tensors).numpy()]

    def package():
        import entmax
        import torch

        function = getattr(entmax, name)
        tensor = torch.tensor(energies, requires_grad=True)
        upstream = torch.tensor(slope)

        def step():
            weights = function(tensor, dim=-1)
            return [torch.autograd.grad(weights, tensor, upstream)[0].numpy()]

        return step

    return Case(
        f"{name}, training, (8, 8, 512, 512)",
        {"kattn": ours, "entmax": package},
        None,
        {"entmax": goal},
    )


def growing(kind, length):
    """A case of a text of that length, to grow: its kind is one of `LENGTHS`."""
    if kind == "additive":
        return additive(2, length, checked=False)
    # All pairs of the longest texts are more than many machines hold.
    return window(length, 1, checked=False, alone=length > 8192)[0]


#: By kind, the lengths that are measured.
LENGTHS = {
    "additive": (256, 512, 1024),
    "window": (1024, 2048, 4096, 8192, 16384, 32768, 65536),
}


def named(name):
    """The case of that name, or of `kind:length` one that grows."""
    kind, _, length = name.partition(":")
    if kind in LENGTHS:
        return dataclasses.replace(growing(kind, int(length)), name=name)
    # One after the other: what others draw would count as this one's memory.
    for quick in (False, True):
        for case in cases(quick):
            if case.name == name:
                return case
    raise ValueError(f"no case is called {name!r}")


def cases(quick):
    """All cases; the shorter ones alone where `quick`."""
    yield additive(8, 256 if quick else 512)
    yield from window(2048 if quick else 4096)
    yield heads(8, 256 if quick else 512)
    if not quick:
        # Alone: others need more memory than many machines have.
        yield additive(4, 2048, checked=False, alone=True)
        yield heads(1, 2048)
    for name in ("cosine", "bilinear", "concat"):
        yield score(name, length=256 if quick else 512)
    if not quick:
        yield normalizer("sparsemax", 5.0)
        yield normalizer("entmax15", 2.5)
