"""The reply to a request for a file: conditions and ranges answered, bytes passed on as they arrive."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_service_pb2 as generation
from gateway.envelope import failure
from gateway.errors import not_found
from gateway.exchange import REPLY_SECONDS, Exchange
from gateway.limits import FileStreams
from gateway.methods import READ_FILE
from gateway.ranges import ByteRange, matches_etag
from gateway.upstream import RegionError, Upstream
from kit.errors import BabySeaError

logger = logging.getLogger(__name__)

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")
_OURS = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"})
"""gRPC codes of failures that are not the URL's fault."""
SEND_SECONDS = 20.0
"""Time in which a reader takes the next piece; one that does not holds a stream of the region for nothing."""
_PIECE_BYTES = 64 * 1024
"""Small enough for a slow but honest line: at 4 kB a second it is taken in time."""

Answers = AsyncIterator[generation.ReadFileResponse]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks of a file."""

    file: generation.ReadFileRequest
    """The signed URL's parts."""
    head: bool
    """Whether only the headers are wanted."""
    part: ByteRange | None
    """The range wanted; None for the whole file."""
    if_none_match: str | None
    """Entity tags that the client has."""
    if_range: str | None
    """Entity tag that the client has a part of."""


class FileReply(Response):
    """Asks the region for a file and passes it on; asks for no byte that is not wanted."""

    def __init__(self, exchange: Exchange, upstream: Upstream, wish: Wish, streams: FileStreams) -> None:
        super().__init__()
        self._streams = streams
        self._exchange = exchange
        self._upstream = upstream
        self._wish = wish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request."""
        exchange = self._exchange
        with self._streams.held(exchange.region, self._wish.file.file_token, exchange.address):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        part = await self._usable_part()
        async with self._upstream.stream(self._exchange, READ_FILE, self._question(part)) as answers:
            try:
                facts = await self._facts(answers)
            except _OutOfRangeError:
                facts = None
            if facts is not None:
                await self._reply(scope, receive, send, facts, part, answers)
        if facts is None:
            size = (await self._look()).size_bytes
            await self._unsatisfiable(size)(scope, receive, send)

    async def _reply(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        facts: generation.FileFacts,
        part: ByteRange | None,
        answers: Answers,
    ) -> None:
        headers = self._file_headers(facts)
        if matches_etag(self._wish.if_none_match, _etag(facts), weak=True):
            await Response(status_code=304, headers=headers)(scope, receive, send)
            return
        if part is not None and not _satisfiable(part, facts.size_bytes):
            await self._unsatisfiable(facts.size_bytes)(scope, receive, send)
            return
        headers["Content-Type"] = _media_type(facts)
        headers["Content-Disposition"] = f'inline; filename="{_file_name(facts)}"'
        length = facts.length
        if self._wish.head:
            length = facts.size_bytes
        elif part is not None:
            last = facts.offset + facts.length - 1
            headers["Content-Range"] = f"bytes {facts.offset}-{last}/{facts.size_bytes}"
        headers["Content-Length"] = str(length)
        start = Response(status_code=200 if part is None else 206, headers=headers)
        await send({"type": "http.response.start", "status": start.status_code, "headers": start.raw_headers})
        if self._wish.head:
            await send({"type": "http.response.body", "body": b""})
            return
        await until_gone(_pass_on(answers, length, send), receive)

    async def _usable_part(self) -> ByteRange | None:
        """The range, unless the client's part belongs to another version of the file."""
        wish = self._wish
        if wish.part is None or wish.if_range is None:
            return wish.part
        same = matches_etag(wish.if_range, _etag(await self._look()), weak=False)
        return wish.part if same else None

    def _question(self, part: ByteRange | None) -> generation.ReadFileRequest:
        question = generation.ReadFileRequest()
        question.CopyFrom(self._wish.file)
        if self._wish.head or (part is not None and part.suffix == 0):
            question.length = -1
        elif part is not None and part.suffix is not None:
            question.suffix_length = part.suffix
        elif part is not None:
            question.offset = part.first
            question.length = part.length
        return question

    async def _look(self) -> generation.FileFacts:
        """The file's facts without its bytes."""
        question = generation.ReadFileRequest()
        question.CopyFrom(self._wish.file)
        question.length = -1
        async with self._upstream.stream(self._exchange, READ_FILE, question) as answers:
            try:
                return await self._facts(answers)
            except _OutOfRangeError:
                raise not_found() from None

    async def _facts(self, answers: Answers) -> generation.FileFacts:
        try:
            first = await asyncio.wait_for(anext(answers), REPLY_SECONDS)
        except TimeoutError:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_DEADLINE_EXCEEDED) from None
        except StopAsyncIteration:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_INTERNAL_ERROR) from None
        except RegionError as error:
            raise self._translated(error) from None
        return first.facts

    def _translated(self, error: RegionError) -> Exception:
        if error.reason == error_reason_pb2.ERROR_REASON_PARAMETER_OUT_OF_RANGE:
            return _OutOfRangeError()
        if error.spec.grpc_code in {"UNAUTHENTICATED", "PERMISSION_DENIED"}:
            # Files need no key, so it is the gateway's identity that was refused.
            self._upstream.forget_identity()
            logger.error("the region does not accept the gateway's service token")
            return BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
        return error if error.spec.grpc_code in _OURS else not_found()

    def _file_headers(self, facts: generation.FileFacts) -> dict[str, str]:
        left = max(0, self._wish.file.expires - int(time.time()))
        return {
            "ETag": _etag(facts),
            "Accept-Ranges": "bytes",
            "Cache-Control": f"private, max-age={left}",
        }

    def _unsatisfiable(self, size: int) -> Response:
        error = BabySeaError(
            error_reason_pb2.ERROR_REASON_PARAMETER_OUT_OF_RANGE,
            "The range lies outside the file.",
            details={"field": "Range"},
        )
        headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        return failure(self._exchange, error, http_status=416, headers=headers)


class _OutOfRangeError(Exception):
    """The region says that the wanted bytes lie outside the file."""


def in_time(send: Send) -> Send:
    """Sends as `send` does, but waits only so long for a reader who does not read.

    Raises:
        TimeoutError: nothing was taken for `SEND_SECONDS`.
    """

    async def sending(message: Message) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await send(message)

    return sending


async def _pass_on(answers: Answers, length: int, send: Send) -> None:
    missing, send = length, in_time(send)
    try:
        async for answer in answers:
            chunk = answer.chunk[:missing]
            missing -= len(chunk)
            for start in range(0, len(chunk), _PIECE_BYTES):
                piece = chunk[start : start + _PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not missing:
                break
    except RegionError:
        logger.warning("a file broke off")
    except TimeoutError:
        logger.warning("a reader took nothing of a file for too long")
        return
    # An incomplete reply stays without its end, so that the client sees a broken transfer and no short file.
    if not missing:
        await send({"type": "http.response.body", "body": b""})


async def until_gone(work: Coroutine[None, None, None], receive: Receive) -> None:
    """Does the work, or gives it up when the client leaves."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _satisfiable(part: ByteRange, size: int) -> bool:
    if part.suffix is not None:
        return part.suffix > 0 and size > 0
    return part.first < size


def _etag(facts: generation.FileFacts) -> str:
    return f'"{facts.sha256.hex()}"'


def _media_type(facts: generation.FileFacts) -> str:
    known = _MEDIA_TYPE.fullmatch(facts.content_type)
    return facts.content_type if known else "application/octet-stream"


def _file_name(facts: generation.FileFacts) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", facts.file_name) or "file"
