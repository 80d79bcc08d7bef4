"""Canceling: final for the customer at once; the provider is told by a worker as best it can be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_pb2
from kit.errors import BabySeaError
from server.generation import store
from server.generation.reading import Reading
from server.runtime.database import tenant_transaction
from server.runtime.fault_points import Point, reach

_TELLING_SECONDS = 1.5
"""How long the answer waits to learn whether a cancel call reached the provider."""
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Canceled:
    """What a cancel did."""

    generation: generation_pb2.Generation
    provider_cancel_sent: bool


class Cancellation:
    """Cancels generations."""

    def __init__(self, admitter: AsyncEngine, app: AsyncEngine, reading: Reading) -> None:
        self._admitter = admitter
        self._app = app
        self._reading = reading
        self._canceling: set[asyncio.Future[tuple[str, bool]]] = set()

    async def close(self) -> None:
        """Waits for cancels whose callers have hung up."""
        if self._canceling:
            await asyncio.wait(self._canceling)

    async def cancel(self, account_id: UUID, generation_id: UUID) -> Canceled:
        """Ends a pending or processing generation and releases its hold in one transaction.

        Only workers hold provider credentials, so a worker sends the cancel; the answer waits a moment for it.

        Raises:
            BabySeaError: GENERATION_NOT_FOUND, or GENERATION_NOT_CANCELABLE when it has ended.
        """
        # Shielded: a caller that hangs up must not cut the connection in the middle of the commit.
        canceling = asyncio.ensure_future(store.cancel(self._admitter, account_id, generation_id))
        self._canceling.add(canceling)
        canceling.add_done_callback(self._canceling.discard)
        word, running = await asyncio.shield(canceling)
        if word == "unknown":
            raise BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_FOUND)
        if word != "canceled":
            await self._reading.get(
                account_id, generation_id
            )  # a deleted one is as absent as one that never was
            raise BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_CANCELABLE)
        reach(Point.CANCEL_COMMITTED)
        sent = await self._told(account_id, generation_id) if running else False
        record = await self._reading.get(account_id, generation_id)
        return Canceled(record.generation, sent)

    async def _told(self, account_id: UUID, generation_id: UUID) -> bool:
        end = asyncio.get_running_loop().time() + _TELLING_SECONDS
        while True:
            async with tenant_transaction(self._app, account_id) as connection:
                attempts = await store.attempts(connection, [generation_id])
            if any(attempt.cancel_sent_at is not None for attempt in attempts):
                return True
            open_attempts = any(attempt.resolved_at is None for attempt in attempts)
            if not open_attempts or asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
