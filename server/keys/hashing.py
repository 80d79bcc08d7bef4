"""Hashes of key secrets: bcrypt over a peppered SHA-256, in threads of its own."""

from __future__ import annotations

import base64
import hashlib

import bcrypt

from server.runtime.slow_hashes import LONGEST_QUEUE, HashThreads


class KeyHasher:
    """Makes and checks hashes. bcrypt costs tens of milliseconds, so few run at a time and few may wait."""

    def __init__(self, pepper: bytes, cost: int, longest_queue: int = LONGEST_QUEUE) -> None:
        """Takes the region's pepper, the bcrypt cost of new hashes, and how many calls may run or wait."""
        self._pepper = pepper
        self._cost = cost
        self._threads = HashThreads("babysea-bcrypt", longest_queue)
        self._dummy: bytes | None = None
        self.checks = 0
        """Checks that ran bcrypt, those against nothing included."""

    async def hash(self, secret: str) -> str:
        """The hash to store for a secret.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many calls wait already.
        """
        digest = self._prehash(secret)
        return (await self._threads.run(lambda: bcrypt.hashpw(digest, bcrypt.gensalt(self._cost)))).decode()

    async def matches(self, secret: str, stored: str | None) -> bool:
        """Whether a secret belongs to a stored hash; None takes the same time and matches nothing.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many calls wait already.
        """
        digest = self._prehash(secret)
        return await self._threads.run(lambda: self._check(digest, stored))

    def close(self) -> None:
        """Lets running calls end and takes no more."""
        self._threads.close()

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
