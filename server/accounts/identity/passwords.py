"""Passwords: which are accepted, and their argon2id hashes in threads of their own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from functools import cache
from pathlib import Path

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from kit.errors import invalid
from server.runtime.slow_hashes import LONGEST_QUEUE, HashThreads

SHORTEST = 10
LONGEST = 256
"""Characters that a password may have."""

_FEWEST_DIFFERENT = 4
_COMMON = Path(__file__).with_name("common_passwords.txt")


class PasswordHasher:
    """Makes and checks hashes. argon2id takes its time and memory on purpose, so few run at a time and few may wait."""

    def __init__(
        self, pepper: bytes, memory_kib: int, passes: int, longest_queue: int = LONGEST_QUEUE
    ) -> None:
        """Takes the region's pepper, the cost of new hashes, and how many calls may run or wait."""
        self._pepper = pepper
        self._argon2 = argon2.PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._threads = HashThreads("babysea-argon2", longest_queue)
        self._dummy = ""

    async def hash(self, password: str) -> str:
        """The hash to store for a password.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many calls wait already.
        """
        return await self._threads.run(lambda: self._argon2.hash(self._prehash(password)))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether a password belongs to a stored hash; None takes the same time and matches nothing.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when too many calls wait already.
        """
        return await self._threads.run(lambda: self._check(self._prehash(password), stored))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than new ones."""
        return self._argon2.check_needs_rehash(stored)

    def close(self) -> None:
        """Lets running calls end and takes no more."""
        self._threads.close()

    def _check(self, digest: bytes, stored: str | None) -> bool:
        if not self._dummy:
            self._dummy = self._argon2.hash(b"nobody")
        try:
            self._argon2.verify(stored if stored is not None else self._dummy, digest)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def _prehash(self, password: str) -> bytes:
        # One spelling of what a keyboard may compose in several ways; and the database alone is of no use to guess with.
        normal = unicodedata.normalize("NFKC", password).encode()
        return base64.b64encode(hmac.digest(self._pepper, normal, hashlib.sha256))


def check_password(password: str, email: str, field: str = "password") -> None:
    """Lets a new password pass.

    Raises:
        BabySeaError: INVALID_INPUT naming the field for one that is too short, too long, common, or the own e-mail.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise invalid(field, f"{field} must have {SHORTEST} to {LONGEST} characters.")
    plain = unicodedata.normalize("NFKC", password).casefold()
    if plain in (email, email.partition("@")[0]):
        raise invalid(field, f"{field} must not be the e-mail address.")
    if plain in _common() or len(set(plain)) < _FEWEST_DIFFERENT:
        raise invalid(field, f"{field} is one of the first that anybody would try; choose another one.")


@cache
def _common() -> frozenset[str]:
    return frozenset(_COMMON.read_text().split())
