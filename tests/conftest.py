"""What all tests share: a quiet TensorFlow, a seed, and the check of a layer."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA's optimizations cost more here than they save: each test is a new shape.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# Two processes on two cores: threads of one would wait for those of the other.
if hasattr(os, "sched_setaffinity") and (
    worker := os.environ.get("PYTEST_XDIST_WORKER")
):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

import functools  # noqa: E402
import importlib.util  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import textwrap  # noqa: E402
from pathlib import Path  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# Each example is a new shape, which JAX compiles: fewer there. TensorFlow draws most.
settings.register_profile("tensorflow", max_examples=30)
settings.register_profile("jax", max_examples=4)
settings.register_profile("torch", max_examples=15)
settings.load_profile(keras.backend.backend())


def _module(name):
    """A module of tests/, which is no package and not on sys.path."""
    spec = importlib.util.spec_from_file_location(
        f"kattn_tests_{name}", Path(__file__).with_name(f"{name}.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state and the default policy."""
    keras.utils.set_random_seed(1234)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def check_layer():
    """`tests/check.py`: what Keras requires of every layer."""
    return _module("check").check_layer


@pytest.fixture(scope="session")
def precise():
    """The dtype that gradients are checked in, and how near they must come.

    Keras computes in float64 on TensorFlow alone: elsewhere its tanh gives float32.
    """
    float64 = keras.backend.backend() == "tensorflow"
    return ("float64", 1e-6) if float64 else ("float32", 2e-3)


@pytest.fixture(scope="session")
def gradients():
    """`tests/gradients.py`: gradients on any backend."""
    return _module("gradients").gradients


@pytest.fixture(scope="session")
def check_gradients(precise):
    """`tests/gradients.py`: a function's gradients are its formula's differences."""
    dtype, rtol = precise
    check = _module("gradients").check_gradients
    return functools.partial(check, dtype=dtype, rtol=rtol)


@pytest.fixture(scope="session")
def graphs():
    """`tests/graphs.py`: what stands in TensorFlow's graphs."""
    return _module("graphs")


@pytest.fixture(scope="session")
def oracles():
    """`tests/oracles.py`: the formulas of the papers in NumPy."""
    return _module("oracles")


@pytest.fixture(scope="session")
def padded():
    """Lists of ids as the inputs of a model, padded to a length."""

    def inputs(texts, length):
        ids = np.zeros((len(texts), length), "int32")
        for i, text in enumerate(texts):
            ids[i, : len(text)] = text
        return {"token_ids": ids, "padding_mask": ids > 0}

    return inputs


@pytest.fixture(scope="session")
def padded_pairs(padded):
    """Two lists of lists of ids as the inputs of a model of pairs, each to a length."""

    def inputs(premises, hypotheses, lengths):
        parts = zip(
            ("premise", "hypothesis"), (premises, hypotheses), lengths, strict=True
        )
        return {
            f"{field}_{name}": value
            for field, texts, length in parts
            for name, value in padded(texts, length).items()
        }

    return inputs


@pytest.fixture
def shared_data():
    """The folder of a real corpus, or a skipped test."""

    def folder(name):
        path = Path(__file__).resolve().parents[2] / "shared" / "data" / name
        if not path.is_dir():
            pytest.skip(f"the real corpus is not here: {path}")
        return path

    return folder


@pytest.fixture(scope="session")
def tiny():
    """A function that makes a small classifier of a class, its weights drawn."""

    def make(cls, words, class_names):
        keras.utils.set_random_seed(0)
        tokenizer = cls.preprocessor_cls.tokenizer_cls(words)
        model = cls(
            cls.backbone_cls(tokenizer.vocabulary_size(), 4, units=3),
            preprocessor=cls.preprocessor_cls(tokenizer),
            class_names=class_names,
        )
        draw = np.random.default_rng(0).normal
        model.set_weights([draw(size=w.shape) for w in model.get_weights()])
        return model

    return make


@pytest.fixture
def on_jax():
    """A function that runs a script with the JAX backend, in a process of its own."""
    pytest.importorskip("jax", reason="JAX is not installed")

    def run(script, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *arguments],
            env={**os.environ, "KERAS_BACKEND": "jax"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return run
