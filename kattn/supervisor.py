"""`python -m kattn serve`: a port, and processes that answer on it."""

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from kattn import late_headers, server
from kattn.models.presets import load
from kattn.served import Served, newest
from kattn.serving import export
from kattn.text.libraries import tensorflow

_FAREWELL = 10  # seconds for a worker to finish what it is at
_PAUSE = 1  # seconds before one that died is replaced, which may die at once


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What a worker is started with, again and again."""

    version: Path
    name: str
    timeout: float
    max_body: int
    threads: int


def serve(
    model,
    host="127.0.0.1",
    port=8501,
    name=None,
    workers=1,
    timeout=30.0,
    max_body=4 * 2**20,
):
    """Serve a model until SIGTERM or Ctrl-C, in TensorFlow Serving's REST form.

    A worker that dies is replaced; connections that come meanwhile wait for it.

    Args:
        model: The folder of an exported SavedModel, of which the newest version is
            served, or a preset's name, folder or handle, which is exported first.
        host: The address to listen on. The default is reached from this machine alone.
        port: The port to listen on, 0 for any that is free.
        name: The model's name in URLs; that of the preset or folder if `None`.
        workers: Processes that answer, each with a model of its own.
        timeout: Seconds for a request to arrive, and as many to be answered.
        max_body: Bytes of a request, at most.

    Raises:
        ImportError: If the extra `server` is not installed.
        ValueError: If the model cannot be served, or an argument is not positive.
        OSError: If the port is in use or the address is not one of this machine.
    """
    server.require()
    for what, value in (
        ("workers", workers),
        ("timeout", timeout),
        ("max_body", max_body),
    ):
        if value <= 0:
            raise ValueError(f"`{what}` is positive. Received: {value}")
    name = name or re.sub(r"[^\w.-]", "_", Path(model).resolve().name)
    with (
        _listening(host, port) as listening,
        _stopped_by_sigterm(),
        tempfile.TemporaryDirectory() as folder,
    ):
        # A preset has a config.json, an export none; a name is a preset's.
        if Path(model).is_dir() and not Path(model, "config.json").is_file():
            version = newest(model)
        else:
            version = export(load(model), Path(folder, "model"))
        Served(version)  # what cannot be served is said here, before there are workers
        port = listening.getsockname()[1]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1/models/{name}"
        print(f"Serving {version} at {url}:predict", flush=True)
        counts = Path(folder, "metrics")
        counts.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counts)  # prometheus-client's
        settings = _Settings(
            version, name, timeout, max_body, max(1, (os.cpu_count() or 1) // workers)
        )
        with contextlib.suppress(KeyboardInterrupt):  # the usual end
            _supervise(lambda: _started(listening, settings), workers)


@contextlib.contextmanager
def _stopped_by_sigterm():
    """SIGTERM as if it were Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listening(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"Cannot listen on port {port} of {host}: {reason}. Choose others "
            "with --port and --host."
        ) from error


def _started(listening, settings):
    """A new worker; Ctrl-C is for its parent, which ends it."""
    context = multiprocessing.get_context("spawn")
    # A daemon, so that one that a signal kept from being listed ends with its parent.
    process = context.Process(target=_work, args=(listening, settings), daemon=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return process


def _supervise(start, workers):
    """Keep so many processes alive until this one is told to stop."""
    processes = []
    try:
        while True:
            while len(processes) < workers:
                processes.append(start())
            multiprocessing.connection.wait([p.sentinel for p in processes])
            for process in [p for p in processes if p.exitcode is not None]:
                print(
                    f"Worker {process.pid} died ({process.exitcode}); another starts.",
                    file=sys.stderr,
                    flush=True,
                )
                processes.remove(process)
                time.sleep(_PAUSE)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(_FAREWELL + 5)
            process.kill()


def _work(listening, settings):
    """The life of a worker."""
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    threading.Thread(target=_outlive_nobody, daemon=True).start()
    # Workers share the cores.
    threads = tensorflow().config.threading
    threads.set_intra_op_parallelism_threads(settings.threads)
    application = server.Server(
        Served(settings.version),
        settings.name,
        settings.version.name if settings.version.name.isdecimal() else "1",
        settings.timeout,
        settings.max_body,
    ).application()
    config = uvicorn.Config(
        application,
        http=late_headers.closing(AutoHTTPProtocol, settings.timeout),
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_FAREWELL,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _outlive_nobody():
    """End when the parent was killed, which then ends nobody itself."""
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)
