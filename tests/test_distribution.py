"""Processes that train together: one loss curve, one writer, and none left hanging."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from kattn import distribution, recipes

ROOT = Path(recipes.__file__).parent.parent

CURVES = """
    import json, sys
    import keras
    from kattn import distribution, models
    arguments = json.loads(sys.argv[1])
    processes = distribution.begin("data", *arguments)
    texts = [f"{'good' if i % 2 else 'bad'} film . " * (1 + i % 2) for i in range(400)]
    labels = [i % 2 for i in range(400)]
    keras.utils.set_random_seed(0)
    preprocessor = models.BiLSTMAttentionTextClassifierPreprocessor(
        models.BiLSTMAttentionTokenizer("a good bad film plot .".split())
    )
    size = preprocessor.tokenizer.vocabulary_size()
    model = models.BiLSTMAttentionTextClassifier(
        models.BiLSTMAttentionBackbone(size, 8, units=8),
        preprocessor=preprocessor, num_classes=2, dropout=0.3,
    )
    curve = []
    def keep(batch, logs):
        curve.append(float(logs["loss"]))
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=keep)
    model.fit(texts, labels, batch_size=8, callbacks=[keep], verbose=0)
    curve.append(model.evaluate(texts, labels, batch_size=8, verbose=0)[0])
    print(json.dumps([processes.index, processes.count, curve]))
"""


@pytest.fixture
def processes(tmp_path):
    """A function that starts a command once for each process, on the JAX backend."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    started = []

    def start(*command):
        environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        environment["PYTHONPATH"] = str(ROOT)
        for one in command:
            with open(tmp_path / f"{len(started)}.log", "w") as log:
                done = subprocess.Popen(
                    [sys.executable, *one],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    text=True,
                )
            started.append(done)
        return started[-len(command) :]

    yield start
    for one in started:
        one.kill()
        one.wait()
        one.stdout.close()


def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_two_processes_give_the_losses_of_one(processes):
    address = f"127.0.0.1:{port()}"
    script = textwrap.dedent(CURVES)
    given = [[], [address, 2, 0], [address, 2, 1]]
    started = processes(*(["-c", script, json.dumps(one)] for one in given))
    said = [json.loads(one.communicate()[0].splitlines()[-1]) for one in started]
    assert [one[:2] for one in said] == [[0, 1], [0, 2], [1, 2]]
    alone = said[0][2]
    assert len(alone) == 51
    for _, _, curve in said[1:]:
        assert curve == pytest.approx(alone, abs=1e-5)


def test_who_is_left_stops_and_all_go_on(processes, tmp_path):
    rows = [f"a {'good' if i % 2 else 'bad'} film {i},{i % 2}" for i in range(400)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]))
    run = tmp_path / "run"
    options = "--model bilstm_attention --units 4 --embedding-dim 8 --batch-size 16"
    options = f"{options} --dataset {tmp_path / 'rows.csv'} --output {run}".split()

    def start(*options):
        meet = f"--distribute data --coordinator 127.0.0.1:{port()} --num-processes 2"
        command = [str(ROOT / "train.py"), *options, *meet.split(), "--process-id"]
        return processes([*command, "0"], [*command, "1"])

    def epochs():
        if not (run / "checkpoint.npz").is_file():
            return 0
        with np.load(run / "checkpoint.npz") as checkpoint:
            return len(json.loads(str(checkpoint["state"]))["history"])

    begun = start(*options, "--epochs", "500", "--patience", "500")
    # JAX aborts those whose process 0 is gone.
    for killed, left, log in ((1, 0, "0.log"), (0, 1, "3.log")):
        before = epochs()
        while epochs() == before:
            assert begun[0].poll() is None and begun[1].poll() is None
            time.sleep(0.1)
        begun[killed].send_signal(signal.SIGKILL)
        assert begun[left].wait(timeout=60) != 0
        begun[left].communicate()  # which ends when the last words are said
        said = (tmp_path / log).read_text()
        assert f"start all 2 of them again with --resume {run}" in said
        begun = start("--resume", str(run)) if killed else begun

    done = epochs()
    recipe = run / "recipe.toml"
    recipe.write_text(
        recipe.read_text().replace("epochs = 500", f"epochs = {done + 1}")
    )
    first, second = start("--resume", str(run))
    assert "Going on after epoch" in first.communicate()[0]
    assert (first.wait(), second.wait()) == (0, 0)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["seconds"]["resumed"] and metrics["epochs"] == done + 1


def test_ray_starts_them_as_the_readme_says(processes, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    [script] = [block for block in blocks if "import ray" in block]
    (tmp_path / "launch.py").write_text(script)
    rows = [f"a {'good' if i % 2 else 'bad'} film {i},{i % 2}" for i in range(64)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]))
    options = "--model bilstm_attention --units 4 --embedding-dim 8 --epochs 1"
    where = f"--dataset {tmp_path / 'rows.csv'} --output {tmp_path / 'run'}"
    command = [tmp_path / "launch.py", *options.split(), *where.split()]
    [started] = processes(command)
    said = started.communicate()[0]
    assert started.returncode == 0, said
    assert "Process 1 of 2 waits" in (tmp_path / "0.log").read_text()
    assert (tmp_path / "run" / "metrics.json").is_file()


DIFFERENT = """
    import json, sys
    from kattn import distribution
    distribution._TO_MEET = int(sys.argv[2])
    arguments = json.loads(sys.argv[1])
    try:
        processes = distribution.begin("data", *arguments)
        processes.agree(recipe=b"the same", data=bytes(processes.index))
    except (ValueError, RuntimeError) as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


def test_processes_that_differ_say_in_what(processes):
    data, count = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
    given = [[data, 2, 0], [data, 2, 1], [count, 2, 0], [count, 3, 1]]
    script = textwrap.dedent(DIFFERENT)
    started = processes(*(["-c", script, json.dumps(one), "60"] for one in given))
    said = [json.loads(one.communicate()[0].splitlines()[-1]) for one in started]
    differing = ["data"] * 2 + ["--num-processes"] * 2
    for (kind, message), what in zip(said, differing, strict=True):
        assert kind == "ValueError"
        assert f"All processes have the same {what}." in message


def test_processes_that_do_not_meet(processes, tmp_path):
    nobody, alone = f"127.0.0.1:{port()}", f"127.0.0.1:{port()}"
    given = [[nobody, 2, 1], [alone, 2, 0]]
    script = textwrap.dedent(DIFFERENT)
    started = processes(*(["-c", script, json.dumps(one), "2"] for one in given))
    for number, (address, _, index) in enumerate(given):
        said = started[number].communicate()[0]
        kind, message = json.loads(said.splitlines()[-1])
        assert kind == "RuntimeError"
        assert f"2 processes did not meet at {address} within 2 s" in message
        log = (tmp_path / f"{number}.log").read_text()
        assert f"Process {index} of 2 waits for the others at {address}" in log


def test_a_port_that_is_taken(processes):
    with socket.create_server(("", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        given = json.dumps([address, 2, 0])
        [started] = processes(["-c", textwrap.dedent(DIFFERENT), given, "60"])
        kind, message = json.loads(started.communicate()[0].splitlines()[-1])
    assert kind == "RuntimeError"
    assert f"Process 0 listens at {address}, a port that no other" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coordinator": "a:1"}, "--coordinator goes with --distribute data"),
        ({"distribute": "date"}, "Did you mean 'data'"),
        ({"distribute": "data", "process_id": 0}, "go together"),
        (
            {
                "distribute": "data",
                "coordinator": "a:1",
                "num_processes": 2,
                "process_id": 2,
            },
            "numbered from 0 to 1",
        ),
        (
            {
                "distribute": "data",
                "coordinator": "10.0.0.1",
                "num_processes": 2,
                "process_id": 0,
            },
            "as 10.0.0.1:4000. Received: --coordinator 10.0.0.1$",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        distribution.begin(**arguments)


def test_tensorflow_is_for_one_machine():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of the TensorFlow backend")
    with pytest.raises(ValueError, match="--backend jax"):
        distribution.begin("data", "127.0.0.1:1", 2, 0)
