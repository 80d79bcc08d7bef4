"""Present states of keys: remembered while this process hears of changes, read at every use while it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from kit.clock import Clock
from server.keys import store
from server.keys.memory import SingleFlight, TimedCache
from server.keys.store import KeyState
from server.runtime.identity import KeyHolder

STATE_SECONDS = 60.0
"""How long a state may be remembered even though nobody said that it changed."""

_REMEMBERED_KEYS = 50_000
_SHARED_SECONDS = 0.5


class KeyStates:
    """States of keys for one process."""

    def __init__(
        self, engine: AsyncEngine, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._states: TimedCache[str, KeyState | None] = TimedCache(clock, STATE_SECONDS, _REMEMBERED_KEYS)
        self._of_account: dict[UUID, set[str]] = {}
        self._reading: SingleFlight[tuple[str, int, int], KeyState | None] = SingleFlight()
        self._version = 0
        """Raised with everything that is forgotten: a read that began before may have seen what was before."""

    async def get(self, public_id: str, *, may_remember: bool) -> KeyState | None:
        """The state of a key; None when there is no key with this id.

        Args:
            public_id: its public id.
            may_remember: whether changes are heard of; else the state is read now.

        Raises:
            Exception: the database is away; what is remembered is never taken instead.
        """
        remembered = self._states.get(public_id) if may_remember else None
        if remembered is not None:
            return remembered[0]
        version = self._version
        # A read is shared with those who ask soon after it began only: one that hangs must not speak for later callers.
        flight = (public_id, version, int(self._monotonic() / _SHARED_SECONDS))
        return await self._reading.run(flight, lambda: self._read(public_id, version))

    def forget(self, public_id: str) -> None:
        """Forgets one key."""
        self._version += 1
        self._states.forget(public_id)

    def forget_account(self, account_id: UUID) -> None:
        """Forgets the keys of an account."""
        self._version += 1
        for public_id in self._of_account.pop(account_id, ()):
            self._states.forget(public_id)

    def forget_all(self) -> None:
        """Forgets every key."""
        self._version += 1
        self._states.clear()
        self._of_account.clear()

    async def _read(self, public_id: str, version: int) -> KeyState | None:
        state = await store.find_key(self._engine, public_id)
        if version == self._version:
            self._remember(public_id, state)
        return state

    def _remember(self, public_id: str, state: KeyState | None) -> None:
        if len(self._of_account) > _REMEMBERED_KEYS:
            # The index outlives what leaves the cache by age; now and then both begin anew.
            self.forget_all()
        self._states.put(public_id, state)
        if state is not None:
            self._of_account.setdefault(state.account_id, set()).add(public_id)


def holder_of(state: KeyState) -> KeyHolder:
    """Who holds a key in this state."""
    return KeyHolder(
        account_id=state.account_id,
        key_id=state.id,
        scopes=state.scopes,
        allowlist=state.allowlist,
        plan=state.plan,
        requests_per_minute=state.requests_per_minute,
        restricted=state.restricted,
    )
