"""Whether a request shows an API key at all. Whose key it is, only the region can tell."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.requests import Request

from babysea.common.v1 import error_reason_pb2
from gateway.exchange import exchange_of
from gateway.limits import FailureLimit
from kit.errors import BabySeaError

_BEARER = re.compile(r"bearer(?: +(.*))?", re.IGNORECASE | re.DOTALL)
_SENDABLE = re.compile(r"[\x21-\x7e]{1,500}")

FAILURES = frozenset(
    {
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED,
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
    }
)
"""Reasons that count as a failed attempt."""


async def require_key(request: Request) -> None:
    """Lets a request pass that shows something like a key, from an address that has attempts left.

    Raises:
        BabySeaError: AUTH_RATE_LIMITED, AUTHENTICATION_REQUIRED or AUTHENTICATION_FAILED.
    """
    exchange = exchange_of(request)
    limit: FailureLimit = request.app.state.failure_limit
    limit.check(exchange.region, exchange.address)
    check_bearer(request.headers)
    exchange.credential = request.headers["authorization"]


def check_bearer(headers: Headers) -> str:
    """Checks the form of the Authorization header, which the region then reads for itself.

    Returns:
        The bearer token.

    Raises:
        BabySeaError: AUTHENTICATION_REQUIRED without a bearer token, AUTHENTICATION_FAILED with one that can be no
            key, such as one that does not fit into gRPC metadata.
    """
    values = headers.getlist("authorization")
    match = _BEARER.fullmatch(values[0]) if values else None
    if match is None or not match[1]:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED)
    if len(values) > 1 or not _SENDABLE.fullmatch(match[1]):
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED)
    return match[1]
