"""A way between a gRPC client and a server on which chosen answers are lost: read from the server, never passed on.

It reads HTTP/2 only as far as frames. A call is chosen by words in its request, and what happens to it comes from a queue
that several proxies may share, so that a call asked again at another server meets the next fate.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["lose request", "lose answer", "pass"]

_PREFACE = 24
_HEADER = 9
_DATA, _HEADERS = 0, 1
_END_STREAM = 1


@dataclass
class Fates:
    """What happens to the next chosen calls, and what happened."""

    words: bytes
    """Calls whose request holds these words are chosen."""
    coming: deque[Fate] = field(default_factory=deque)
    """One for each chosen call; without any left they pass."""
    met: list[Fate] = field(default_factory=list)
    """What chosen calls met, in order; a lost answer counts once the server gave it."""

    def draw(self) -> Fate:
        """The fate of a chosen call."""
        return self.coming.popleft() if self.coming else "pass"


@asynccontextmanager
async def lossy(address: str, fates: Fates) -> AsyncIterator[str]:
    """Address of a proxy before a server; a lost message takes its whole connection with it, as on a real network."""
    host, _, port = address.rpartition(":")
    running = set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            inner = await asyncio.open_connection(host, int(port))
            try:
                await _connection(reader, writer, *inner, fates)
            finally:
                inner[1].close()
        writer.close()
        running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _connection(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
    fates: Fates,
) -> None:
    doomed = set[int]()

    def passes_to_server(kind: int, _flags: int, stream: int, payload: bytes) -> bool:
        if kind != _DATA or fates.words not in payload:
            return True
        fate = fates.draw()
        if fate == "lose answer":
            doomed.add(stream)
            return True
        fates.met.append(fate)
        return fate == "pass"

    def passes_to_client(kind: int, flags: int, stream: int, _payload: bytes) -> bool:
        # The first headers may come before the work is done; the message, or the status alone, cannot.
        answers = kind == _DATA or (kind == _HEADERS and bool(flags & _END_STREAM))
        if stream in doomed and answers:
            fates.met.append("lose answer")
            return False
        return True

    inner_writer.write(await reader.readexactly(_PREFACE))
    ways = [
        asyncio.create_task(_frames(reader, inner_writer, passes_to_server)),
        asyncio.create_task(_frames(inner_reader, writer, passes_to_client)),
    ]
    try:
        # Whichever way ends first ends the connection.
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _frames(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[int, int, int, bytes], bool]
) -> None:
    while True:
        header = await reader.readexactly(_HEADER)
        payload = await reader.readexactly(int.from_bytes(header[:3]))
        stream = int.from_bytes(header[5:]) & 0x7FFF_FFFF
        if not passes(header[3], header[4], stream, payload):
            return
        writer.write(header + payload)
        await writer.drain()
