"""Hearing of changes to keys: notifications at once, and a counter that shows whether one was missed.

A remembered state may be used only while the counter was read lately. So a revocation reaches this process within
TRUST_SECONDS whatever is lost: the notification, the connection, or the whole network path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from server.runtime.database import asyncpg_url

CHANNEL = "babysea_keys"
"""Where the database says "<counter> key:<public id>" or "<counter> account:<id>"."""

TRUST_SECONDS = 0.8
"""How long after a look at the counter remembered states may be used; the rest of the second is for what is on its way."""

POLL_SECONDS = 0.3
"""Time between two looks at the counter."""

APPLICATION = "babysea-keys"
"""Name of the connection in pg_stat_activity."""

_PATIENCE_SECONDS = 2.0
_RETRY_SECONDS = 0.2
_CHANGES = "select keys.changes()"

_log = logging.getLogger("babysea.keys")


class Remembers(Protocol):
    """Whoever remembers states of keys."""

    def forget(self, public_id: str) -> None:
        """Forgets one key."""
        ...

    def forget_account(self, account_id: UUID) -> None:
        """Forgets the keys of an account."""
        ...

    def forget_all(self) -> None:
        """Forgets every key."""
        ...


class KeyWatch:
    """Listens on a connection of its own, and comes back when it breaks."""

    def __init__(
        self, database_url: str, memory: Remembers, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Takes the database to listen to, who is to forget, and a clock that never jumps, in seconds."""
        # Not from the pool: it stays checked out for ever, and must not wait behind busy callers.
        self._engine: AsyncEngine = create_async_engine(
            asyncpg_url(database_url),
            hide_parameters=True,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "timeout": 1.0,
                "command_timeout": _PATIENCE_SECONDS,
                "server_settings": {"application_name": APPLICATION},
            },
        )
        self._memory = memory
        self._monotonic = monotonic
        self._confirmed_at: float | None = None
        self._changes: int | None = None
        self._broken = asyncio.Event()
        self._is_heard: bool | None = None
        """What was last said to the log; None when nothing was."""
        self._listening: asyncio.Task[None] | None = None

    def is_current(self) -> bool:
        """Whether every change up to TRUST_SECONDS ago is known here."""
        return self._confirmed_at is not None and self._monotonic() - self._confirmed_at < TRUST_SECONDS

    def start(self) -> None:
        """Begins to listen, in the background."""
        self._listening = asyncio.create_task(self._keep_listening())

    async def close(self) -> None:
        """Stops listening; nothing is current any more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        self._confirmed_at = None
        await self._engine.dispose()

    async def _keep_listening(self) -> None:
        while True:
            error = await self._listen_once()
            if self._is_heard is not False:
                _log.warning("changes to keys are not heard", extra={"facts": {"error": error}})
            self._is_heard = False
            self._confirmed_at = None
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen_once(self) -> str:
        """Listens until the connection is lost; the kind of failure that ended it."""
        try:
            # No spans: they would be traces of their own, three a second for ever.
            with suppress_instrumentation():
                await self._listen()
        except Exception as error:  # noqa: BLE001  whatever it is, we come back
            return type(error).__name__
        return "ConnectionLost"

    async def _listen(self) -> None:
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            self._broken.clear()
            # It may lead to another server than the last one did, with a counter that happens to read the same.
            self._changes = None
            driver.add_termination_listener(self._lost)
            await driver.add_listener(CHANNEL, self._heard)
            try:
                await self._poll(driver)
            finally:
                # It holds a subscription, so nobody else may ever get it.
                driver.terminate()
                await connection.invalidate()

    async def _poll(self, driver: asyncpg.Connection) -> None:
        while not self._broken.is_set():
            asked_at = self._monotonic()
            self._learn(int(await driver.fetchval(_CHANGES, timeout=_PATIENCE_SECONDS)))
            self._confirmed_at = asked_at
            if not self._is_heard:
                _log.info("changes to keys are heard")
                self._is_heard = True
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._broken.wait()
            except TimeoutError:
                continue

    def _learn(self, changes: int) -> None:
        # A change was not heard of, or has not been yet: nobody knows which key it was.
        if changes != self._changes:
            self._memory.forget_all()
        self._changes = changes

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        number, _, what = str(payload).partition(" ")
        kind, _, name = what.partition(":")
        if kind == "key":
            self._memory.forget(name)
        elif kind == "account":
            self._memory.forget_account(UUID(name))
        # The one after the last known needs no look at the others; anything else shows at the next look at the counter.
        if self._changes is not None and int(number) == self._changes + 1:
            self._changes += 1

    def _lost(self, connection: object) -> None:
        self._confirmed_at = None
        self._broken.set()
