"""Hashes of key secrets: bcrypt over a peppered SHA-256, in threads of its own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError

_THREADS = 2
_LONGEST_QUEUE = 64

T = TypeVar("T")


class KeyHasher:
    """Makes and checks hashes. bcrypt costs tens of milliseconds, so few run at a time and few may wait."""

    def __init__(self, pepper: bytes, cost: int, longest_queue: int = _LONGEST_QUEUE) -> None:
        """Takes the region's pepper, the bcrypt cost of new hashes, and how many calls may run or wait."""
        self._pepper = pepper
        self._cost = cost
        self._longest_queue = longest_queue
        self._waiting = 0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="babysea-bcrypt")
        self._dummy: bytes | None = None
        self.checks = 0
        """Checks that ran bcrypt, those against nothing included."""

    async def hash(self, secret: str) -> str:
        """The hash to store for a secret.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many calls wait already.
        """
        digest = self._prehash(secret)
        return (await self._run(lambda: bcrypt.hashpw(digest, bcrypt.gensalt(self._cost)))).decode()

    async def matches(self, secret: str, stored: str | None) -> bool:
        """Whether a secret belongs to a stored hash; None takes the same time and matches nothing.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many calls wait already.
        """
        digest = self._prehash(secret)
        return await self._run(lambda: self._check(digest, stored))

    def close(self) -> None:
        """Lets running calls end and takes no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, digest: bytes, stored: str | None) -> bool:
        self.checks += 1
        if stored is not None:
            return bcrypt.checkpw(digest, stored.encode())
        if self._dummy is None:
            self._dummy = bcrypt.hashpw(b"", bcrypt.gensalt(self._cost))
        bcrypt.checkpw(digest, self._dummy)
        return False

    def _prehash(self, secret: str) -> bytes:
        # bcrypt reads 72 bytes and stops at a zero byte; 44 characters of base64 are safe from both.
        return base64.b64encode(hashlib.sha256(self._pepper + secret.encode()).digest())

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._longest_queue:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()
