"""The tree of the project: imports run one way, and every package is shipped."""

import ast
import importlib.util
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest

import kattn

PACKAGE = Path(kattn.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: What each part of kattn may import from kattn; a package may import itself.
BASE = {"names", "parts", "masks", "assets", "version", "files"}
STEPS = {"pairwise", "scores", "regions", "normalizers"} | BASE
CORE = {"attend", "layers", "shapes"} | STEPS
MODELS = {"alignment", "text", "models", "ranking", "explanation", "decoding"} | CORE
RUN = {"asked", "progress", "recipe", "repeats", "report", "run_files"} | BASE
RUN |= {"saved_models"}
WRITE = {"models", "seq2seq_building", "seq2seq_recipe", "seq2seq_recipes", "writing"}
SERVED = {"serving_classification", "serving_generation"}
ARROWS = {
    "names": set(),
    "version": set(),
    "files": set(),
    "ranking": set(),
    "html_page": set(),
    "attention_page": {"html_page"},
    "alignment_page": {"html_page"},
    "alignment": {"alignment_page", "attention_plot", "files"},
    "attention_plot": set(),
    "explanation": {"attention_page", "attention_plot", "files"},
    "command_line": set(),
    "recipe": BASE | {"datasets"},
    "decoding": {"dropping"},
    "dropping": {"devices", "text"},
    "writing": set(),
    "run_files": {"files", "version"},
    "asked": {"recipe", "run_files"},
    "saved_models": {"serving"},
    "seq2seq_recipe": {"names", "recipe"},
    "seq2seq_building": {"datasets", "models", "seq2seq_recipe", "text"},
    "seq2seq_recipes": RUN | WRITE | {"pictures"},
    "pictures": {"files"},
    "prediction": MODELS | {"datasets", "files"},
    "prediction_job": MODELS | {"datasets", "prediction", "prediction_ray"},
    "prediction_ray": MODELS | {"datasets", "prediction"},
    "repeats": BASE,
    "robustness": BASE,
    "listing": {"models"},
    "demo": MODELS | {"attention_page", "datasets", "demo_examples", "listing"},
    "demo_examples": set(),
    "last_words": set(),
    "distribution": BASE | {"last_words"},
    "cards": {"datasets", "files", "listing", "models", "recipe"}
    | {"seq2seq_recipe", "writing_cards"},
    "writing_cards": {"writing"},
    "language_model": {"devices", "models", "text"},
    "building": BASE | {"datasets", "language_model", "models", "recipe", "text"},
    "evaluation": MODELS | RUN | {"building", "seq2seq_evaluation", "seq2seq_recipe"},
    "seq2seq_evaluation": RUN | WRITE,
    "baseline": BASE | {"text", "models"},
    "report": RUN,
    "progress": RUN,
    "assets": set(),
    "masks": BASE,
    "parts": BASE,
    "blocks": set(),
    "bands": set(),
    "devices": set(),
    "windows": set(),
    "pairwise": BASE | {"blocks", "devices"},
    "scores": BASE | {"pairwise"},
    "regions": BASE | {"pairwise"},
    "normalizers": BASE | {"pairwise", "normalizers"},
    "shapes": set(),
    "fused": {"devices", "pairwise"},
    "attend": STEPS | {"bands", "blocks", "devices", "fused", "shapes"},
    "layers": CORE | {"windows"},
    "losses": STEPS,
    "text": BASE | {"text"},
    "datasets": BASE | {"text", "datasets"},
    "models": MODELS | {"devices", "serving", "windows"},
    "serving": MODELS | SERVED | {"formats", "serving", "warmup"},
    "serving_classification": {"text", "warmup"},
    "serving_generation": {"text"},
    "formats": MODELS | {"blocks", "formats"},
    "warmup": {"text"},
    "batching": set(),
    "served": {"names", "text"},
    "server": {"batching", "served"},
    "late_headers": set(),
    "supervisor": {"late_headers", "models", "served", "server", "serving", "text"},
    "recipes": MODELS
    | RUN
    | WRITE
    | {"baseline", "building", "datasets", "pictures", "robustness"}
    | {"distribution"},
}
KERAS_ALONE = {"names", "version", "assets", "parts", "masks"}
KERAS_ALONE |= {"pairwise", "scores", "regions", "normalizers", "attend", "layers"}
KERAS_ALONE |= {"losses", "blocks", "bands", "devices", "fused", "shapes", "windows"}
KERAS_ALONE |= {"decoding"}


def part_of(path):
    """The module or package directly under kattn that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(tree):
    """`(module, whether inside a function)` of every import."""
    inner = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in inner
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            if node.module == "kattn":
                for alias in node.names:
                    yield f"kattn.{alias.name}", node in inner
            else:
                yield node.module, node in inner


def ids(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_run_one_way(path):
    part = part_of(path)
    if part in {"__init__", "__main__"}:
        return
    assert part in ARROWS, f"ARROWS does not say what kattn/{part} may import"
    allowed = ARROWS[part]
    for module, _ in imports(ast.parse(path.read_text("utf-8"))):
        if module.split(".")[0] == "kattn":
            assert module.split(".")[1] in allowed, f"{part} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_the_core_needs_keras_alone(path):
    if part_of(path) not in KERAS_ALONE:
        return
    for module, inner in imports(ast.parse(path.read_text("utf-8"))):
        top = module.split(".")[0]
        if top == "tensorflow":
            assert inner, "tensorflow is imported outside a function"
            assert 'backend() != "tensorflow"' in path.read_text("utf-8")
        elif top not in {"keras", "kattn"}:
            assert top in sys.stdlib_module_names, f"imports {module}"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_nobody_reaches_into_what_is_private(path):
    for module, _ in imports(ast.parse(path.read_text("utf-8"))):
        for private in ("keras.src", "keras_hub.src", "tensorflow.python"):
            assert not f"{module}.".startswith(f"{private}.")


def test_the_root_folders_hold_no_python():
    for name in ("models", "datasets"):
        assert not list((ROOT / name).rglob("*.py"))


def test_every_package_is_shipped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    shipped = set(project["tool"]["setuptools"]["packages"])
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in FILES}
    assert found <= shipped
    # Planned packages may be listed before they hold a file; nothing else may.
    for name in shipped - found:
        folder = ROOT / name.replace("kattn._assets.", "").replace(".", "/")
        assert folder.is_dir(), f"{name} is listed and does not exist"


SCRIPT = """
    import sys
    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {"tensorflow", "tensorflow_text"}:
                raise ImportError("no TensorFlow on this machine")
    if sys.argv[1] == "jax":
        sys.meta_path.insert(0, Refuse())
    import numpy as np
    import keras
    import kattn
    assert keras.backend.backend() == sys.argv[1]
    if sys.argv[1] == "jax":
        assert "tensorflow" not in sys.modules

    given = np.load(sys.argv[2])
    x, mask = given["x"], given["mask"]
    out = {}
    def fill(layer):
        for n, weight in enumerate(layer.weights):
            rng = np.random.default_rng(n)
            weight.assign(rng.normal(size=weight.shape).astype("float32"))
    for score in ("dot", "scaled_dot", "additive"):
        layer = kattn.layers.Attention(score=score)
        layer.build(x.shape, x.shape)
        fill(layer)
        carried = keras.layers.Masking(0.0)(x * mask[..., None])
        both = layer(x, carried, value_mask=given["more"],
                     return_attention_scores=True)
        out[score], out[score + "_weights"] = map(keras.ops.convert_to_numpy, both)
    layer = kattn.layers.AttentionPooling(5)
    layer.build(x.shape)
    fill(layer)
    out["pooling"] = keras.ops.convert_to_numpy(layer(x, mask=mask))
    words = keras.layers.Masking(0.0)((x * mask[..., None])[:, None])
    gru = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True))
    encoder = kattn.layers.Hierarchical(gru)
    encoder.build(words.shape)
    fill(encoder)
    reader = kattn.layers.Hierarchical(kattn.layers.AttentionPooling())
    read = encoder(words)
    reader.build(read.shape)
    fill(reader)
    out["hierarchical"] = keras.ops.convert_to_numpy(reader(read))
    inputs = keras.Input((None,), dtype="int32")
    h = keras.layers.Embedding(9, 4, mask_zero=True)(inputs)
    h = kattn.layers.Attention(score="additive", dropout=0.1)(h, h)
    h = kattn.layers.AttentionPooling()(h)
    model = keras.Model(inputs, keras.layers.Dense(1)(h))
    fill(model)
    ids = np.arange(12).reshape(2, 6) % 5
    out["model"] = model.predict(ids, verbose=0)
    model.compile("sgd", "mse")
    history = model.fit(ids, np.zeros((2, 1)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    np.savez(sys.argv[3], **out)
"""


def test_jax_without_tensorflow_gives_what_tensorflow_gives(tmp_path):
    for library in ("jax", "tensorflow"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    rng = np.random.default_rng(0)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    more = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]], bool)
    x = rng.normal(size=(3, 5, 4)).astype("float32")
    np.savez(tmp_path / "given.npz", x=x, mask=mask, more=more)
    outputs = {}
    for backend in ("jax", "tensorflow"):
        path = tmp_path / f"{backend}.npz"
        done = subprocess.run(
            [
                *(sys.executable, "-c", textwrap.dedent(SCRIPT), backend),
                *(str(tmp_path / "given.npz"), str(path)),
            ],
            env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert not done.returncode, done.stderr[-3000:]
        outputs[backend] = np.load(path)
    for name in outputs["tensorflow"].files:
        np.testing.assert_allclose(
            outputs["jax"][name], outputs["tensorflow"][name], atol=1e-5, err_msg=name
        )
    weights = outputs["jax"]["additive_weights"]
    seen = np.broadcast_to((mask & more)[:, None], weights.shape)
    np.testing.assert_array_equal(weights > 0, seen)
