"""What providers report about their jobs: passed on unread to the region, which alone can tell a true report."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import callback_service_pb2 as callbacks
from gateway.body import read_bytes
from gateway.envelope import success
from gateway.errors import not_found
from gateway.exchange import exchange_of
from gateway.methods import RECEIVE_CALLBACK
from gateway.upstream import RegionError, upstream_of
from kit.errors import BabySeaError

router = APIRouter()

MAX_BYTES = 1024 * 1024
SIGNATURE_HEADERS = {
    "bfl": ("x-bfl-signature",),
    "fal": (
        "x-fal-webhook-request-id",
        "x-fal-webhook-user-id",
        "x-fal-webhook-timestamp",
        "x-fal-webhook-signature",
    ),
    "replicate": ("webhook-id", "webhook-timestamp", "webhook-signature"),
}
"""By provider that reports, the headers by which it signs; no other header goes any further."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}")
_LONGEST_VALUE = 4096
_SECONDS = 8.0
"""Providers give up after about ten seconds, and then report again."""


@router.post("/v1/callbacks/{provider}/{token}", response_class=Response, include_in_schema=False)
async def receive_callback(request: Request, provider: str, token: str) -> Response:
    """Passes a report on. The answer is the same for true, false, repeated and unknown ones.

    Raises:
        BabySeaError: NOT_FOUND for an address that is none of ours by its form, PAYLOAD_TOO_LARGE over 1 MB, and
            SERVICE_UNAVAILABLE when the region could take no note of it: providers then report again.
    """
    names = SIGNATURE_HEADERS.get(provider)
    if names is None or not _TOKEN.fullmatch(token):
        raise not_found()
    report = callbacks.ReceiveCallbackRequest(
        provider=provider,
        token=token,
        headers=_signature(request.headers, names),
        body=await read_bytes(request, MAX_BYTES),
    )
    exchange = exchange_of(request)
    upstream = upstream_of(request)
    try:
        await upstream.call(exchange, RECEIVE_CALLBACK, report, seconds=_SECONDS, for_key=False)
    except RegionError as error:
        if error.spec.grpc_code == "UNAUTHENTICATED":
            upstream.forget_identity()
        # Whatever it is, it is ours: the provider can do nothing about it but come again.
        raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE) from None
    return success(exchange, "Callback received", {"received": True})


def _signature(headers: Headers, names: tuple[str, ...]) -> list[callbacks.CallbackHeader]:
    return [
        callbacks.CallbackHeader(name=name, value=value)
        for name in names
        for value in headers.getlist(name)[:2]
        if len(value.encode()) <= _LONGEST_VALUE
    ]
