"""A host that answers with prepared bytes, whatever it is asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def canned(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A host that reads a request, answers with the next of these bytes, and closes; its URL and what it read."""
    seen: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        seen.append(head + await reader.readexactly(length))
        writer.write(answers[min(len(seen), len(answers)) - 1])
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def closed_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@asynccontextmanager
async def answering(*parts: bytes, pause: float, again: bool = False) -> AsyncIterator[str]:
    """A host that sends the parts of its answer with a pause before each, the last one again and again if told; its URL."""
    serving: set[asyncio.Task[None]] = set()
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            serving.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                await asyncio.sleep(pause)
                writer.write(part)
                await writer.drain()
            while again and not over.is_set():
                await asyncio.sleep(pause)
                writer.write(parts[-1])
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        over.set()
        await asyncio.gather(*serving)
