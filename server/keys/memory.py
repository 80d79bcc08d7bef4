"""Small things that verification remembers in this process: values for a time, and work already on its way."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from kit.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TimedCache(Generic[K, V]):
    """Remembers values for some seconds, at most so many; the least recently used is forgotten first."""

    def __init__(self, clock: Clock, seconds: float, size: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._size = size
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> tuple[V] | None:
        """The value in a tuple of its own, so that a remembered None differs from nothing remembered."""
        found = self._values.get(key)
        if found is None:
            return None
        until, value = found
        if self._now() >= until:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return (value,)

    def put(self, key: K, value: V) -> None:
        """Remembers a value from now on."""
        self._values[key] = (self._now() + self._seconds, value)
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        """Forgets a value, if there is one."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Forgets everything."""
        self._values.clear()

    def _now(self) -> float:
        return self._clock.now().timestamp()


class SingleFlight(Generic[K, V]):
    """Does work once for everyone who asks for the same at the same time."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the work that is on its way, or of `work` begun now; an error goes to everyone.

        A caller who leaves does not stop the work for the others.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(work())
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: K, flight: asyncio.Task[V]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled():
            # Looked at here, because everyone who waited may have left.
            flight.exception()
