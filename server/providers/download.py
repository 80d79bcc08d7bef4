"""Fetches a provider's output: bounded, checked, into a private temporary file."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import httpcore
import httpx
from opentelemetry.trace import Span, SpanKind, StatusCode

from babysea.common.v1 import error_reason_pb2
from kit.telemetry import tracer
from server.providers.addresses import is_public, url_problem
from server.providers.guard import (
    NETWORK_ERRORS,
    ForbiddenAddress,
    GuardedBackend,
    Resolve,
    connect_limits,
    open_guarded,
    peer_of,
    target_of,
)
from server.providers.media import HEAD_BYTES, is_whole, sniff_media
from server.providers.private_file import keep, private_file

_HEADERS = [(b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"), (b"User-Agent", b"babysea-control-plane")]
_MOST_KEPT = 16
_PART_BYTES = 262_144


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


def open_downloader(
    *, allow_loopback: bool = False, resolve: Resolve | None = None
) -> httpcore.AsyncConnectionPool:
    """The connections to file hosts. No credential goes along, and no redirect is followed.

    Args:
        allow_loopback: whether they may lead to loopback, where the sandbox is.
        resolve: how names are looked up; None for threads of their own.
    """
    return open_guarded(GuardedBackend(allow_loopback=allow_loopback, resolve=resolve), kept=_MOST_KEPT)


async def fetch_output(
    client: httpcore.AsyncConnectionPool,
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
        allow_private: whether the URL may name a private address; what is connected to, the client decides.
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
        except ForbiddenAddress:
            span.set_status(StatusCode.ERROR)
            raise OutputForbidden from None
        except (*NETWORK_ERRORS, httpx.InvalidURL, TimeoutError):
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
    digest = hashlib.sha256()
    try:
        # Not in a thread, whose file nobody would remove if the waiting for it ended: see `keep`.
        with private_file("output", directory) as (path, descriptor):
            for start in range(0, len(content), _PART_BYTES):
                keep(descriptor, content[start : start + _PART_BYTES], digest)
                await asyncio.sleep(0)
            content_type = await asyncio.to_thread(_verified, path, expected)
            return Downloaded(path, content_type, digest.digest(), len(content))
    except OSError:
        raise LocalStorageError("an output could not be written") from None


async def _stream(
    client: httpcore.AsyncConnectionPool,
    url: str,
    max_bytes: int,
    allow_private: bool,
    descriptor: int,
    span: Span,
) -> tuple[bytes, int]:
    """Writes the body and returns its SHA-256 and size."""
    digest, size = hashlib.sha256(), 0
    target = httpx.URL(url)
    headers = [(b"Host", target.netloc), *_HEADERS]
    extensions = {"timeout": connect_limits()}
    async with client.stream("GET", target_of(target), headers=headers, extensions=extensions) as response:
        if not allow_private and not is_public(peer_of(response.extensions["network_stream"])):
            raise OutputForbidden
        _check_answer(response, max_bytes)
        span.set_attribute("http.status_code", response.status)
        async for part in response.aiter_stream():
            size += len(part)
            if size > max_bytes:
                raise OutputTooLarge
            keep(descriptor, part, digest)
    return digest.digest(), size


def _check_answer(response: httpcore.Response, max_bytes: int) -> None:
    status, told = response.status, httpx.Headers(response.headers)
    if status in (401, 403, 404, 410):
        raise OutputGone(status)
    if status == 429 or status >= 500:
        raise OutputUnreachable(status)
    if status != 200 or told.get("content-encoding", "identity") != "identity":
        raise OutputNotMedia(status)
    announced = told.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise OutputTooLarge


def _verified(path: Path, expected: str | None) -> str:
    """The content type that the bytes really have."""
    with path.open("rb") as file:
        content_type = sniff_media(file.read(HEAD_BYTES))
    if content_type is None or expected not in (None, content_type) or not is_whole(path, content_type):
        raise OutputNotMedia
    return content_type
