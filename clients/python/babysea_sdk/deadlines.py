"""Deadlines that travel: what is left of the time of a call is the most that the calls made for it get."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from babysea_sdk.channel import default_service_config

MARGIN_SECONDS = 0.1
"""Kept back from every call, so that its caller still has the time to answer after a timeout."""

_ends: ContextVar[float | None] = ContextVar("babysea_deadline", default=None)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Calls made inside get at most what is left of `seconds`; a limit around this one still holds.

    Args:
        seconds: from now; None for no limit of its own. A servicer gives `context.time_remaining()`.
    """
    around = _ends.get()
    own = None if seconds is None else time.monotonic() + seconds
    ends = min((end for end in (around, own) if end is not None), default=None)
    token = _ends.set(ends)
    try:
        yield
    finally:
        _ends.reset(token)


def seconds_for_call(path: str, wanted: float | None) -> float | None:
    """Seconds that a call beginning now may take; None for no limit, 0 or less for no time left.

    Args:
        path: the method as on the wire. Its own limit is in its service config, which gRPC keeps to itself: told with
            the call, the server knows it too and stops working when nobody waits any more.
        wanted: what the caller allows.
    """
    ends = _ends.get()
    left = None if ends is None else ends - time.monotonic() - MARGIN_SECONDS
    limits = (_published().get(path), wanted, left)
    return min((limit for limit in limits if limit is not None), default=None)


@cache
def _published() -> dict[str, float]:
    return {
        f"/{name['service']}/{name['method']}": float(entry["timeout"].removesuffix("s"))
        for entry in json.loads(default_service_config())["methodConfig"]
        for name in entry["name"]
        if "method" in name and "timeout" in entry
    }
