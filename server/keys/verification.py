"""Verifying a key: who holds it, decided on its secret first and then on its present state.

bcrypt runs at the first sight of a key only. That a digest of the whole key matches a stored hash never changes, so it
is remembered for hours. Whether the key still works is remembered only while this process hears of changes; while the
database is away nobody is verified, and nobody is called wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError
from kit.settings import REGIONS
from server.keys import lifecycle
from server.keys.guesses import Guesses
from server.keys.hashing import KeyHasher
from server.keys.memory import SingleFlight, TimedCache
from server.keys.secrets import KeyText, parse_key
from server.keys.states import KeyStates, holder_of
from server.keys.store import KeyState
from server.keys.usage import KeyUsage
from server.keys.watch import KeyWatch
from server.runtime.identity import KeyHolder

MATCH_SECONDS = 6 * 3600.0
"""How long it is remembered that a digest matches a hash."""

REJECTION_SECONDS = 10.0
"""How long a wrong key is refused without another look."""

_REMEMBERED_KEYS = 50_000


class KeyVerifier:
    """Verifies keys for one process."""

    def __init__(
        self, engine: AsyncEngine, hasher: KeyHasher, region: str, clock: Clock, database_url: str
    ) -> None:
        """Takes the request path's connections, and the URL of the same database for one to listen on."""
        self._hasher = hasher
        self._region = region
        self._clock = clock
        # Digests with a key that lives and dies with the process: its memory holds no text of a customer's key.
        self._digest_key = os.urandom(32)
        self._states = KeyStates(engine, clock)
        self._watch = KeyWatch(database_url, self._states)
        self._matches: TimedCache[bytes, str] = TimedCache(clock, MATCH_SECONDS, _REMEMBERED_KEYS)
        self._rejected: TimedCache[bytes, bool] = TimedCache(clock, REJECTION_SECONDS, _REMEMBERED_KEYS)
        self._guesses = Guesses(clock)
        self._checking: SingleFlight[bytes, bool] = SingleFlight()
        self._usage = KeyUsage(engine, clock)

    def start(self) -> None:
        """Begins to listen for changes; until it is called, and until it hears, every state is read at every use."""
        self._watch.start()

    async def verify(self, secret: str) -> KeyHolder:
        """Who holds a key; its use is noted.

        Raises:
            BabySeaError: AUTHENTICATION_FAILED for text that is no key, a key of another region (named in
                details.region), an unknown one, a wrong secret, an expired or a revoked key; AUTH_RATE_LIMITED when too
                many wrong keys had this id; SERVICE_UNAVAILABLE when too many keys are being checked.
            Exception: the database is away.
        """
        key = parse_key(secret)
        if key is None:
            raise _refused()
        if key.region != self._region:
            raise _refused(details={"region": key.region} if key.region in REGIONS else None)
        state = await self._proven_state(key, self._digest(secret))
        self._check_lifecycle(state)
        self._usage.note(state.id)
        return holder_of(state)

    def forget(self, public_id: str) -> None:
        """Reads a key's state anew at its next use; for changes made by this process."""
        self._states.forget(public_id)

    async def close(self) -> None:
        """Writes what is left to write, and ends the listening and the threads."""
        await self._watch.close()
        await self._usage.close()
        self._hasher.close()

    async def _proven_state(self, key: KeyText, digest: bytes) -> KeyState:
        """The state of a key whose secret is right; an unknown id is refused exactly like a wrong secret."""
        # Also for a key that was wrong a moment ago: an answer without the database would be a guess.
        state = await self._states.get(key.public_id, may_remember=self._watch.is_current())
        if self._rejected.get(digest) is not None:
            raise _refused()
        if not await self._is_right(key, digest, state) or state is None:
            self._rejected.put(digest, True)
            raise _refused()
        return state

    async def _is_right(self, key: KeyText, digest: bytes, state: KeyState | None) -> bool:
        stored = None if state is None else state.hash
        known = self._matches.get(digest)
        if known is not None and stored is not None and known[0] == stored:
            return True
        return await self._checking.run(digest, lambda: self._check(key, digest, stored))

    async def _check(self, key: KeyText, digest: bytes, stored: str | None) -> bool:
        self._guesses.take(key.public_id)
        wrong = False
        try:
            right = await self._hasher.matches(key.secret, stored)
            wrong = not right
        finally:
            if not wrong:
                self._guesses.give_back(key.public_id)
        # Remembered before the flight lands, so that nobody who comes next runs bcrypt again.
        if right and stored is not None:
            self._matches.put(digest, stored)
        return right

    def _check_lifecycle(self, state: KeyState) -> None:
        # Said only to somebody who has the right secret.
        sentence = lifecycle.refusal(state, self._clock.now())
        if sentence is not None:
            raise _refused(sentence)

    def _digest(self, secret: str) -> bytes:
        return hmac.digest(self._digest_key, secret.encode(), hashlib.sha256)


def _refused(message: str | None = None, details: Mapping[str, str] | None = None) -> BabySeaError:
    return BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED, message, details=details)
