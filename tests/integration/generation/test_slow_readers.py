"""Readers that do not read: they take a share of a region that is meant for files, and nothing else of it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.main import serving
from kit.settings import Settings
from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_stack

MOST_CALLS = 20
FILE_STREAMS = 4
LARGE = 16 * 1024 * 1024


@pytest.fixture
async def small(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A region that takes few calls at a time."""
    changes = {"max_concurrent_rpcs": MOST_CALLS, "drain_seconds": 0}
    async with running_stack(database, sandbox_url, tmp_path, **changes) as stack:
        yield stack


@pytest.fixture
async def api(small: Stack, tmp_path: Path) -> AsyncIterator[str]:
    """The base URL of a gateway in front of it."""
    settings = Settings(
        gateway_listen="us=127.0.0.1:0",
        gateway_upstreams=f"us={small.server.address}",
        gateway_service_tokens=f"us={tmp_path / 'service.token'}",
        drain_seconds=0,
    )
    async with serving(settings) as gateway:
        yield gateway.urls["us"]


async def large_file(customer: Customer, folder: Path) -> str:
    """Path and query of the signed URL of a file that no buffer on its way holds."""
    made = (await customer.create(output_format="png")).generation
    record = await customer.finished(made.generation_id)
    connection = await customer.stack.region.connect()
    try:
        key = await connection.fetchval(
            "update generation.output set size_bytes = $2 where generation_id = $1 returning storage_key",
            made.generation_id,
            LARGE,
        )
    finally:
        await connection.close()
    stored = [path for path in folder.rglob(Path(key).name) if str(path).endswith(key)]
    stored[0].chmod(0o600)
    stored[0].write_bytes(bytes(LARGE))
    parts = urlsplit(record.generation.outputs[0].url)
    return f"{parts.path}?{parts.query}"


def start_reading(api: str, url: str) -> socket.socket:
    """A reader that asks for a file and reads nothing of it."""
    place = urlsplit(api)
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect((place.hostname, place.port))
    reader.sendall(f"GET {url} HTTP/1.1\r\nHost: {place.hostname}\r\n\r\n".encode())
    return reader


async def until(fact: Callable[[], bool]) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(15):
        while not fact():
            await asyncio.sleep(0.02)


async def test_slow_readers_fill_the_share_of_files_and_everything_else_goes_on(
    small: Stack, api: str, tmp_path: Path
) -> None:
    customer = await small.customer()
    # More URLs than one, for the gateway lets each of them hold only so many streams.
    urls = [await large_file(customer, tmp_path) for _ in range(3)]
    headers = {"authorization": f"Bearer {customer.secret}"}
    async with httpx.AsyncClient(base_url=api, timeout=10, trust_env=False) as client:
        with ExitStack() as readers:
            for number in range(2 * MOST_CALLS - 2):
                readers.enter_context(start_reading(api, urls[number % len(urls)]))
            await asyncio.sleep(1)
            begun = time.perf_counter()
            refused = await client.get(urls[0])
            assert time.perf_counter() - begun < 1
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "BSE5002")
            assert int(refused.headers["retry-after"]) >= 1
            for _ in range(5):
                reply = await client.post(
                    "/v1/generate/image/bfl/flux-schnell", json={"generation_prompt": "a"}, headers=headers
                )
                assert reply.status_code == 200, reply.text
                assert (await client.get("/v1/user/account", headers=headers)).status_code == 200
            head = await client.head(urls[0])
            assert (head.status_code, head.headers["content-length"]) == (200, str(LARGE))
            assert (await client.get("/readyz")).status_code == 200
        async with asyncio.timeout(15):
            while (reply := await client.get(urls[0])).status_code == 503:
                await asyncio.sleep(0.05)
        assert (reply.status_code, len(reply.content)) == (200, LARGE)
