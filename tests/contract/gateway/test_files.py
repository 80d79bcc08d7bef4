"""Stored files: conditions, ranges and streams."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from babysea.common.v1 import error_reason_pb2
from gateway import file_reply, listeners
from gateway.limits import PER_FILE
from tests.contract.gateway import fake_region
from tests.contract.gateway.conftest import World, running
from tests.contract.gateway.fake_region import FILE_TOKEN, PICTURE, SIGNATURE, failing

SIZE = len(PICTURE)
ETAG = f'"{hashlib.sha256(PICTURE).hexdigest()}"'
EXPIRES = int(time.time()) + 3600
URL = f"/files/{FILE_TOKEN}?expires={EXPIRES}&signature={SIGNATURE}"


async def get(world: World, url: str = URL, method: str = "GET", **headers: str) -> httpx.Response:
    """A request without a key, as a browser sends it."""
    world.client.headers.pop("authorization", None)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.client.request(method, url, headers=named)


async def test_a_file_comes_whole_with_its_headers(world: World) -> None:
    reply = await get(world)
    assert (reply.status_code, reply.content) == (200, PICTURE)
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-length"] == str(SIZE)
    assert reply.headers["content-disposition"] == 'inline; filename="picture.png"'
    assert reply.headers["etag"] == ETAG
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["x-content-type-options"] == "nosniff"
    private, age = reply.headers["cache-control"].split(", max-age=")
    assert private == "private"
    assert 0 < int(age) <= 3600


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=10-10", 10, 10),
        ("bytes=5-", 5, SIZE - 1),
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=-7", SIZE - 7, SIZE - 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        (f"bytes=100-{'9' * 30}", 100, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("BYTES=1-2", 1, 2),
    ],
)
async def test_a_single_range_is_answered_with_its_bytes(
    world: World, wanted: str, first: int, last: int
) -> None:
    reply = await get(world, range=wanted)
    assert reply.status_code == 206
    assert reply.content == PICTURE[first : last + 1]
    assert reply.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert reply.headers["content-length"] == str(last - first + 1)
    assert world.us.bytes_sent == last - first + 1


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={'9' * 30}-", "bytes=-0"])
async def test_a_range_outside_the_file_is_416_with_the_size(world: World, wanted: str) -> None:
    reply = await get(world, range=wanted)
    assert reply.status_code == 416
    assert reply.headers["content-range"] == f"bytes */{SIZE}"
    assert reply.json()["error"]["code"] == "BSE2008"


async def test_a_region_that_refuses_an_offset_gives_416_too(world: World) -> None:
    async def picky(request: Any, context: Any) -> None:
        if request.offset > SIZE:
            await failing(error_reason_pb2.ERROR_REASON_PARAMETER_OUT_OF_RANGE)(request, context)

    world.us.hooks["ReadFile"] = picky
    reply = await get(world, range=f"bytes={SIZE + 1}-")
    assert (reply.status_code, reply.headers["content-range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "bytes=5-1", "bytes=-", "bytes=a-b", "lines=1-2", "0-5"])
async def test_several_or_malformed_ranges_give_the_whole_file(world: World, wanted: str) -> None:
    reply = await get(world, range=wanted)
    assert (reply.status_code, reply.content) == (200, PICTURE)


@pytest.mark.parametrize("tags", [ETAG, f"W/{ETAG}", f'"other", {ETAG}', "*"])
async def test_a_file_that_the_client_has_is_304_without_a_body(world: World, tags: str) -> None:
    reply = await get(world, if_none_match=tags)
    assert (reply.status_code, reply.content) == (304, b"")
    assert reply.headers["etag"] == ETAG


async def test_a_part_of_another_version_is_answered_with_the_whole_file(world: World) -> None:
    same = await get(world, range="bytes=0-9", if_range=ETAG)
    assert (same.status_code, same.content) == (206, PICTURE[:10])
    for other in ('"other"', f"W/{ETAG}", "Sun, 22 Nov 2026 01:02:03 GMT"):
        reply = await get(world, range="bytes=0-9", if_range=other)
        assert (reply.status_code, reply.content) == (200, PICTURE)


async def test_head_has_the_headers_and_asks_for_no_bytes(world: World) -> None:
    reply = await get(world, method="HEAD", range="bytes=0-9")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-length"] == str(SIZE)
    assert reply.headers["etag"] == ETAG
    assert world.us.bytes_sent == 0


async def test_bad_signatures_expired_and_missing_files_give_identical_answers(world: World) -> None:
    urls = [
        f"/files/{FILE_TOKEN}?expires={EXPIRES}&signature=bad",
        f"/files/unknown?expires={EXPIRES}&signature={SIGNATURE}",
        f"/files/{FILE_TOKEN}",
        f"/files/{FILE_TOKEN}?expires=soon&signature={SIGNATURE}",
        f"/files/{FILE_TOKEN}?expires={'9' * 30}&signature={SIGNATURE}",
        f"/files/{'x' * 201}?expires={EXPIRES}&signature={SIGNATURE}",
        f"/files/{FILE_TOKEN}?expires={EXPIRES}&signature=",
    ]
    errors = []
    for url in urls:
        reply = await get(world, url)
        assert reply.status_code == 404
        errors.append(reply.json()["error"])
    assert errors[0]["code"] == "BSE2017"
    assert all(error == errors[0] for error in errors)


async def test_a_gateway_without_an_identity_is_our_fault_and_not_the_callers(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "service.token").write_text("wrong")
    reply = await get(world)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "BSE5002")


async def test_a_stream_that_breaks_off_is_no_short_file(world: World) -> None:
    async def break_off(_request: Any, context: Any) -> None:
        if world.us.bytes_sent >= 20_000:
            await failing(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)(_request, context)

    world.us.hooks["Chunk"] = break_off
    with pytest.raises(httpx.RemoteProtocolError):
        await get(world)


async def test_the_region_stops_sending_when_the_client_leaves(world: World) -> None:
    sending = asyncio.Event()

    async def wait(_request: Any, _context: Any) -> None:
        sending.set()
        await asyncio.sleep(30)

    world.us.hooks["Chunk"] = wait
    async with world.client.stream("GET", URL) as reply:
        assert reply.status_code == 200
        await sending.wait()
    async with asyncio.timeout(5):
        while not world.us.files_cancelled:
            await asyncio.sleep(0.01)


@contextmanager
def stuck(world: World, count: int, url: str = URL) -> Iterator[list[socket.socket]]:
    """Readers that ask for a file and read nothing of it."""
    host, port = world.urls["us"].removeprefix("http://").split(":")
    readers = []
    try:
        for _ in range(count):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect((host, int(port)))
            reader.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            readers.append(reader)
        yield readers
    finally:
        for reader in readers:
            reader.close()


def has_ended(reader: socket.socket) -> bool:
    """Whether the other side has ended a connection; it may have said so to nobody, so it is spoken to."""
    try:
        reader.send(b"x")
    except ConnectionError:
        return True
    return False


async def until(fact: Callable[[], bool], seconds: float = 10) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(seconds):
        while not fact():
            await asyncio.sleep(0.01)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that no buffer on its way holds."""
    monkeypatch.setattr(fake_region, "PICTURE", PICTURE * 200)


@pytest.mark.usefixtures("large")
async def test_a_reader_that_takes_nothing_is_given_up_and_its_connection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_reply, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(listeners, "_STALLED_SECONDS", 2)
    async with running(tmp_path) as world:
        with stuck(world, 3) as readers:
            await until(lambda: world.us.files_open == 3)
            await until(lambda: world.us.files_open == 0)
            await until(lambda: all(has_ended(reader) for reader in readers))


@pytest.mark.usefixtures("large")
async def test_a_slow_reader_that_goes_on_reading_gets_the_whole_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_reply, "SEND_SECONDS", 1.0)
    taken = 0
    async with world.client.stream("GET", URL) as reply:
        async for part in reply.aiter_raw(1 << 20):
            taken += len(part)
            await asyncio.sleep(0.15)
    assert taken == SIZE * 200


@pytest.mark.usefixtures("large")
async def test_one_url_holds_a_few_streams_and_everything_else_goes_on(world: World) -> None:
    with stuck(world, PER_FILE):
        await until(lambda: world.us.files_open == PER_FILE)
        begun = time.perf_counter()
        refused = await world.client.get(URL)
        assert time.perf_counter() - begun < 1
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "BSE5002")
        assert refused.json()["error"]["retryable"] is True
        assert refused.headers["retry-after"] == "1"
        assert (await world.client.get(f"/files/other?expires={EXPIRES}&signature=good")).status_code == 404
        assert (await world.create()).status_code == 200
    await until(lambda: world.us.files_open == 0)
    assert (await world.client.get(URL, headers={"range": "bytes=0-9"})).status_code == 206
