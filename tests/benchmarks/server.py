"""How does the server hold under load? Latency, errors, and memory over many requests.

    python tests/benchmarks/server.py [--preset NAME] [--seconds 60] [--requests 100000]

`python -m kattn serve` runs as its users run it; 32 clients in a process of their own
send it single sentences, each its next one as soon as it has its answer, first for so
many seconds, then for so many requests. With `--rate` they send that many a second
between them, which tells how a load that is given is borne; without, as fast as they
are answered. It needs `pip install "kattn[bench,server]"`.
"""

import argparse
import asyncio
import json
import multiprocessing
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CLIENTS = 32
TEXTS = Path(__file__).parent.parent / "frozen" / "texts.json"


class Server:
    """`python -m kattn serve`, and the memory of all its processes."""

    def __init__(self, preset, workers):
        self.log = Path(tempfile.mkdtemp(), "log")
        with open(self.log, "w") as out:
            options = ["--port=0", f"--workers={workers}"]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kattn", "serve", preset, *options],
                stdout=out,
                stderr=out,
            )
        self.url = self._said(r"http://\S+:predict")
        self._said(r"Started server process", workers)

    def _said(self, pattern, times=1):
        while len(found := re.findall(pattern, self.log.read_text())) < times:
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.1)
        return found[-1]

    def mebibytes(self):
        """Resident memory of the server and its workers."""
        command = ["ps", "-A", "-o", "pid=,ppid=,rss="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True)
        rows = [[*map(int, line.split())] for line in listed.stdout.splitlines()]
        own = self.process.pid
        return sum(rss for pid, parent, rss in rows if own in (pid, parent)) / 1024

    def end(self):
        """Stop it as a service manager does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


async def _load(url, seconds, requests, rate):
    import aiohttp

    texts = json.loads(TEXTS.read_text(encoding="utf-8"))["english"]
    bodies = [json.dumps({"instances": [text]}) for text in texts]
    taken, errors, latencies = 0, 0, []
    began = time.perf_counter()

    async def client(session):
        nonlocal taken, errors
        while taken < requests and time.perf_counter() - began < seconds:
            number, taken = taken, taken + 1
            if rate:
                due = began + number / rate
                await asyncio.sleep(max(0, due - time.perf_counter()))
            sent = time.perf_counter()
            try:
                async with session.post(url, data=bodies[number % len(bodies)]) as said:
                    answer = await said.json()
                errors += len(answer.get("predictions", [])) != 1
            except (aiohttp.ClientError, TimeoutError, ValueError):
                errors += 1
            latencies.append(time.perf_counter() - sent)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*[client(session) for _ in range(CLIENTS)])
    return time.perf_counter() - began, errors, latencies


def load(url, seconds=float("inf"), requests=float("inf"), rate=0.0):
    """Seconds that it took, the number of errors, the seconds of each request."""
    return asyncio.run(_load(url, seconds, requests, rate))


def show(found):
    """Print a line of figures."""
    seconds, errors, latencies = found
    p50, p99 = 1000 * np.quantile(latencies, [0.5, 0.99])
    print(
        f"{len(latencies):,} requests, {len(latencies) / seconds:.0f} a second, "
        f"{errors} errors, p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        flush=True,
    )


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="bilstm_attention_sst2_en")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=0, help="requests a second")
    arguments = parser.parse_args()
    server = Server(arguments.preset, arguments.workers)
    try:
        with multiprocessing.get_context("spawn").Pool(1) as clients:
            clients.apply(load, (server.url, 2))  # warms up
            rate = {"rate": arguments.rate}
            show(clients.apply(load, (server.url, arguments.seconds), rate))
            before = server.mebibytes()
            for _ in range(10):
                number = {"requests": arguments.requests // 10}
                show(clients.apply(load, (server.url,), number))
                after = server.mebibytes()
                print(f"  memory {after:,.0f} MiB, {after / before - 1:+.1%}")
    finally:
        server.end()


if __name__ == "__main__":
    main()
