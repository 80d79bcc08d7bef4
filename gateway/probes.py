"""Routes for machines around the gateway: is it alive, can it reach its region, what does it offer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from babysea.common.v1 import error_reason_pb2
from gateway.envelope import JSON, success
from gateway.exchange import exchange_of
from gateway.openapi import document
from gateway.upstream import upstream_of
from kit.errors import BabySeaError

router = APIRouter(include_in_schema=False)


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def healthz(request: Request) -> Response:
    """Whether this process runs."""
    return success(exchange_of(request), "The gateway is alive", {"healthy": True})


@router.api_route("/readyz", methods=["GET", "HEAD"])
async def readyz(request: Request) -> Response:
    """Whether the region of this host or port serves.

    Raises:
        BabySeaError: SERVICE_UNAVAILABLE when it does not.
    """
    exchange = exchange_of(request)
    if not await upstream_of(request).healthy():
        raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
    return success(exchange, "The region is ready", {"healthy": True, "region": exchange.region})


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The public description of the API."""
    return Response(document(request.app), media_type=JSON)
