"""TensorFlow Serving's REST interface to a model, as an ASGI application.

Starlette, served by uvicorn, is the engine. LitServe above them does not do here: it
counts a request of a thousand texts as one in a batch, and waits without a limit for a
body to arrive; what it has beyond is done by `kattn.batching` and `kattn.supervisor`.
"""

import asyncio
import contextlib
import functools
import json
import logging
import reprlib
import time
from concurrent.futures import ThreadPoolExecutor

from kattn.batching import SIZE, Batches
from kattn.served import Unanswerable


def require():
    """Import what a server needs.

    Raises:
        ImportError: If the extra is not installed, with the command that helps.
    """
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"A server needs {error.name}, which is not installed: "
            'run pip install "kattn[server]".'
        ) from error


class Refused(Exception):
    """A request that gets an error in place of an answer.

    Args:
        status: The HTTP status.
        message: What was expected, what came, and what to do.
    """

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Server:
    """What is done with each request.

    Args:
        model: A `kattn.served.Served`.
        name: The name of the model in URLs.
        version: Its version, a string.
        timeout: Seconds for a request to arrive, and as many to be answered.
        max_body: Bytes of a request, at most.
    """

    def __init__(self, model, name, version, timeout, max_body):
        from prometheus_client import Counter, Histogram

        self.model, self.name, self.version = model, name, version
        self.timeout, self.max_body = timeout, max_body
        self.requests = Counter("kattn_requests", "Requests to predict", ["status"])
        self.seconds = Histogram("kattn_request_seconds", "From arrival to answer")
        sizes = [2**n for n in range(SIZE.bit_length())]
        size = Histogram("kattn_batch_texts", "Texts that ran as one", buckets=sizes)
        executor = ThreadPoolExecutor(1)  # TensorFlow spreads a batch over the cores
        self.batches = {
            signature: Batches(
                functools.partial(model.answer, signature), executor, size.observe
            )
            for signature in model.fields
        }

    def application(self):
        """The ASGI application: `starlette.applications.Starlette`."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        routes = [
            Route("/v1/models/{name}:predict", self.predict, methods=["POST"]),
            Route("/v1/models/{name}", self.status),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
        ]
        handlers = {Refused: self.refuse, HTTPException: self.refuse_path}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def predict(self, request):
        """`{"instances": [...]}` to `{"predictions": [...]}`."""
        from starlette.requests import ClientDisconnect
        from starlette.responses import JSONResponse, Response

        began, status = time.perf_counter(), 500
        try:
            self.check(request)
            signature_name, examples = self.read(await self.body(request))
            async with _limit(self.timeout, 504, "The model did not answer"):
                predictions = await self.batches[signature_name].ask(examples)
            status = 200
            return JSONResponse({"predictions": predictions})
        except Unanswerable as error:
            status = 400
            raise Refused(status, str(error)) from error
        except Refused as refused:
            status = refused.status
            raise
        except ClientDisconnect:
            status = 499  # as nginx calls it; nobody receives it
            return Response(status_code=status)
        except Exception as error:
            logging.getLogger("uvicorn.error").exception("A request failed.")
            raise Refused(500, f"The model failed: {error}") from error
        finally:
            self.requests.labels(status).inc()
            self.seconds.observe(time.perf_counter() - began)

    async def status(self, request):
        """The version that is served."""
        from starlette.responses import JSONResponse

        self.check(request)
        state = {
            "version": self.version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return JSONResponse({"model_version_status": [state]})

    async def health(self, request):
        """Whether the process takes requests."""
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "ok"})

    async def metrics(self, request):
        """Counts and times of all workers, in Prometheus's text format."""
        from prometheus_client import (
            CONTENT_TYPE_LATEST,
            CollectorRegistry,
            generate_latest,
        )
        from prometheus_client.multiprocess import MultiProcessCollector
        from starlette.responses import Response

        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def refuse(self, request, refused):
        """An error as TensorFlow Serving writes it."""
        from starlette.responses import JSONResponse

        # The rest of a body that took too long is not waited for.
        headers = {"Connection": "close"} if refused.status == 408 else None
        return JSONResponse({"error": str(refused)}, refused.status, headers)

    async def refuse_path(self, request, error):
        """The same for paths and methods that there are not."""
        from starlette.responses import JSONResponse

        what = f"{error.detail}: {request.method} {request.url.path}"
        return JSONResponse({"error": what}, error.status_code, error.headers)

    def check(self, request):
        """Refuse the name of another model."""
        name = request.path_params["name"]
        if name != self.name:
            raise Refused(
                404, f"The model served is {self.name!r}. Received: {name[:80]!r}"
            )

    async def body(self, request):
        """The bytes of a request, unless they are too many or too long in coming."""
        body = bytearray()
        too_large = Refused(413, f"A request has at most {self.max_body:,} bytes.")
        if int(request.headers.get("content-length", 0)) > self.max_body:
            raise too_large
        async with _limit(self.timeout, 408, "The request did not arrive"):
            async for chunk in request.stream():
                body += chunk
                if len(body) > self.max_body:
                    raise too_large
        return body

    def read(self, body):
        """The signature's name and the examples of a body."""
        try:
            given = json.loads(body.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise Refused(400, f"The body is not UTF-8: {error}") from None
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"The body is not JSON: {error}") from None
        if not isinstance(given, dict) or not isinstance(given.get("instances"), list):
            raise Refused(
                400,
                'The body is an object {"instances": [...]}. '
                f"Received: {reprlib.repr(given)}",
            )
        signature_name = given.get("signature_name", "serving_default")
        try:
            return signature_name, self.model.examples(
                signature_name, given["instances"]
            )
        except ValueError as error:
            raise Refused(400, str(error)) from None


@contextlib.asynccontextmanager
async def _limit(seconds, status, what):
    """Seconds for what is within, and how it is refused when they are over."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Refused(status, f"{what} within {seconds:g} seconds.") from None
