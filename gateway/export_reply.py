"""The reply that is a long file: passed on piece by piece as the region makes it, kept nowhere."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from babysea.common.v1 import error_reason_pb2
from gateway.file_reply import in_time, until_gone
from gateway.upstream import RegionError
from kit.errors import BabySeaError

logger = logging.getLogger(__name__)


class Piece(Protocol):
    """A piece of a file."""

    @property
    def data(self) -> bytes:
        """The next bytes."""
        ...


class ExportReply(Response):
    """A file to save. Before its first piece has come, the region's refusal is an ordinary error."""

    def __init__(
        self,
        pieces: AbstractAsyncContextManager[AsyncIterator[Piece]],
        *,
        media_type: str,
        file_name: str,
        translate: Callable[[RegionError], BabySeaError],
    ) -> None:
        super().__init__(
            media_type=media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{file_name}"',
                "Cache-Control": "no-store",
            },
        )
        del self.headers["content-length"]
        self._pieces = pieces
        self._translate = translate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request."""
        async with self._pieces as pieces:
            try:
                first = await anext(pieces)
            except StopAsyncIteration:
                raise BabySeaError(error_reason_pb2.ERROR_REASON_INTERNAL_ERROR) from None
            except RegionError as error:
                raise self._translate(error) from None
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await until_gone(_pass_on(first, pieces, send), receive)


async def _pass_on(first: Piece, rest: AsyncIterator[Piece], send: Send) -> None:
    send = in_time(send)
    try:
        await send({"type": "http.response.body", "body": first.data, "more_body": True})
        async for piece in rest:
            await send({"type": "http.response.body", "body": piece.data, "more_body": True})
    except RegionError:
        # An incomplete reply stays without its end, so that nobody takes half a file for a whole one.
        logger.warning("an export broke off")
        return
    except TimeoutError:
        logger.warning("a reader took nothing of an export for too long")
        return
    await send({"type": "http.response.body", "body": b""})
