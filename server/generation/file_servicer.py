"""Output files over gRPC: the gateway holds no storage keys, so the region streams the bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_service_pb2 as pb
from babysea.generation.v1 import generation_service_pb2_grpc
from kit.clock import Clock
from kit.errors import BabySeaError
from server.generation import store
from server.generation.file_urls import FileSigner
from server.generation.storage import OutputStore, StorageError
from server.runtime.context import RpcContext

_FACTS_ONLY = -1
_RETRY_AFTER_SECONDS = "1"


class FileServicer(generation_service_pb2_grpc.FileServiceServicer):
    """Serves babysea.generation.v1.FileService to the gateway.

    Args:
        app: finds files.
        outputs: holds them.
        signer: knows our URLs.
        clock: tells which of them have expired.
        most: streams of bytes at a time. A reader decides how long one lasts and needs no key for it, so together they
            must never take the calls that everybody else needs.
    """

    def __init__(
        self, app: AsyncEngine, outputs: OutputStore, signer: FileSigner, clock: Clock, *, most: int
    ) -> None:
        self._app = app
        self._outputs = outputs
        self._signer = signer
        self._clock = clock
        self._most = most
        self._open = 0

    async def ReadFile(  # noqa: N802
        self, request: pb.ReadFileRequest, context: RpcContext
    ) -> AsyncIterator[pb.ReadFileResponse]:
        """Streams a file: its facts, then the wanted bytes.

        A wrong signature, an expired URL and a missing file give the same NOT_FOUND. While too many streams are open, it
        is refused at once.
        """
        place = self._signer.file_of(
            request.file_token, request.expires, request.signature, self._clock.now()
        )
        row = None if place is None else await store.find_file(self._app, *place)
        if place is None or row is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND)
        offset, length = _span(request, row.size_bytes)
        extension = row.storage_key.rsplit(".", 1)[-1]
        facts = pb.FileFacts(
            content_type=row.content_type,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            offset=offset,
            length=length,
            file_name=f"{place[0]}-{place[1]}.{extension}",
        )
        if length == 0 or request.length == _FACTS_ONLY:
            yield pb.ReadFileResponse(facts=facts)
            return
        with self._stream():
            yield pb.ReadFileResponse(facts=facts)
            try:
                async for chunk in self._outputs.read(row.storage_key, offset, length):
                    yield pb.ReadFileResponse(chunk=chunk)
            except StorageError:
                raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE) from None

    @contextmanager
    def _stream(self) -> Iterator[None]:
        if self._open >= self._most:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
                details={"retry_after_seconds": _RETRY_AFTER_SECONDS},
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


def _span(request: pb.ReadFileRequest, size: int) -> tuple[int, int]:
    """First byte and number of bytes, within the file; a span that begins behind its end is empty."""
    if request.suffix_length:
        length = min(request.suffix_length, size)
        return size - length, length
    offset = min(request.offset, size)
    wanted = request.length if request.length > 0 else size
    return offset, min(wanted, size - offset)
