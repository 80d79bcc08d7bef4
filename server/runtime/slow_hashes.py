"""Threads for hashes that are slow on purpose: few run at a time, few may wait, and the event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError

LONGEST_QUEUE = 64
"""Calls that may run or wait."""

_THREADS = 2

T = TypeVar("T")


class HashThreads:
    """The threads of one kind of hash."""

    def __init__(self, name: str, longest_queue: int = LONGEST_QUEUE) -> None:
        """Takes what the threads are called, and how many calls may run or wait."""
        self._longest_queue = longest_queue
        self._waiting = 0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of a piece of work; it runs to its end even when nobody waits for it any more.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many calls wait already.
        """
        if self._waiting >= self._longest_queue:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Lets running calls end and takes no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            # Seen by whoever waited; nobody may be left.
            future.exception()
