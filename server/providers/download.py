"""Fetches a provider's output: bounded, checked, into a private temporary file."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import httpx
from opentelemetry.trace import Span, SpanKind, StatusCode

from babysea.common.v1 import error_reason_pb2
from kit.telemetry import tracer
from server.providers.addresses import is_public, url_problem
from server.providers.media import HEAD_BYTES, is_whole, sniff_media
from server.providers.private_file import keep, private_file

_CONNECT_SECONDS = 10.0


class DownloadError(Exception):
    """An output that could not be fetched; the text is a safe sentence without the URL."""

    reason = error_reason_pb2.ERROR_REASON_OUTPUT_DOWNLOAD_FAILED
    retryable = False
    """Whether the same URL may work a little later."""
    sentence = "The output could not be fetched."

    def __init__(self, http_status: int | None = None) -> None:
        self.http_status = http_status
        super().__init__(self.sentence)


class OutputGone(DownloadError):  # noqa: N818
    """The provider's file host does not have the file or does not give it: 401, 403, 404 or 410."""

    sentence = "The output has expired at the provider."


class OutputTooLarge(DownloadError):  # noqa: N818
    """The file is longer than allowed."""

    sentence = "The output is larger than allowed."


class OutputNotMedia(DownloadError):  # noqa: N818
    """The bytes are not the kind of file that was asked for, or end too early."""

    reason = error_reason_pb2.ERROR_REASON_PROVIDER_INVALID_RESPONSE
    sentence = "The provider's output is not the file that was asked for."


class OutputForbidden(DownloadError):  # noqa: N818
    """The URL is not one that we fetch: not http(s), or at a private address."""

    reason = error_reason_pb2.ERROR_REASON_PROVIDER_INVALID_RESPONSE
    sentence = "The provider's output is at an address that is not fetched."


class LocalStorageError(Exception):
    """Our own disk took no more of a download. No provider is to blame, and none may be asked again for it."""


class OutputUnreachable(DownloadError):  # noqa: N818
    """The file host did not answer well, or not in time; it may do better later."""

    retryable = True
    sentence = "The provider's file host did not deliver the output."


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A fetched output in a temporary file that belongs to the caller: `discard` it in the end."""

    path: Path
    content_type: str
    """What the bytes are, for example "image/png"."""
    sha256: bytes
    size: int

    def discard(self) -> None:
        """Removes the file."""
        self.path.unlink(missing_ok=True)


def open_downloader() -> httpx.AsyncClient:
    """The client for file hosts. It carries no credential and follows no redirect."""
    return httpx.AsyncClient(
        headers={"Accept-Encoding": "identity", "User-Agent": "babysea-control-plane"},
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=15),
        follow_redirects=False,
        trust_env=False,
    )


async def fetch_output(
    client: httpx.AsyncClient,
    url: str,
    max_bytes: int,
    deadline: float,
    *,
    expected: str | None = None,
    allow_private: bool = False,
    directory: Path | None = None,
) -> Downloaded:
    """Fetches one output.

    Args:
        client: of `open_downloader`.
        url: as the provider named it.
        max_bytes: longest file accepted.
        deadline: seconds for the whole of it.
        expected: content type that the bytes must have; None for any of PNG, JPEG, WebP and MP4.
        allow_private: whether the file host may have a private address, as the sandbox's has.
        directory: where the temporary file is made, mode 0600; None for the system's place.

    Raises:
        DownloadError: one of its kinds; no file is left behind.
        LocalStorageError: our own disk is full or unwritable.
    """
    if url_problem(url, allow_private=allow_private) is not None:
        raise OutputForbidden
    with tracer().start_as_current_span(
        "provider download", kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            with private_file("output", directory) as (path, descriptor):
                async with asyncio.timeout(deadline):
                    digest, size = await _stream(client, url, max_bytes, allow_private, descriptor, span)
                content_type = await asyncio.to_thread(_verified, path, expected)
                span.set_attribute("babysea.size_bytes", size)
                return Downloaded(path, content_type, digest, size)
        except DownloadError as error:
            span.set_status(StatusCode.ERROR)
            if error.http_status is not None:
                span.set_attribute("http.status_code", error.http_status)
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError):
            span.set_status(StatusCode.ERROR)
            raise OutputUnreachable from None
        except OSError:
            span.set_status(StatusCode.ERROR)
            raise LocalStorageError("a download could not be written") from None


async def keep_output(
    content: bytes, max_bytes: int, *, expected: str | None = None, directory: Path | None = None
) -> Downloaded:
    """Checks an output that came with a provider's answer, as `fetch_output` does one that is fetched.

    Raises:
        DownloadError: it is too large or not what was asked; no file is left behind.
        LocalStorageError: our own disk is full or unwritable.
    """
    if len(content) > max_bytes:
        raise OutputTooLarge
    try:
        return await asyncio.to_thread(_kept, content, expected, directory)
    except OSError:
        raise LocalStorageError("an output could not be written") from None


def _kept(content: bytes, expected: str | None, directory: Path | None) -> Downloaded:
    digest = hashlib.sha256()
    with private_file("output", directory) as (path, descriptor):
        keep(descriptor, content, digest)
        return Downloaded(path, _verified(path, expected), digest.digest(), len(content))


async def _stream(
    client: httpx.AsyncClient, url: str, max_bytes: int, allow_private: bool, descriptor: int, span: Span
) -> tuple[bytes, int]:
    """Writes the body and returns its SHA-256 and size."""
    digest, size = hashlib.sha256(), 0
    async with client.stream("GET", url) as response:
        if not allow_private and not is_public(_peer(response)):
            raise OutputForbidden
        _check_answer(response, max_bytes)
        span.set_attribute("http.status_code", response.status_code)
        async for part in response.aiter_raw():
            size += len(part)
            if size > max_bytes:
                raise OutputTooLarge
            keep(descriptor, part, digest)
    return digest.digest(), size


def _check_answer(response: httpx.Response, max_bytes: int) -> None:
    status = response.status_code
    if status in (401, 403, 404, 410):
        raise OutputGone(status)
    if status == 429 or status >= 500:
        raise OutputUnreachable(status)
    if status != 200 or response.headers.get("content-encoding", "identity") != "identity":
        raise OutputNotMedia(status)
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise OutputTooLarge


def _verified(path: Path, expected: str | None) -> str:
    """The content type that the bytes really have."""
    with path.open("rb") as file:
        content_type = sniff_media(file.read(HEAD_BYTES))
    if content_type is None or expected not in (None, content_type) or not is_whole(path, content_type):
        raise OutputNotMedia
    return content_type


def _peer(response: httpx.Response) -> str:
    """The address that we are really connected to: a name may have pointed elsewhere a moment ago."""
    stream = response.extensions.get("network_stream")
    address = stream.get_extra_info("server_addr") if stream is not None else None
    return str(address[0]) if isinstance(address, tuple) else ""
