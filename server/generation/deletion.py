"""Deleting: gone for the customer with the commit; the bytes follow, and survive no crash."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.generation import store
from server.generation.storage import OutputStore, StorageError
from server.runtime.fault_points import Point, reach
from server.runtime.repeating import Repeating

_IDLE_SECONDS = 1.0
_BATCH = 20
_LEASE_SECONDS = 60.0
"""Time for one batch; a removal that was not noted by then is begun again."""
_AGAIN_SECONDS = 900.0
"""Longer than the longest upload: a worker that lost its lease may end one after the store was cleared."""
_log = logging.getLogger(__name__)


class Deletion:
    """Deletes generations."""

    def __init__(self, admitter: AsyncEngine) -> None:
        self._admitter = admitter

    async def delete(self, account_id: UUID, generation_id: UUID) -> int:
        """Deletes a generation, after canceling it if it had not ended; the number of files that went with it.

        Raises:
            BabySeaError: GENERATION_NOT_FOUND, also for one that was deleted before.
        """
        # Shielded: a caller that hangs up must not cut the connection in the middle of the commit.
        word, files = await asyncio.shield(store.delete(self._admitter, account_id, generation_id))
        if word != "deleted":
            raise BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_FOUND)
        reach(Point.DELETE_COMMITTED)
        return files


class FileRemoval(Repeating):
    """Removes the files of deleted generations; a context manager around the worker's run.

    The queue is a table that the delete's own transaction writes, so no crash leaves a file behind.
    """

    def __init__(
        self, engine: AsyncEngine, outputs: OutputStore, *, again_seconds: float = _AGAIN_SECONDS
    ) -> None:
        """Takes the workers' engine and the store; `again_seconds` is the time between the two clearings."""
        super().__init__(
            "file removal", _IDLE_SECONDS, trouble="files of deleted generations could not be removed yet"
        )
        self._engine = engine
        self._outputs = outputs
        self._again_seconds = again_seconds

    async def once(self) -> float | None:
        """Clears a batch; what was begun and not noted is begun again by another worker."""
        return 0 if await self.work() == _BATCH else None

    async def work(self) -> int:
        """Clears the store of what is due; how many generations that were.

        A generation whose files could not be removed stays due, and spoils no other.
        """
        due = await store.take_removals(self._engine, _BATCH, _LEASE_SECONDS)
        for removal in due:
            reach(Point.REMOVAL_TAKEN)
            try:
                await self._outputs.clear(removal.account_id, removal.generation_id)
            except StorageError:
                _log.warning("files of a deleted generation could not be removed yet")
                continue
            reach(Point.REMOVAL_CLEARED)
            await store.note_removed(self._engine, removal.generation_id, self._again_seconds)
        return len(due)
