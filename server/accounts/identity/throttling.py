"""Throttling: attempts and budgets that all processes of the region count together, by keyed hashes."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError
from server.accounts.identity.addresses import network_of
from server.runtime.database import statement
from server.runtime.encryption import Envelope

FREE_ATTEMPTS = 5
"""Failures in a row that cost no wait."""

FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=15)
"""The wait after the last free failure; it doubles with each further one, up to the longest."""

_FORGET = timedelta(days=1)
_WINDOW = timedelta(hours=1)
_LETTERS_PER_ADDRESSEE = 5
_ASKS_PER_NETWORK = 60

_ATTEMPT = text(
    "select accounts.take_attempt(cast(:key as bytea), cast(:now as timestamptz), cast(:free as int),"
    " cast(:first as interval), cast(:longest as interval), cast(:forget as interval))"
)
_CLEAR = text("select accounts.clear_attempts(cast(:key as bytea))")
_BUDGET = text(
    "select accounts.take_budget(cast(:key as bytea), cast(:now as timestamptz), cast(:limit as int),"
    " cast(:window as interval))"
)


class Throttle:
    """Counts before the work is done, so that a hundred at once are no cheaper than a hundred in a row."""

    def __init__(self, engine: AsyncEngine, envelope: Envelope, clock: Clock) -> None:
        self._engine = engine
        self._envelope = envelope
        self._clock = clock

    async def take(self, kind: str, subject: bytes) -> None:
        """Counts an attempt that is about to be made, for whatever the subject stands for.

        Raises:
            BabySeaError: AUTH_RATE_LIMITED with the seconds to wait, also where the attempt would have succeeded.
        """
        values = {
            "key": self._key(kind, subject),
            "now": self._clock.now(),
            "free": FREE_ATTEMPTS,
            "first": FIRST_WAIT,
            "longest": LONGEST_WAIT,
            "forget": _FORGET,
        }
        async with statement(self._engine) as connection:
            wait = int((await connection.execute(_ATTEMPT, values)).scalar_one())
        if wait:
            raise _too_many(wait)

    async def clear(self, connection: AsyncConnection, kind: str, subject: bytes) -> None:
        """Forgets the attempts at something that has succeeded."""
        await connection.execute(_CLEAR, {"key": self._key(kind, subject)})

    async def take_ask(self, address: str) -> None:
        """Counts a request that makes us write a letter, by the network it comes from.

        Raises:
            BabySeaError: AUTH_RATE_LIMITED after 60 in an hour.
        """
        async with statement(self._engine) as connection:
            wait = await self._budget(connection, "asks", network_of(address).encode(), _ASKS_PER_NETWORK)
        if wait:
            raise _too_many(wait)

    async def may_write(self, connection: AsyncConnection, kind: str, email_hash: bytes) -> bool:
        """Whether an address may get another letter of a kind in this hour; taken in the caller's transaction."""
        return not await self._budget(connection, f"letters.{kind}", email_hash, _LETTERS_PER_ADDRESSEE)

    async def _budget(self, connection: AsyncConnection, kind: str, subject: bytes, limit: int) -> int:
        values = {
            "key": self._key(kind, subject),
            "now": self._clock.now(),
            "limit": limit,
            "window": _WINDOW,
        }
        return int((await connection.execute(_BUDGET, values)).scalar_one())

    def _key(self, kind: str, subject: bytes) -> bytes:
        return self._envelope.keyed_hash(f"attempt.{kind}", subject)


def _too_many(wait: int) -> BabySeaError:
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTH_RATE_LIMITED,
        "Too many attempts. Please retry after the period indicated in the Retry-After header.",
        details={"retry_after_seconds": str(wait)},
    )
