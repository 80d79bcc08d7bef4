"""Names of hosts that others choose, looked up so that one that nobody answers for holds up nothing but itself.

The event loop looks names up in a few threads that it has for everything, and a lookup that a name server leaves without
an answer keeps its thread for ten seconds and more. Some names of one customer would stop every lookup of the process. So
each use has threads of its own, as many as it may have lookups, and whoever asks for a customer has only a part of them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Thread

AT_ONCE = 64
"""Lookups of a resolver at a time, those included that nobody waits for any more."""
SHARE = 16
"""How many of them may be one asker's."""
_SECONDS = 10.0
"""Time for a lookup, from waiting for a thread on: a system's resolver asks once more after five seconds."""
_asker: ContextVar[object] = ContextVar("babysea_asker", default=None)


@contextmanager
def asking_for(asker: object) -> Iterator[None]:
    """Names looked up inside, or in tasks made inside, count against this asker's share."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)


class Resolver:
    """Looks names up, each in a thread of its own; one for each use of a process."""

    def __init__(self, *, at_once: int = AT_ONCE, share: int = SHARE, seconds: float = _SECONDS) -> None:
        """Takes how many lookups may go on, how many of them for one asker, and the time for one."""
        self._at_once = at_once
        self._share = share
        self._seconds = seconds
        self._going: Counter[object] = Counter()
        self._freed = asyncio.Event()

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host, as the system's resolver orders them.

        Raises:
            OSError: it has none, or they could not be found out in time.
        """
        if _is_address(host):
            return (host,)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._looked_up(host, port, _asker.get())
        except (TimeoutError, UnicodeError):
            raise OSError("the host's name cannot be resolved now") from None

    async def _looked_up(self, host: str, port: int, asker: object) -> tuple[str, ...]:
        while self._is_full(asker):
            await self._freed.wait()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

        def look_up() -> None:
            found: tuple[str, ...] | Exception
            try:
                entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found = tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))
            except Exception as error:  # noqa: BLE001 - whoever waits gets it
                found = error
            # The loop may have ended long ago.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._ended, asker, answer, found)

        # Not of a pool: whose threads a process waits for at its end, however long the name servers take.
        try:
            Thread(target=look_up, name="name", daemon=True).start()
        except RuntimeError:
            raise OSError("no thread can be had to look a name up") from None
        self._going[asker] += 1
        return await answer

    def _is_full(self, asker: object) -> bool:
        own = self._share if asker is not None else self._at_once
        return self._going.total() >= self._at_once or self._going[asker] >= own

    def _ended(
        self, asker: object, answer: asyncio.Future[tuple[str, ...]], found: tuple[str, ...] | Exception
    ) -> None:
        self._going[asker] -= 1
        if not self._going[asker]:
            del self._going[asker]
        self._freed.set()
        self._freed = asyncio.Event()
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
