"""The service as an ASGI application: `build_application`."""

import sys

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pixperts import __version__
from pixperts.serve.access import Access
from pixperts.serve.failures import Refusal
from pixperts.serve.metrics import CONTENT_TYPE
from pixperts.serve.parameters import OPERATIONS, fields_for
from pixperts.serve.pictures import Pictures
from pixperts.serve.service import Service


def build_application(service: Service) -> Starlette:
    """The ASGI application of a service that is running."""

    async def about(_: Request) -> Response:
        operations = {
            name: {key: one.info for key, one in fields_for(name).items()} for name in OPERATIONS
        }
        return JSONResponse(
            {"version": __version__, "models": list(service.models), "operations": operations}
        )

    async def health(_: Request) -> Response:
        return JSONResponse(service.health())

    async def metrics(_: Request) -> Response:
        return Response(service.figures(), headers={"Content-Type": CONTENT_TYPE})

    pictures = [Route(f"/{name}", Pictures(service, name), methods=["POST"]) for name in OPERATIONS]
    return Starlette(
        routes=[
            Route("/", about),
            Route("/health", health),
            Route("/metrics", metrics),
            *pictures,
        ],
        middleware=[Middleware(Access, token=service.options.token)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


async def _refused(_: Request, error: Exception) -> Response:
    """For addresses and methods that do not exist."""
    assert isinstance(error, HTTPException)
    known = ", ".join(f"/{name}" for name in OPERATIONS)
    sentences = {
        404: f"There is no such address: POST to one of {known}; GET / lists options.",
        405: f"Another method is required: POST to {known}, GET the others.",
    }
    sentence = sentences.get(error.status_code, error.detail)
    return Refusal(error.status_code, sentence, error.headers).response()


async def _failed(request: Request, error: Exception) -> Response:
    """For unforeseen errors; Starlette raises them again after the answer, for the log."""
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    print(f"{request.url.path} failed unexpectedly ({cause}); please report it.", file=sys.stderr)
    return Refusal(500, "The service failed unexpectedly; see its log.").response()
