"""A real sandbox server on a free loopback port, with a clock that tests move by hand."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import uvicorn

from sandbox.app import create_app
from sandbox.config import SandboxConfig
from tests.integration.sandbox.driving import Clock, Sandbox


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def server_url(clock: Clock) -> Iterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = create_app(SandboxConfig(clock=clock))
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
async def box(server_url: str, clock: Clock) -> AsyncIterator[Sandbox]:
    async with httpx.AsyncClient(base_url=server_url, timeout=10) as http:
        answer = await http.post("/_sandbox/reset")
        assert answer.status_code == 200
        yield Sandbox(http, server_url, clock)
