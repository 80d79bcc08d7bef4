"""The application: every public route, and one way out for every error."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from babysea.common.v1 import error_reason_pb2
from gateway import callbacks, files, probes
from gateway.edge import Edge
from gateway.envelope import failure
from gateway.errors import RefusalError, not_found
from gateway.exchange import exchange_of
from gateway.limits import FailureLimit, FileStreams
from gateway.openapi import DESCRIPTION, TITLE, VERSION
from gateway.upstream import Upstream
from gateway.v1.routes import ROUTES
from kit.clock import Clock, SystemClock
from kit.errors import BabySeaError
from kit.settings import Region


def create_app(
    upstreams: Mapping[Region, Upstream],
    *,
    trusted_hops: int = 0,
    clock: Clock | None = None,
    production: bool = False,
) -> ASGIApp:
    """The whole gateway as one ASGI application for all regions.

    Args:
        upstreams: the regions that are served.
        trusted_hops: proxies of ours in front of the gateway.
        clock: time of the limit before authentication.
        production: whether every client comes over https, whatever the last hop speaks.
    """
    failures = FailureLimit(clock or SystemClock())
    return Edge(create_routes(failures, production=production), upstreams, failures, trusted_hops)


def create_routes(failures: FailureLimit, *, production: bool = False) -> FastAPI:
    """The routes alone; the public description is generated from them."""
    app = FastAPI(
        # Probes come most often and first.
        routes=[*probes.router.routes, *ROUTES, *files.router.routes, *callbacks.router.routes],
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # The edge makes the span of a request; FastAPI's own would hold the path, and with it ids and file tokens.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.failure_limit = failures
    app.state.file_streams = FileStreams()
    app.state.production = production
    app.add_exception_handler(BabySeaError, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _crashed)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    exchange = exchange_of(request)
    if isinstance(error, RefusalError):
        return failure(exchange, error, retryable=error.retryable, http_status=error.http_status)
    if not isinstance(error, BabySeaError):
        raise error
    headers = {}
    if error.reason == error_reason_pb2.ERROR_REASON_PAYLOAD_TOO_LARGE:
        # The rest of the body was not read, so nothing after it can be understood.
        headers["Connection"] = "close"
    return failure(exchange, error, headers=headers)


async def _not_routed(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        reason = error_reason_pb2.ERROR_REASON_METHOD_NOT_ALLOWED
        return failure(exchange_of(request), BabySeaError(reason), headers=error.headers)
    return failure(exchange_of(request), not_found())


async def _malformed(request: Request, _error: Exception) -> Response:
    reason = error_reason_pb2.ERROR_REASON_INVALID_INPUT
    return failure(exchange_of(request), BabySeaError(reason))


async def _gone(_request: Request, _error: Exception) -> Response:
    # Nobody reads this; the status only says so in the log.
    return Response(status_code=499)


async def _crashed(request: Request, _error: Exception) -> Response:
    return failure(exchange_of(request), BabySeaError(error_reason_pb2.ERROR_REASON_INTERNAL_ERROR))
