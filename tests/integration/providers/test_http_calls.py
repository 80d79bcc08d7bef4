"""What a provider's calls can carry: other credentials, forms, files as answers, a time and a size of their own."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from httpx import Headers
from pydantic import SecretStr

from server.providers.http import MAX_ANSWER_BYTES, Answer, FormPart, NoAnswer, ProviderHttp
from tests.integration.providers.outside import canned, reply

_LARGE = 10_000_000
_JSON = "content-type: application/json"


@asynccontextmanager
async def _http(url: str, **options: str) -> AsyncIterator[ProviderHttp]:
    http = ProviderHttp(
        "bfl",
        url,
        "",
        SecretStr("secret"),
        header="x-key",
        extra_headers={"X-Version": "2024"},
        own_domain=options.get("own_domain", ""),
    )
    try:
        yield http
    finally:
        await http.aclose()


async def test_a_credential_goes_into_the_header_that_the_provider_wants() -> None:
    async with canned(reply("200 OK", b"{}", _JSON)) as (url, seen), _http(url) as http:
        await http.call("poll", "GET", "v1/x")
    head = seen[0].decode().lower()
    assert "x-key: secret\r\n" in head
    assert "x-version: 2024\r\n" in head
    assert "authorization" not in head


async def test_a_form_has_its_values_and_files_in_their_order() -> None:
    async with canned(reply("200 OK", b"{}", _JSON)) as (url, seen), _http(url) as http:
        parts = [FormPart("prompt", "a cube"), FormPart("image[]", b"\x89PNG", "1.png", "image/png")]
        await http.call("submit", "POST", "v1/x", form=parts)
    text = seen[0].decode("latin-1")
    assert "content-type: multipart/form-data; boundary=" in text.lower()
    assert text.index('name="prompt"\r\n\r\na cube') < text.index('name="image[]"; filename="1.png"')
    assert "Content-Type: image/png\r\n\r\n\x89PNG" in text


async def test_a_file_of_a_form_is_sent_from_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\x89PNG" + b"x" * 200_000)
    async with canned(reply("200 OK", b"{}", _JSON)) as (url, seen), _http(url) as http:
        await http.call("submit", "POST", "v1/x", form=[FormPart("image[]", path, "1.png", "image/png")])
        with pytest.raises(FileNotFoundError):
            await http.call("submit", "POST", "v1/x", form=[FormPart("image[]", tmp_path / "b", "1.png")])
    (head_and_body,) = seen
    head, _, body = head_and_body.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}" in head.decode().lower()
    assert b"Content-Type: image/png\r\n\r\n" + path.read_bytes() in body


async def test_calls_with_many_large_files_hold_none_of_them(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(_LARGE)
    arrived: list[int] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        left = next(
            int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        arrived.append(left)
        while left:
            left -= len(await reader.read(left))
        writer.write(reply("200 OK", b"{}", _JSON))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    parts = [FormPart(f"input_image_{number}", path, "1.png", "image/png") for number in range(2)]
    tracemalloc.start()
    try:
        async with server, _http(url) as http:
            await asyncio.gather(*(http.call("submit", "POST", "v1/x", form=parts) for _ in range(4)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(arrived) == 4
    assert min(arrived) > 2 * _LARGE
    assert most < _LARGE


async def test_an_answer_that_is_a_file_comes_as_its_bytes() -> None:
    async with (
        canned(reply("200 OK", b"\xff\xd8\xff", "content-type: image/jpeg")) as (url, _),
        _http(url) as http,
    ):
        answer = await http.call("submit", "POST", "v1/x", content={})
    assert (answer.content, answer.body) == (b"\xff\xd8\xff", None)


async def test_only_a_call_that_asks_for_a_long_answer_gets_one() -> None:
    long = b'{"data": "' + b"x" * MAX_ANSWER_BYTES + b'"}'
    async with canned(reply("200 OK", long, _JSON)) as (url, _), _http(url) as http:
        with pytest.raises(NoAnswer):
            await http.call("submit", "POST", "v1/x", content={})
        answer = await http.call("submit", "POST", "v1/x", content={}, answer_bytes=2 * MAX_ANSWER_BYTES)
    assert len(answer.text("data")) == MAX_ANSWER_BYTES


async def test_a_call_may_have_a_time_of_its_own() -> None:
    short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"
    async with canned(short) as (url, _), _http(url) as http:
        with pytest.raises(NoAnswer):
            await http.call("submit", "POST", "v1/x", content={}, seconds=0.2)


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "-1",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
        "Mon, 99 Jan 2026 00:00:00 GMT",
    ],
)
async def test_a_wait_that_names_no_moment_is_none(value: str) -> None:
    async with _http("http://127.0.0.1:9") as http:
        assert http.retry_after(Answer(429, Headers({"retry-after": value}), None)) is None


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://api.us1.bfl.ai/v1/get_result?id=1", True),
        ("https://bfl.ai/x", True),
        ("http://api.us1.bfl.ai/x", False),
        ("https://api.us1.bfl.ai:8443/x", False),
        ("https://evilbfl.ai/x", False),
        ("https://bfl.ai.evil.example/x", False),
        ("https://user@api.bfl.ai/x", False),
        ("https://api.bfl.ai\\@evil.example/x", False),
        ("https://api.bfl.ai/\0", False),
        ("https://api.bfl.ai/\ud800", False),
        ("https://api.bfl.ai/\u00e4", False),
    ],
)
async def test_only_hosts_of_the_providers_own_domain_see_its_credential(url: str, ours: bool) -> None:
    async with _http("https://api.us.bfl.ai", own_domain="bfl.ai") as http:
        assert http.is_ours(url) is ours
    async with _http("https://api.us.bfl.ai") as http:
        assert not http.is_ours(url)
