"""Keys that a provider signs its reports with, kept for a day.

A signature that none of them made has them fetched again, because they may have been changed, but not often, because
whoever sends nonsense must not make us call the provider with every piece of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from kit.clock import Clock
from server.providers import faults
from server.providers.protocol import ProviderUnreachable

_KEYS_LIFE = timedelta(hours=24)
_LEAST_BETWEEN_FETCHES = timedelta(minutes=1)


class KeyRing:
    """A provider's keys, fetched when they are first needed."""

    def __init__(self, name: str, fetch: Callable[[], Awaitable[tuple[bytes, ...]]], clock: Clock) -> None:
        self._name = name
        self._fetch = fetch
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: tuple[bytes, ...] = ()
        self._fetched: datetime | None = None
        self._tried: datetime | None = None

    async def any_fits(self, fits: Callable[[bytes], bool]) -> bool:
        """Whether one of the keys fits.

        Raises:
            ProviderUnreachable: there are no keys, and none can be had now.
        """
        known = await self._current()
        if any(fits(key) for key in known):
            return True
        renewed = await self._renewed(known)
        return renewed != known and any(fits(key) for key in renewed)

    async def _current(self) -> tuple[bytes, ...]:
        if self._is_fresh():
            return self._keys
        async with self._lock:
            if not self._is_fresh():
                await self._load()
            return self._keys

    async def _renewed(self, known: tuple[bytes, ...]) -> tuple[bytes, ...]:
        async with self._lock:
            if self._keys == known and not self._tried_lately():
                await self._load()
            return self._keys

    async def _load(self) -> None:
        if self._tried_lately():
            raise ProviderUnreachable(faults.unavailable(self._name))
        self._tried = self._clock.now()
        self._keys = await self._fetch()
        self._fetched = self._tried

    def _is_fresh(self) -> bool:
        return self._fetched is not None and self._clock.now() - self._fetched < _KEYS_LIFE

    def _tried_lately(self) -> bool:
        return self._tried is not None and self._clock.now() - self._tried < _LEAST_BETWEEN_FETCHES
