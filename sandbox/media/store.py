"""Encoded media: made on demand in threads, kept in memory up to a bound."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from .film import encode_film
from .picture import encode_picture
from .sketch import MediaShape, Sketch


def encode(drawing: Sketch, shape: MediaShape) -> bytes:
    """Return the file of one output."""
    return encode_film(drawing, shape) if shape.kind == "video" else encode_picture(drawing, shape)


class MediaStore:
    """A cache of encoded files; a file asked for twice at once is encoded once."""

    def __init__(self, most_bytes: int, threads: int) -> None:
        self._most_bytes = most_bytes
        self._held = 0
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._making: dict[str, asyncio.Task[bytes]] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sandbox-media")

    async def file(self, drawing: Sketch, shape: MediaShape) -> bytes:
        """Return the encoded file, from the cache when it is there."""
        key = f"{drawing.key()}:{shape}"
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]

        task = self._making.get(key)
        if task is None:
            task = asyncio.create_task(self._make(key, drawing, shape))
            self._making[key] = task
        # A caller that goes away must not take the file from the others that wait for it.
        return await asyncio.shield(task)

    async def _make(self, key: str, drawing: Sketch, shape: MediaShape) -> bytes:
        try:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(self._threads, encode, drawing, shape)
        finally:
            del self._making[key]
        self._keep(key, content)
        return content

    def _keep(self, key: str, content: bytes) -> None:
        self._files[key] = content
        self._held += len(content)
        while self._held > self._most_bytes and len(self._files) > 1:
            _, dropped = self._files.popitem(last=False)
            self._held -= len(dropped)

    def close(self) -> None:
        """Stop the encoding threads once the files under way are done."""
        self._threads.shutdown(wait=True, cancel_futures=True)
