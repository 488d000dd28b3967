"""A real server: it answers as the model does, and each fault gets its status."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kattn
from kattn import models
from kattn.__main__ import main
from kattn.batching import Batches
from kattn.served import Served, Unanswerable, newest
from kattn.server import Server

for name in ("prometheus_client", "starlette", "uvicorn"):
    pytest.importorskip(name, reason='needs pip install "kattn[server]"')

ROOT = Path(kattn.__file__).parent.parent
WORDS = "a good bad film plot . very".split()
TIMEOUT = 3


@pytest.fixture(scope="module")
def classifier(tiny):
    return tiny(models.BiLSTMAttentionTextClassifier, WORDS, ["no", "gut 好"])


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    return kattn.export(classifier, folder).rename(folder / "7").parent


class Service:
    """`python -m kattn serve` in processes of its own."""

    def __init__(self, folder, log, *options):
        self.log = log
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kattn", "serve", folder, "--port=0", *options],
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                },
                stdout=out,
                stderr=out,
            )
        self.port = int(self.said(r"http://127\.0\.0\.1:(\d+)/v1/models/")[-1])

    def said(self, pattern, times=1):
        """What it prints, once it has, in its words' groups."""
        while len(found := re.findall(pattern, self.log.read_text())) < times:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.05)
        return found

    def workers(self, times=1):
        """The ids of all workers that ever started."""
        return [int(x) for x in self.said(r"server process \[(\d+)\]", times)]

    def ask(self, body=None, path="/v1/models/tiny:predict"):
        """Status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def predict(self, instances, **more):
        """Predictions, of a request that must succeed."""
        status, answer = self.ask(json.dumps({"instances": instances, **more}))
        assert status == 200, answer
        return json.loads(answer)["predictions"]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


@pytest.fixture(scope="module")
def service(exported, tmp_path_factory):
    log = tmp_path_factory.mktemp("server") / "log"
    options = f"--timeout={TIMEOUT}", "--max-body=1000000", "--workers=2"
    service = Service(exported, log, *options)
    service.workers(2)
    yield service
    service.process.terminate()
    assert service.process.wait(60) == 0, log.read_text()[-2000:]
    assert ended(service.workers()), "a worker outlives the server"
    assert "Traceback" not in log.read_text()


def ended(ids):
    """Whether none of the processes is there, a little later at the latest."""
    for _ in range(100):
        alive = [i for i in ids if alive_still(i)]
        if not alive:
            return True
        time.sleep(0.1)
    return False


def alive_still(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_answers_in_the_form_of_tensorflow_serving(classifier, service):
    texts = ["A good film.", "", "bad 好 plot"]
    expected = classifier.predict_proba(texts, verbose=0)
    labels = [one.label for one in classifier.classify(texts)]
    for instances in (texts, [{"text": text} for text in texts]):
        said = service.predict(instances, signature_name="serving_default")
        assert [set(one) for one in said] == [{"probabilities", "label"}] * 3
        assert [one["label"] for one in said] == labels
        got = [one["probabilities"] for one in said]
        np.testing.assert_allclose(got, expected, atol=1e-5)
    (said,) = service.predict(["good film"], signature_name="attend")
    assert said["words"][:2] == ["good", "film"]
    status, answer = service.ask(path="/v1/models/tiny")
    (version,) = json.loads(answer)["model_version_status"]
    assert (version["version"], version["state"]) == ("7", "AVAILABLE")
    assert service.ask(path="/health") == (200, '{"status":"ok"}')


def test_empty_and_many(service):
    assert service.predict([]) == []
    assert len(service.predict(["A good film."] * 1000)) == 1000


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b"[]", 400, "The body is an object"),
        (b'{"instances": "a"}', 400, "The body is an object"),
        (b'{"instance": ["a"]}', 400, "Received: {'instance'"),
        (b'{"instances": ["a", 1]}', 400, "(int) at place 1"),
        (b'{"instances": [null]}', 400, "NoneType"),
        (b'{"instances": [{"txt": "a"}]}', 400, "Each instance is"),
        (b'{"instances": [{"text": 1}]}', 400, "Each instance is"),
        (b'{"instances": [], "signature_name": "atend"}', 400, "mean 'attend'"),
        (b'{"instances": [], "signature_name": "ids"}', 400, "Unknown signature"),
        (b'{"instances": [], "signature_name": []}', 400, "Unknown signature"),
        (b'{"instances": ["caf\xe9"]}', 400, "not UTF-8"),
        (b'{"instances": ["' + b"a" * 10_000_000 + b'"]}', 413, "1,000,000 bytes"),
    ],
    ids=lambda x: repr(x)[:30],
)
def test_bad_requests_are_explained(service, body, status, message):
    got, answer = service.ask(body)
    assert got == status
    assert set(json.loads(answer)) == {"error"}
    assert message in json.loads(answer)["error"]


def test_what_is_not_there(service):
    for path, body in (
        ("/v1/models/other:predict", b'{"instances": []}'),
        ("/v1/models/other", None),
        ("/", None),
    ):
        status, answer = service.ask(body, path)
        assert status == 404
        assert "error" in json.loads(answer)
    assert service.ask(b"{}", "/health")[0] == 405


HEAD = b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: a\r\n"


def test_a_body_without_a_length_has_the_same_limit(service):
    with service.connect() as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            client.sendall(b"7a120\r\n" + b" " * 500_000 + b"\r\n")
        assert b"413" in client.recv(1000).split(b"\r\n")[0]


def test_a_slow_client_is_alone_with_it(service):
    with service.connect() as client:
        client.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        for _ in range(5):
            assert len(service.predict(["a"])) == 1
        assert b" 408 " in client.recv(1000).split(b"\r\n")[0]


def test_headers_that_do_not_arrive_are_not_waited_for(service):
    with service.connect() as silent, service.connect() as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while not answer.endswith(b'"ok"}'):  # it may come in pieces
            answer += slow.recv(1000)
        slow.sendall(HEAD)  # of a second request, and no end of it
        for client in (silent, slow):
            assert client.recv(1000) == b""
    assert len(service.predict(["a"])) == 1


def test_a_client_that_hangs_up_is_nobodys_trouble(service):
    many = json.dumps({"instances": ["A good film."] * 500}).encode()
    for body, length in ((many, len(many)), (b"{", 100)):
        for _ in range(5):
            with service.connect() as client:
                client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % length + body)
    assert len(service.predict(["a"])) == 1


def test_requests_run_together_and_get_their_own(classifier, service):
    texts = [" ".join(["very"] * n + ["good"]) for n in range(40)]
    expected = classifier.predict_proba(texts, verbose=0)
    with ThreadPoolExecutor(20) as clients:
        said = list(clients.map(lambda text: service.predict([text]), texts))
    got = [one[0]["probabilities"] for one in said]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    metrics = service.ask(path="/metrics")[1]
    value = {
        x.split()[0]: float(x.split()[1]) for x in metrics.splitlines() if x[0] != "#"
    }
    assert value["kattn_batch_texts_sum"] > value["kattn_batch_texts_count"]
    assert value['kattn_requests_total{status="200"}'] >= 40


def test_an_error_is_for_who_caused_it():
    calls = []

    def answer(numbers):
        calls.append(numbers)
        return [12 / number for number in numbers]

    async def ask(*requests):
        with ThreadPoolExecutor(1) as executor:
            asked = map(Batches(answer, executor).ask, requests)
            return await asyncio.gather(*asked, return_exceptions=True)

    one, wrong, more = asyncio.run(ask([1], [2, 0], [3, 4, 6]))
    assert (one, more) == ([12], [4, 3, 2])
    assert isinstance(wrong, ZeroDivisionError)
    assert calls == [[1, 2, 0, 3, 4, 6], [1], [2, 0], [3, 4, 6]]
    (alone,) = asyncio.run(ask([0]))
    assert isinstance(alone, ZeroDivisionError)
    assert calls[4:] == [[0]]


class Picky:
    """A model that takes short texts alone."""

    fields = {"serving_default": ("text",)}

    def examples(self, signature_name, instances):
        return instances

    def answer(self, signature_name, examples):
        if max(map(len, examples)) > 3:
            raise Unanswerable("A source has at most 3 tokens.")
        return [{"length": len(text)} for text in examples]


def test_what_a_model_does_not_take_is_refused_in_its_own_words():
    application = Server(Picky(), "picky", "1", TIMEOUT, 1000).application()

    async def ask(texts):
        body = json.dumps({"instances": texts}).encode()
        path = "/v1/models/picky:predict"
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        said = []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            said.append(message)

        await application(scope, receive, send)
        return said[0]["status"], json.loads(said[1]["body"])

    async def ask_all(*requests):
        return await asyncio.gather(*map(ask, requests))

    right, wrong = asyncio.run(ask_all(["abc", "a"], ["ab", "abcd"]))
    assert right == (200, {"predictions": [{"length": 3}, {"length": 1}]})
    assert wrong == (400, {"error": "A source has at most 3 tokens."})


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.text(st.characters(), max_size=40), min_size=20, max_size=40))
def test_any_text_gives_the_same_probabilities_everywhere(
    classifier, exported, service, texts
):
    texts = [*texts, "\ud800", "\x00", "a" * 5000]
    expected = classifier.predict_proba(texts, verbose=0)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(expected.sum(-1), 1, atol=1e-5)
    signature = loaded(exported).signatures["serving_default"]
    strings = tf.constant([text.encode("utf-8", "surrogatepass") for text in texts])
    probabilities = signature(text=strings)["probabilities"]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    got = [one["probabilities"] for one in service.predict(texts)]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def loaded(exported, known={}):  # noqa: B006
    if exported not in known:
        known[exported] = tf.saved_model.load(str(newest(exported)))
    return known[exported]


def test_a_killed_worker_is_replaced_under_load(service):
    stop, answers, lost = threading.Event(), [], []

    def client():
        while not stop.is_set():
            try:
                answers.append(service.predict(["A good film."]))
            except (OSError, http.client.HTTPException):
                lost.append(1)  # what the worker held when it was killed

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    before = service.workers()
    os.kill(before[-1], signal.SIGKILL)
    try:
        assert len(service.workers(len(before) + 1)) == len(before) + 1
        seen = len(answers)
        while len(answers) < seen + 20:
            assert service.process.poll() is None
            time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(lost) <= len(threads)
    assert len({json.dumps(x) for x in answers}) == 1


def test_ctrl_c_ends_it_and_a_slow_client_does_not_hold_it(exported, tmp_path):
    service = Service(exported, tmp_path / "log", "--timeout=1")
    workers = service.workers()
    with service.connect() as client:
        client.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(180) == 0
    assert ended(workers)
    assert "Traceback" not in service.log.read_text()


def refused(capsys, *arguments):
    """The one sentence that `serve` ends with."""
    with pytest.raises(SystemExit) as exited:
        main(["serve", *map(str, arguments)])
    assert exited.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 2
    return error


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "saved_model.pb").write_bytes(b"no model"),
        lambda folder: (folder / "saved_model.pb").write_bytes(b""),
        lambda folder: shutil.rmtree(folder / "variables"),
        lambda folder: [p.write_bytes(b"\xff" * 9) for p in folder.glob("variables/*")],
    ],
    ids=["other bytes", "empty", "without variables", "other variables"],
)
def test_a_damaged_model_is_refused_at_the_start(exported, tmp_path, capsys, damage):
    shutil.copytree(exported, tmp_path / "tiny")
    damage(tmp_path / "tiny" / "7")
    said = refused(capsys, tmp_path / "tiny", "--port=0")
    assert "tiny/7' cannot be served" in said


def test_what_cannot_be_served_is_explained(exported, tmp_path, capsys):
    assert "no SavedModel in" in refused(capsys, tmp_path, "--port=0")
    assert "Unknown preset" in refused(capsys, "han_bbc_eng", "--port=0")
    assert "`workers` is positive" in refused(capsys, exported, "--workers=0")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused(capsys, exported, f"--port={port}")
    assert f"Cannot listen on port {port}" in said and "in use" in said


def test_the_newest_version_is_served(tmp_path):
    for name in ("9", "10", ".export-new", "11"):
        (tmp_path / name).mkdir()
    for name in ("9", "10", ".export-new"):
        (tmp_path / name / "saved_model.pb").touch()
    assert newest(tmp_path).name == "10"
    assert newest(tmp_path / "9").name == "9"


def test_pairs_come_as_objects(tmp_path):
    strings = [
        tf.TensorSpec([None], tf.string, name=x) for x in ("premise", "hypothesis")
    ]

    @tf.function(input_signature=strings)
    def lengths(premise, hypothesis):
        sizes = tf.stack([*map(tf.strings.length, (premise, hypothesis))], axis=-1)
        return {"lengths": sizes, "label": premise}

    signatures = {"serving_default": lengths.get_concrete_function()}
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures)
    served = Served(tmp_path)
    pairs = [{"premise": "好", "hypothesis": "bad"}, {"hypothesis": "", "premise": "a"}]
    assert served.answer(
        "serving_default", served.examples("serving_default", pairs)
    ) == [
        {"lengths": [3, 3], "label": "好"},
        {"lengths": [1, 0], "label": "a"},
    ]
    for wrong in ("a good film", {"premise": "a"}, {**pairs[0], "text": "a"}):
        with pytest.raises(ValueError, match="Each instance is"):
            served.examples("serving_default", [wrong])
