"""Verifying a key: who holds it, decided on its secret first and then on its present state.

bcrypt runs at the first sight of a key only. That a digest of the whole key matches a stored hash never changes, so it
is remembered for hours; whether the key still works is read again every few seconds.
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
from server.keys import store
from server.keys.hashing import KeyHasher
from server.keys.memory import SingleFlight, TimedCache
from server.keys.secrets import KeyText, parse_key
from server.keys.store import KeyState
from server.keys.usage import KeyUsage
from server.runtime.identity import KeyHolder

STATE_SECONDS = 5.0
"""How old a key's state may be; a revocation elsewhere is seen within this time."""

MATCH_SECONDS = 6 * 3600.0
"""How long it is remembered that a digest matches a hash."""

REJECTION_SECONDS = 10.0
"""How long a wrong key is refused without another look."""

_REMEMBERED_KEYS = 50_000


class KeyVerifier:
    """Verifies keys for one process."""

    def __init__(self, engine: AsyncEngine, hasher: KeyHasher, region: str, clock: Clock) -> None:
        self._engine = engine
        self._hasher = hasher
        self._region = region
        self._clock = clock
        # Digests with a key that lives and dies with the process: its memory holds no text of a customer's key.
        self._digest_key = os.urandom(32)
        self._states: TimedCache[str, KeyState | None] = TimedCache(clock, STATE_SECONDS, _REMEMBERED_KEYS)
        self._matches: TimedCache[bytes, str] = TimedCache(clock, MATCH_SECONDS, _REMEMBERED_KEYS)
        self._rejected: TimedCache[bytes, bool] = TimedCache(clock, REJECTION_SECONDS, _REMEMBERED_KEYS)
        self._reading: SingleFlight[str, KeyState | None] = SingleFlight()
        self._checking: SingleFlight[bytes, bool] = SingleFlight()
        self._usage = KeyUsage(engine, clock)

    async def verify(self, secret: str) -> KeyHolder:
        """Who holds a key; its use is noted.

        Raises:
            BabySeaError: AUTHENTICATION_FAILED for text that is no key, a key of another region (named in
                details.region), an unknown one, a wrong secret, an expired or a revoked key; SERVICE_UNAVAILABLE when
                too many keys are being checked.
        """
        key = parse_key(secret)
        if key is None:
            raise _refused()
        if key.region != self._region:
            raise _refused(details={"region": key.region} if key.region in REGIONS else None)
        state = await self._proven_state(key, self._digest(secret))
        self._check_lifecycle(state)
        self._usage.note(state.id)
        return KeyHolder(
            account_id=state.account_id,
            key_id=state.id,
            scopes=state.scopes,
            allowlist=state.allowlist,
            plan=state.plan,
            requests_per_minute=state.requests_per_minute,
            restricted=state.restricted,
        )

    def forget(self, public_id: str) -> None:
        """Reads a key's state anew at its next use; for changes made by this process."""
        self._states.forget(public_id)

    async def close(self) -> None:
        """Writes what is left to write and ends the threads."""
        await self._usage.close()
        self._hasher.close()

    async def _proven_state(self, key: KeyText, digest: bytes) -> KeyState:
        """The state of a key whose secret is right; an unknown id is refused exactly like a wrong secret."""
        if self._rejected.get(digest) is not None:
            raise _refused()
        state = await self._state(key.public_id)
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
        right = await self._hasher.matches(key.secret, stored)
        # Remembered before the flight lands, so that nobody who comes next runs bcrypt again.
        if right and stored is not None:
            self._matches.put(digest, stored)
        return right

    async def _state(self, public_id: str) -> KeyState | None:
        remembered = self._states.get(public_id)
        if remembered is not None:
            return remembered[0]
        return await self._reading.run(public_id, lambda: self._read(public_id))

    async def _read(self, public_id: str) -> KeyState | None:
        state = await store.find_key(self._engine, public_id)
        self._states.put(public_id, state)
        return state

    def _check_lifecycle(self, state: KeyState) -> None:
        # Said only to somebody who has the right secret.
        if state.revoked_at is not None:
            raise _refused("The API key was revoked.")
        if state.expires_at is not None and state.expires_at <= self._clock.now():
            raise _refused("The API key has expired.")

    def _digest(self, secret: str) -> bytes:
        return hmac.digest(self._digest_key, secret.encode(), hashlib.sha256)


def _refused(message: str | None = None, details: Mapping[str, str] | None = None) -> BabySeaError:
    return BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED, message, details=details)
