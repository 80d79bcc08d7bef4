"""Plumbing below the protocols: origins, bounded bodies, and hanging up without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_RAW_SEND = "sandbox.raw_send"


class SandboxApp(FastAPI):
    """A FastAPI that lets a response reach the server's own connection, below all middleware."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope[_RAW_SEND] = send
        await super().__call__(scope, receive, send)


class HangUp(Response):
    """No response at all: the connection is closed before the first byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close the connection; ConnectionResetError where the server gives no way to do it."""
        # uvicorn hands out `send` bound to the request cycle that owns the transport. ASGI itself has no word for
        # "close without answering".
        cycle = cast("Any", getattr(scope[_RAW_SEND], "__self__", None))
        transport = getattr(cycle, "transport", None)
        if transport is None:
            raise ConnectionResetError("this server cannot close a connection without an answer")
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


def origin(request: Request, public_url: str | None) -> str:
    """Return scheme and host that files and jobs are reached at, without a trailing slash."""
    if public_url is not None:
        return public_url.rstrip("/")
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


async def wait_while_connected(request: Request, done: Callable[[], bool], most_s: float) -> bool:
    """Wait until `done`, for `most_s` seconds or until the caller hangs up; return whether it was done."""
    loop = asyncio.get_running_loop()
    until = loop.time() + most_s
    # Short steps, because a cancel or a clock of the sandbox's own can end a job at any moment.
    while not (finished := done()) and loop.time() < until and not await request.is_disconnected():  # noqa: ASYNC110
        await asyncio.sleep(min(0.05, max(0.0, until - loop.time())))
    return finished


async def read_body(request: Request, most: int) -> bytes | None:
    """Return the body, or None when it is longer than `most` bytes."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length <= most:
            parts.append(part)
    return b"".join(parts) if length <= most else None
