"""A customer's input files: fetched from wherever they are, without letting anybody look into our network, and checked."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import httpcore
import httpx
from opentelemetry.trace import SpanKind, StatusCode

from babysea.common.v1 import error_reason_pb2 as reasons
from babysea.common.v1.error_reason_pb2 import ErrorReason
from kit.telemetry import tracer
from server.providers.addresses import url_problem
from server.providers.dimensions import dimensions
from server.providers.download import LocalStorageError
from server.providers.guard import (
    MOST_CONNECTIONS,
    NETWORK_ERRORS,
    ForbiddenAddress,
    GuardedBackend,
    connect_limits,
    open_guarded,
    target_of,
)
from server.providers.media import HEAD_BYTES, is_whole, sniff_media
from server.providers.private_file import keep, private_file
from server.providers.protocol import InputFile

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_HEADERS = [
    (b"Accept", b"image/png, image/jpeg, image/webp"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"babysea-control-plane"),
]
_PICTURES = frozenset({"image/png", "image/jpeg", "image/webp"})


@dataclass(frozen=True, slots=True)
class InputLimits:
    """What an input file may be."""

    max_bytes: int = 20 * 1024 * 1024
    shortest_side: int = 64
    """Pixels, of the shorter side."""
    longest_side: int = 8192
    """Pixels, of the longer side."""
    seconds: float = 30.0
    """Time for the whole of one file, redirects and all."""
    silent_seconds: float = 5.0
    """Time for the head of an answer, and for the first bytes to come at the least rate."""
    least_bytes_per_second: int = 16 * 1024


class InputRefused(Exception):  # noqa: N818
    """An input file that cannot be had or cannot be used."""

    def __init__(self, reason: ErrorReason.ValueType, sentence: str) -> None:
        self.reason = reason
        self.sentence = sentence
        """For the customer; says nothing about our network, so the same for whatever could not be fetched."""
        super().__init__(sentence)


class InputFetcher:
    """Fetches input files; one for a whole process."""

    def __init__(
        self, backend: GuardedBackend, *, allow_loopback: bool, directory: Path | None = None
    ) -> None:
        """Takes how connections are made, whether URLs may name loopback, and the folder for the files."""
        self._pool = open_guarded(backend)
        self._allow_loopback = allow_loopback
        self._directory = directory
        # Waited for before a file's time begins: that others are slow is not its fault.
        self._room = asyncio.Semaphore(MOST_CONNECTIONS)

    async def fetch(self, url: str, limits: InputLimits) -> InputFile:
        """Fetches and checks one file, which belongs to the caller: `discard` it in the end.

        Raises:
            InputRefused: it cannot be fetched or used; no file is left behind.
            LocalStorageError: our own disk is full or unwritable.
        """
        with tracer().start_as_current_span(
            "fetch input", kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                with private_file("input", self._directory) as (path, descriptor):
                    digest = await self._download(url, limits, descriptor)
                    file = await asyncio.to_thread(_checked, path, url, digest, limits)
                span.set_attribute("babysea.size_bytes", file.size)
                return file
            except InputRefused:
                span.set_status(StatusCode.ERROR)
                raise
            except OSError:
                span.set_status(StatusCode.ERROR)
                raise LocalStorageError("an input file could not be written") from None

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._pool.aclose()

    async def _download(self, url: str, limits: InputLimits, descriptor: int) -> bytes:
        try:
            async with self._room, asyncio.timeout(limits.seconds):
                for _ in range(_MOST_REDIRECTS + 1):
                    onward = await self._visit(url, limits, descriptor)
                    if isinstance(onward, bytes):
                        return onward
                    url = onward
        except _DiskError as error:
            raise error.cause from None
        except (*NETWORK_ERRORS, httpx.InvalidURL, ForbiddenAddress, TimeoutError, OSError):
            raise _unfetched() from None
        raise _unfetched()

    async def _visit(self, url: str, limits: InputLimits, descriptor: int) -> bytes | str:
        """The SHA-256 of the body, which is written; or the next URL."""
        if url_problem(url, allow_private=self._allow_loopback) is not None:
            raise _unfetched()
        target = httpx.URL(url)
        headers = [(b"Host", target.netloc), *_HEADERS]
        extensions = {"timeout": {**connect_limits(), "read": limits.silent_seconds}}
        async with self._pool.stream(
            "GET", target_of(target), headers=headers, extensions=extensions
        ) as response:
            told = httpx.Headers(response.headers)
            if response.status in _REDIRECTS and "location" in told:
                return str(target.join(told["location"]))
            if response.status != 200 or told.get("content-encoding", "identity").lower() != "identity":
                raise _unfetched()
            announced = told.get("content-length", "")
            if announced.isdigit() and int(announced[:15]) > limits.max_bytes:
                raise _too_many_bytes(limits.max_bytes)
            return await _kept(response, limits, descriptor)


def discard(file: InputFile) -> None:
    """Removes a fetched file."""
    file.path.unlink(missing_ok=True)


class _DiskError(Exception):
    """Keeps our own disk's errors apart from the network's, which are of the same kind."""

    def __init__(self, cause: OSError) -> None:
        self.cause = cause
        super().__init__()


async def _kept(response: httpcore.Response, limits: InputLimits, descriptor: int) -> bytes:
    digest, size = hashlib.sha256(), 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    async for part in response.aiter_stream():
        size += len(part)
        if size > limits.max_bytes:
            raise _too_many_bytes(limits.max_bytes)
        took = loop.time() - began
        if took > limits.silent_seconds and size < took * limits.least_bytes_per_second:
            # A host that sends a byte now and then would hold a connection for the whole time.
            raise _unfetched()
        try:
            keep(descriptor, part, digest)
        except OSError as error:
            raise _DiskError(error) from None
    return digest.digest()


def _checked(path: Path, url: str, digest: bytes, limits: InputLimits) -> InputFile:
    size = path.stat().st_size
    if size == 0:
        raise _unusable()
    with path.open("rb") as file:
        content_type = sniff_media(file.read(HEAD_BYTES))
    if content_type not in _PICTURES or content_type is None:
        raise InputRefused(
            reasons.ERROR_REASON_UNSUPPORTED_FILE_FORMAT, "An input file is not a JPEG, PNG or WebP picture."
        )
    sides = dimensions(path, content_type) if is_whole(path, content_type) else None
    if sides is None:
        raise _unusable()
    if max(sides) > limits.longest_side:
        raise InputRefused(
            reasons.ERROR_REASON_FILE_TOO_LARGE,
            f"An input file has {sides[0]} x {sides[1]} pixels; {limits.longest_side} a side are the most.",
        )
    if min(sides) < limits.shortest_side:
        raise InputRefused(
            reasons.ERROR_REASON_FILE_TOO_SMALL,
            f"An input file has {sides[0]} x {sides[1]} pixels; {limits.shortest_side} a side are the least.",
        )
    return InputFile(path, content_type, sides[0], sides[1], digest, size, url)


def _unfetched() -> InputRefused:
    return InputRefused(
        reasons.ERROR_REASON_FILE_DOWNLOAD_ERROR,
        "An input file could not be fetched; check that its URL is public and that it answers in time.",
    )


def _too_many_bytes(max_bytes: int) -> InputRefused:
    return InputRefused(
        reasons.ERROR_REASON_FILE_SIZE_EXCEEDED,
        f"An input file has more than {max_bytes // (1024 * 1024)} MB.",
    )


def _unusable() -> InputRefused:
    return InputRefused(reasons.ERROR_REASON_FILE_LOAD_ERROR, "An input file is empty, broken or cut off.")
