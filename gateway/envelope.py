"""The two shapes of every JSON reply, as section 3 of the public contract has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from starlette.responses import Response

from gateway.errors import retry_after, wire_details
from gateway.exchange import Exchange
from kit.clock import iso_millis
from kit.errors import BabySeaError

JSON = "application/json"


def success(
    exchange: Exchange,
    message: str,
    data: Mapping[str, object],
    *,
    beside: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A 200 in the success envelope.

    Args:
        exchange: the request.
        message: one sentence for people.
        data: the payload.
        beside: fields that stand beside `data`, such as the total of a list.
        headers: further headers.
    """
    body: dict[str, object] = {
        "status": "success",
        "request_id": exchange.request_id,
        "message": message,
        "timestamp": iso_millis(datetime.now(UTC)),
        "data": data,
        **(beside or {}),
    }
    return Response(orjson.dumps(body), media_type=JSON, headers=dict(headers or {}))


def failure(
    exchange: Exchange,
    error: BabySeaError,
    *,
    http_status: int | None = None,
    retryable: bool | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The error envelope, with the status, code and type that the contract gives the error's reason.

    Args:
        exchange: the request; remembers the error.
        error: what went wrong, already safe to show.
        http_status: replaces the reason's own status.
        retryable: replaces the reason's own answer to whether a repetition is safe and useful.
        headers: further headers.
    """
    exchange.error = error
    status = http_status or error.spec.http_status
    reported: dict[str, object] = {
        "code": error.spec.bse_code,
        "type": error.spec.type,
        "message": error.message,
        "retryable": error.spec.retryable if retryable is None else retryable,
    }
    if error.details:
        reported["details"] = wire_details(error.details)
    all_headers = dict(headers or {})
    if status == 429 or (status == 503 and "retry_after_seconds" in error.details):
        all_headers["Retry-After"] = str(retry_after(error, exchange.rate))
    if status == 401:
        all_headers["WWW-Authenticate"] = "Bearer"
    body = {"status": "error", "request_id": exchange.request_id, "error": reported}
    return Response(orjson.dumps(body), status, media_type=JSON, headers=all_headers)
