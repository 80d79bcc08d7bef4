"""Outputs are fetched whole, checked by their bytes, and never from where they should not come."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.providers.dimensions import has_ratio
from server.providers.download import (
    Downloaded,
    DownloadError,
    OutputForbidden,
    OutputGone,
    OutputNotMedia,
    OutputTooLarge,
    OutputUnreachable,
    fetch_output,
    open_downloader,
)
from server.providers.media import mp4_seconds, mp4_size
from server.providers.protocol import Accepted, Finished
from tests.integration.providers.outside import IMAGE, VIDEO, Outside, adapter, canned, closed_port, reply

MOST = 50_000_000


async def fetch(
    url: str,
    folder: Path,
    *,
    most: int = MOST,
    expected: str | None = None,
    deadline: float = 10.0,
    private: bool = True,
) -> Downloaded:
    async with open_downloader() as client:
        return await fetch_output(
            client, url, most, deadline, expected=expected, allow_private=private, directory=folder
        )


async def finished_url(outside: Outside, provider: str, model: str, **fields: Any) -> str:
    async with outside.providers() as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider, model, **fields))
        assert isinstance(submission, Accepted)
        outside.pass_time()
        done = await adapter(providers, provider).poll(submission.ref)
        assert isinstance(done, Finished)
        return done.outputs[0].url


@pytest.mark.parametrize("provider", ["replicate", "fal"])
@pytest.mark.parametrize(("form", "content_type"), [("png", "image/png"), ("jpg", "image/jpeg")])
async def test_a_picture_arrives_as_it_was_asked_for(
    outside: Outside, tmp_path: Path, provider: str, form: str, content_type: str
) -> None:
    url = await finished_url(outside, provider, IMAGE, output_format=form)
    got = await fetch(url, tmp_path, expected=content_type)
    content = got.path.read_bytes()
    assert (got.content_type, got.size) == (content_type, len(content))
    assert got.sha256 == hashlib.sha256(content).digest()
    assert got.path.stat().st_mode & 0o777 == 0o600
    got.discard()
    assert list(tmp_path.iterdir()) == []


async def test_a_webp_arrives_as_one(outside: Outside, tmp_path: Path) -> None:
    url = await finished_url(outside, "replicate", "bfl/flux-1.1-pro", output_format="webp")
    assert (await fetch(url, tmp_path)).content_type == "image/webp"


@pytest.mark.parametrize("provider", ["replicate", "fal"])
async def test_a_film_arrives_with_the_length_and_ratio_that_were_asked_for(
    outside: Outside, tmp_path: Path, provider: str
) -> None:
    url = await finished_url(outside, provider, VIDEO, duration=4)
    got = await fetch(url, tmp_path, expected="video/mp4")
    assert mp4_seconds(got.path) == pytest.approx(4, abs=0.1)
    size = mp4_size(got.path)
    assert size is not None
    assert has_ratio(size, "16:9")
    assert not has_ratio(size, "1:1")


async def test_the_wrong_kind_of_file_is_refused_and_not_kept(outside: Outside, tmp_path: Path) -> None:
    url = await finished_url(outside, "fal", IMAGE, output_format="png")
    with pytest.raises(OutputNotMedia):
        await fetch(url, tmp_path, expected="image/jpeg")
    assert list(tmp_path.iterdir()) == []


async def test_a_truncated_file_is_refused(outside: Outside, tmp_path: Path) -> None:
    for model, expected in ((IMAGE, "image/png"), (VIDEO, "video/mp4")):
        whole = await fetch(await finished_url(outside, "fal", model), tmp_path, expected=expected)
        half = whole.path.read_bytes()[: whole.size // 2]
        whole.discard()
        async with canned(reply("200 OK", half)) as (url, _):
            with pytest.raises(OutputNotMedia):
                await fetch(url, tmp_path, expected=expected)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_over_the_limit_is_refused_whether_it_says_so_or_not(
    outside: Outside, tmp_path: Path
) -> None:
    url = await finished_url(outside, "fal", IMAGE)
    with pytest.raises(OutputTooLarge):
        await fetch(url, tmp_path, most=100)
    endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\x89PNG\r\n\x1a\n" + b"x" * 100_000
    async with canned(endless) as (url, _):
        with pytest.raises(OutputTooLarge):
            await fetch(url, tmp_path, most=50_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply("404 Not Found"), OutputGone),
        (reply("403 Forbidden"), OutputGone),
        (reply("410 Gone"), OutputGone),
        (reply("500 Internal Server Error"), OutputUnreachable),
        (reply("429 Too Many Requests"), OutputUnreachable),
        (reply("302 Found", b"", "location: http://169.254.169.254/"), OutputNotMedia),
        (reply("200 OK", b"<html>"), OutputNotMedia),
        (reply("200 OK", b""), OutputNotMedia),
        (b"", OutputUnreachable),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\x89PNG", OutputUnreachable),
    ],
)
async def test_a_bad_answer_has_its_own_error(
    tmp_path: Path, answer: bytes, error: type[DownloadError]
) -> None:
    async with canned(answer) as (url, _):
        with pytest.raises(error) as caught:
            await fetch(url, tmp_path)
    assert url not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


async def test_an_expired_output_is_gone(outside: Outside, tmp_path: Path) -> None:
    url = await finished_url(outside, "replicate", IMAGE)
    outside.pass_time(2 * 3600)
    with pytest.raises(OutputGone):
        await fetch(url, tmp_path)


async def test_a_host_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(OutputUnreachable):
        await fetch(f"http://127.0.0.1:{closed_port()}/a.png", tmp_path)


@pytest.mark.parametrize(
    "url", ["ftp://example.com/a", "file:///etc/passwd", "http://10.0.0.1/a", "http://localhost/a"]
)
async def test_urls_that_are_not_public_http_are_forbidden(tmp_path: Path, url: str) -> None:
    with pytest.raises(OutputForbidden):
        await fetch(url, tmp_path, private=False)


class _Rebound(httpx.AsyncHTTPTransport):
    """Stands for a name server that answers with our own network."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1")
        return await super().handle_async_request(request)


async def test_a_public_name_that_leads_to_a_private_address_is_forbidden(tmp_path: Path) -> None:
    async with (
        canned(reply("200 OK", b"\x89PNG")) as (url, _),
        httpx.AsyncClient(transport=_Rebound()) as client,
    ):
        named = url.replace("127.0.0.1", "files.example.com") + "/a.png"
        with pytest.raises(OutputForbidden):
            await fetch_output(client, named, MOST, 10, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []
