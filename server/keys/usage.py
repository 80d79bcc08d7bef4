"""When keys were last used, noted to the minute beside the request path."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import OrderedDict
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from kit.clock import Clock
from server.keys import store
from server.keys.memory import TimedCache

_SECONDS = 60.0
_REMEMBERED = 100_000
_LONGEST_QUEUE = 1_000

_log = logging.getLogger("babysea.keys")


class KeyUsage:
    """Notes uses one after the other, in the background, at most once a minute and key.

    A note that finds the queue full, or that the database refuses, is dropped: the next use makes another.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._noted: TimedCache[UUID, bool] = TimedCache(clock, _SECONDS, _REMEMBERED)
        self._queue: OrderedDict[UUID, None] = OrderedDict()
        self._writer: asyncio.Task[None] | None = None

    def note(self, key_id: UUID) -> None:
        """Notes that a key was used now; returns at once."""
        if self._noted.get(key_id) is not None or len(self._queue) >= _LONGEST_QUEUE:
            return
        self._noted.put(key_id, True)
        self._queue[key_id] = None
        if self._writer is None or self._writer.done():
            # In an empty context: the writer serves every tenant and belongs to nobody's trace.
            self._writer = asyncio.create_task(self._write(), context=contextvars.Context())

    async def close(self) -> None:
        """Waits until what was noted is written."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._queue:
            key_id, _ = self._queue.popitem(last=False)
            try:
                await store.touch_key(self._engine, key_id)
            except Exception:  # noqa: BLE001  a lost note must not end the writer
                _log.warning("the last use of a key was not noted", exc_info=True)
