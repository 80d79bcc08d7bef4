"""TLS in front of a PostgreSQL that has none: the start of the protocol, then bytes both ways."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from babysea_sdk import TlsFiles

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@asynccontextmanager
async def tls_before(port: int, files: TlsFiles) -> AsyncIterator[int]:
    """The port of the proxy; it turns away whoever does not ask for TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert files.certificate is not None
    context.load_cert_chain(files.certificate, files.key)
    tasks = set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if await reader.readexactly(8) == _SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
    finally:
        writer.close()
