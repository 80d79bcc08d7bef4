"""The facts of one request and its reply, from the first byte to the log line. Nothing of them outlives it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from gateway.limits import RateFacts
from kit.errors import BabySeaError
from kit.settings import Region

SCOPE_KEY = "babysea.exchange"
REPLY_SECONDS = 20.0
"""Every JSON request is answered within this, so that a client that waits 30 seconds always learns what happened."""


@dataclass(slots=True)
class Exchange:
    """One request and what is known of its reply so far."""

    request_id: str
    """Public id, as in the body and in X-Request-Id."""
    region: Region
    """Region that the request belongs to."""
    address: str
    """Client's address; empty when the connection has none."""
    headers: Headers
    """Request headers."""
    credential: str | None = None
    """Authorization that the region is shown, once the route has accepted one; None shows none."""
    scope: Scope = field(default_factory=dict, repr=False)
    """ASGI scope, which knows the route once there is one."""
    began_millis: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    """Unix milliseconds at which the request began."""
    refused: str = ""
    """Public code that the client gets should the region find the request invalid; empty for the region's own."""
    started: float = field(default_factory=time.perf_counter)
    """Monotonic seconds at which the request began."""
    traceparent: str = ""
    """W3C traceparent of the gateway's own span."""
    rate: RateFacts | None = None
    """The account's rate limit, once the region has told it."""
    server_millis: str = ""
    """Milliseconds that the region spent, as it told them."""
    database_millis: str = ""
    """Milliseconds of those spent waiting for the database, as it told them."""
    error: BabySeaError | None = None
    """What the reply reports; None for a success."""

    def elapsed(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.started

    def remaining(self) -> float:
        """Seconds in which an answer is still in time; never below a tenth."""
        return max(0.1, REPLY_SECONDS - self.elapsed())


def exchange_of(request: Request) -> Exchange:
    """The exchange that a request belongs to."""
    exchange: Exchange = request.scope[SCOPE_KEY]
    return exchange
