"""Input files are fetched from outside only, and only pictures that a provider can use get through."""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from babysea.common.v1 import error_reason_pb2 as reasons
from kit.errors import spec_of
from server.providers.download import LocalStorageError
from server.providers.guard import MOST_CONNECTIONS, GuardedBackend
from server.providers.inputs import InputFetcher, InputLimits, InputRefused, discard
from server.providers.protocol import InputFile
from tests.integration.providers.outside import answering, canned, closed_port, reply

LIMITS = InputLimits(seconds=5)


def picture(form: str = "PNG", width: int = 100, height: int = 80, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 40)).save(out, form, **options)
    return out.getvalue()


def header_only(width: int, height: int) -> bytes:
    """A PNG that says a size and holds next to nothing, as a decompression bomb does."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@asynccontextmanager
async def fetching(
    folder: Path, *, loopback: bool = True, addresses: dict[str, tuple[str, ...]] | None = None
) -> AsyncIterator[InputFetcher]:
    """A fetcher; `addresses` answers instead of the name servers."""

    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return (addresses or {}).get(host, (host,))

    backend = GuardedBackend(allow_loopback=loopback, resolve=resolve)
    fetcher = InputFetcher(backend, allow_loopback=loopback, directory=folder)
    try:
        yield fetcher
    finally:
        await fetcher.aclose()


async def fetch(url: str, folder: Path, limits: InputLimits = LIMITS) -> InputFile:
    async with fetching(folder) as fetcher:
        return await fetcher.fetch(url, limits)


async def refused(url: str, folder: Path, limits: InputLimits = LIMITS) -> str:
    """The public code with which a URL is refused; no file may be left."""
    with pytest.raises(InputRefused) as caught:
        await fetch(url, folder, limits)
    assert list(folder.iterdir()) == []
    return spec_of(caught.value.reason).bse_code


async def refused_answer(answer: bytes, folder: Path, limits: InputLimits = LIMITS) -> str:
    async with canned(answer) as (url, _):
        return await refused(f"{url}/a", folder, limits)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (picture("PNG"), "image/png"),
        (picture("JPEG"), "image/jpeg"),
        (picture("JPEG", progressive=True), "image/jpeg"),
        (picture("WEBP"), "image/webp"),
        (picture("WEBP", lossless=True), "image/webp"),
        (picture("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"), "image/webp"),
    ],
)
async def test_a_picture_arrives_with_its_kind_size_and_hash(
    tmp_path: Path, content: bytes, content_type: str
) -> None:
    async with canned(reply("200 OK", content, "content-type: text/plain")) as (url, seen):
        file = await fetch(f"{url}/a?b=c", tmp_path)
    assert (file.content_type, file.width, file.height) == (content_type, 100, 80)
    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).digest())
    assert file.url == f"{url}/a?b=c"
    assert file.path.read_bytes() == content
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert seen[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    discard(file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (picture("GIF"), "BSE2004"),
        (picture("BMP"), "BSE2004"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "BSE2004"),
        (b"<!doctype html><title>Not found</title>", "BSE2004"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "BSE2004"),
        (b"%PDF-1.7", "BSE2004"),
        (b"", "BSE2005"),
        (picture("PNG")[:60], "BSE2005"),
        (picture("JPEG")[:300], "BSE2005"),
        (picture("WEBP")[:-20], "BSE2005"),
        (b"\xff\xd8\xff\xd9", "BSE2005"),
        (
            b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IDAT" + bytes(17) + b"IEND\xae\x42\x60\x82",
            "BSE2005",
        ),
        (header_only(0, 100), "BSE2005"),
        (picture("PNG", 63, 100), "BSE2003"),
        (picture("JPEG", 100, 20), "BSE2003"),
        (picture("PNG", 64, 9000), "BSE2002"),
        (header_only(100_000, 100_000), "BSE2002"),
        (header_only(1, 100_000), "BSE2002"),
    ],
)
async def test_what_is_no_usable_picture_has_its_own_code(tmp_path: Path, content: bytes, code: str) -> None:
    assert await refused_answer(reply("200 OK", content), tmp_path) == code


async def test_sides_at_the_limits_are_fine(tmp_path: Path) -> None:
    async with canned(reply("200 OK", header_only(64, 8192))) as (url, _):
        file = await fetch(url, tmp_path)
    assert (file.width, file.height) == (64, 8192)


async def test_21_mb_are_too_many_whether_they_are_announced_or_not(tmp_path: Path) -> None:
    head = picture("PNG")
    announced = b"HTTP/1.1 200 OK\r\ncontent-length: 22020096\r\n\r\n" + head
    assert await refused_answer(announced, tmp_path) == "BSE2007"
    silent = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + head + bytes(21 * 1024 * 1024)
    assert await refused_answer(silent, tmp_path, InputLimits(seconds=30)) == "BSE2007"
    chunk = b"4000\r\n" + bytes(0x4000) + b"\r\n"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 1400
    assert await refused_answer(chunked, tmp_path, InputLimits(seconds=30)) == "BSE2007"


@pytest.mark.parametrize(
    "answer",
    [
        reply("404 Not Found"),
        reply("403 Forbidden", picture()),
        reply("500 Internal Server Error"),
        reply("204 No Content"),
        reply("304 Not Modified"),
        reply("302 Found"),
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + picture(),
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n" + picture(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        reply("200 OK", zlib.compress(picture()), "content-encoding: deflate"),
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_brings_no_file_is_a_failed_download(tmp_path: Path, answer: bytes) -> None:
    assert await refused_answer(answer, tmp_path) == "BSE2009"


async def test_a_shorter_announced_length_cuts_the_file_and_that_is_noticed(tmp_path: Path) -> None:
    lying = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n" + picture()
    assert await refused_answer(lying, tmp_path) == "BSE2005"


async def test_a_host_that_drips_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n\x89PNG\r\n\x1a\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        code = await refused(f"http://127.0.0.1:{port}/a", tmp_path, InputLimits(seconds=0.5))
    assert code == "BSE2009"


async def test_a_host_that_does_not_answer_is_a_failed_download(tmp_path: Path) -> None:
    assert await refused(f"http://127.0.0.1:{closed_port()}/a.png", tmp_path) == "BSE2009"


async def test_three_redirects_are_followed_and_a_fourth_is_not(tmp_path: Path) -> None:
    async with canned(reply("200 OK", picture())) as (goal, _):
        onward = [reply("302 Found", b"", f"location: /{step}") for step in range(2)]
        async with canned(*onward, reply("307 Temporary Redirect", b"", f"location: {goal}/p.png")) as (
            url,
            _,
        ):
            file = await fetch(f"{url}/a", tmp_path)
            assert file.url == f"{url}/a"
            discard(file)
        async with canned(*onward, onward[0], reply("302 Found", b"", f"location: {goal}/p.png")) as (url, _):
            assert await refused(f"{url}/a", tmp_path) == "BSE2009"


OURS = [
    "http://10.0.0.1/a",
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00::1]/a",
    "http://192.0.0.8/a",
    "http://192.88.99.1/a",
    "http://[fec0::1]/a",
    "http://[64:ff9b:1::1]/a",
    "http://[::ffff:10.0.0.1]/a",
    "ftp://127.0.0.1/a",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_",
    "http://user:secret@127.0.0.1/a",
    "//",
]


@pytest.mark.parametrize("target", OURS)
async def test_neither_a_url_nor_a_redirect_leads_into_our_network(tmp_path: Path, target: str) -> None:
    # Loopback is allowed here, so that only what is refused anywhere is seen.
    assert await refused(target, tmp_path) == "BSE2009"
    assert await refused_answer(reply("302 Found", b"", f"location: {target}"), tmp_path) == "BSE2009"


async def test_loopback_is_ours_too_unless_development_allows_it(tmp_path: Path) -> None:
    async with (
        canned(reply("200 OK", picture())) as (url, seen),
        fetching(tmp_path, loopback=False) as fetcher,
    ):
        for named in (url, url.replace("127.0.0.1", "localhost"), url.replace("127.0.0.1", "[::1]")):
            with pytest.raises(InputRefused):
                await fetcher.fetch(f"{named}/a", LIMITS)
    assert seen == []


async def test_a_public_name_with_a_private_address_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    async with canned(reply("200 OK", picture())) as (url, seen):
        named = url.replace("127.0.0.1", "files.example.com")
        for found in (("127.0.0.1",), ("10.1.2.3",), ("93.184.216.34", "127.0.0.1"), ("::1",), ()):
            async with fetching(tmp_path, loopback=False, addresses={"files.example.com": found}) as fetcher:
                with pytest.raises(InputRefused) as caught:
                    await fetcher.fetch(f"{named}/a", LIMITS)
                assert caught.value.reason == reasons.ERROR_REASON_FILE_DOWNLOAD_ERROR
    assert seen == []


async def test_a_name_that_changes_its_address_is_connected_to_where_it_was_judged(tmp_path: Path) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",) if len(asked) == 1 else ("169.254.169.254",)

    backend = GuardedBackend(allow_loopback=True, resolve=rebinding)
    fetcher = InputFetcher(backend, allow_loopback=True, directory=tmp_path)
    async with canned(reply("200 OK", picture())) as (url, seen):
        named = url.replace("127.0.0.1", "files.example.com") + "/a.png"
        discard(await fetcher.fetch(named, LIMITS))
        # One question per connection, so there is no second answer to fall for.
        assert asked == ["files.example.com"]
        assert b"Host: files.example.com:" in seen[0]
        with pytest.raises(InputRefused):
            await fetcher.fetch(named, LIMITS)
        assert len(asked) == 2
        assert len(seen) == 1
    await fetcher.aclose()


async def test_every_refusal_of_a_download_sounds_the_same(tmp_path: Path) -> None:
    sentences = set()
    for url in (f"http://127.0.0.1:{closed_port()}/a", "http://10.0.0.1/a", "http://no.such.name.invalid/a"):
        with pytest.raises(InputRefused) as caught:
            await fetch(url, tmp_path)
        sentences.add(caught.value.sentence)
    assert len(sentences) == 1


async def test_a_full_disk_is_ours_and_not_the_customers(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    async with canned(reply("200 OK", picture())) as (url, _), fetching(missing) as fetcher:
        with pytest.raises(LocalStorageError):
            await fetcher.fetch(url, LIMITS)


TRICKLE = (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x")


async def test_a_host_that_sends_a_byte_now_and_then_is_left_long_before_the_time_is_over(
    tmp_path: Path,
) -> None:
    limits = InputLimits(seconds=30, silent_seconds=0.5)
    began = asyncio.get_running_loop().time()
    async with answering(*TRICKLE, pause=0.05, again=True) as url:
        assert await refused(f"{url}/a", tmp_path, limits) == "BSE2009"
    assert asyncio.get_running_loop().time() - began < 10


async def test_a_slow_host_takes_no_time_from_a_file_that_waits_for_it(tmp_path: Path) -> None:
    """More files than connections: whoever waits for one is refused for nothing."""
    limits = InputLimits(seconds=3, silent_seconds=1.5)
    async with (
        answering(*TRICKLE, pause=0.05, again=True) as slow,
        canned(reply("200 OK", picture())) as (url, _),
        fetching(tmp_path) as fetcher,
    ):
        held = [asyncio.create_task(fetcher.fetch(f"{slow}/a", limits)) for _ in range(3 * MOST_CONNECTIONS)]
        await asyncio.sleep(0.1)
        file = await fetcher.fetch(f"{url}/a", limits)
        assert file.content_type == "image/png"
        discard(file)
        assert all(
            isinstance(each, InputRefused) for each in await asyncio.gather(*held, return_exceptions=True)
        )
