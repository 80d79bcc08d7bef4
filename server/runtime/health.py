"""Health: SERVING while the database answers, looked at every other second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.runtime.database import asyncpg_url

CHECK_SECONDS = 2.0
"""Time between two looks at the database."""

ACCEPTING = "babysea.accepting"
"""Health service by which our clients balance: SERVING from start to drain, whatever the database does meanwhile."""

_PATIENCE_SECONDS = 1.5
_PING = text("select 1")

_log = logging.getLogger("babysea.health")


class HealthMonitor:
    """Keeps the health of the server as a whole ("") and of each of its services."""

    def __init__(
        self, database_url: str, services: Iterable[str], check_seconds: float = CHECK_SECONDS
    ) -> None:
        """Takes the database to look at, over a connection of its own, and the full names of the services."""
        # Not from the pool: a pool that is merely busy must not look like a database that is gone.
        self._engine: AsyncEngine = create_async_engine(
            asyncpg_url(database_url),
            hide_parameters=True,
            pool_size=1,
            max_overflow=0,
            connect_args={"timeout": 1.0},
        )
        self._names = ("", *services)
        self._check_seconds = check_seconds
        self._watch: asyncio.Task[None] | None = None
        self.servicer = health.HealthServicer()
        self.serving = False
        """What was last found."""

    async def start(self) -> None:
        """Looks once, then goes on looking in the background."""
        await self.look()
        await self.servicer.set(ACCEPTING, health_pb2.HealthCheckResponse.SERVING)
        self._watch = asyncio.create_task(self._keep_looking())

    async def look(self) -> bool:
        """Looks at the database now, and says so to everyone who asks after our health."""
        serving = await self._answers()
        if serving != self.serving:
            _log.info("health changed", extra={"facts": {"serving": serving}})
        self.serving = serving
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in self._names:
            await self.servicer.set(name, status)
        return serving

    async def drain(self) -> None:
        """Says NOT_SERVING from now on, whatever the database does."""
        await self._stop_looking()
        self.serving = False
        await self.servicer.enter_graceful_shutdown()

    async def close(self) -> None:
        """Stops looking and closes the connection."""
        await self._stop_looking()
        await self._engine.dispose()

    async def _stop_looking(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._check_seconds)
            await self.look()

    async def _answers(self) -> bool:
        try:
            # No spans: they would be traces of their own, one every two seconds for ever.
            with suppress_instrumentation():
                async with asyncio.timeout(_PATIENCE_SECONDS), self._engine.connect() as connection:
                    await connection.execute(_PING)
        except Exception:  # noqa: BLE001  whatever it is, the database did not answer
            return False
        return True
