"""Browsers: any origin may call with a key or a session of its own.

No reply allows credentials, so no other origin's script ever reads what a cookie opened; what a cookie may change,
`gateway.session` guards.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response

_SDK = "X-BabySea-SDK-Name, X-BabySea-SDK-Version, X-BabySea-SDK-Runtime, X-BabySea-SDK-Runtime-Version"
_EXPOSED = (
    "X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, Idempotency-Replayed, "
    "Server-Timing, traceparent"
)
HEADERS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED.encode()),
]
"""On every reply."""


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks if it may send a request."""
    return method == "OPTIONS" and "access-control-request-method" in headers and "origin" in headers


def preflight() -> Response:
    """What a browser may send."""
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": f"Authorization, Content-Type, Accept, Range, Idempotency-Key, traceparent, {_SDK}",
            "Access-Control-Max-Age": "7200",
        },
    )
