"""Loading a claimed generation: its row, its attempts and its opened request."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from server.catalog import Catalog
from server.generation.execution import store
from server.generation.execution.work import Work, work_of
from server.generation.records import REQUEST_PURPOSE
from server.generation.request import GenerationRequest
from server.runtime.encryption import Envelope
from server.runtime.leases import Job


class Loading:
    """Reads what a worker must know."""

    def __init__(self, engine: AsyncEngine, envelope: Envelope, catalog: Catalog) -> None:
        self._engine = engine
        self._envelope = envelope
        self._catalog = catalog

    async def load(self, job: Job) -> Work | None:
        """The work on a claimed generation; None when the generation does not exist.

        Raises:
            DecryptionError: its data key was destroyed.
        """
        found = await self.bare(job)
        if found is None:
            return None
        row, attempts = found
        plaintext = await self._envelope.open(row.account_id, REQUEST_PURPOSE, row.id, row.request_ct)
        return work_of(
            job, row, attempts, self._catalog.model(row.model), GenerationRequest.from_json(plaintext)
        )

    async def bare(self, job: Job) -> tuple[Row[Any], list[Row[Any]]] | None:
        """The stored rows of a claimed generation, without opening its request; None when there are none."""
        return await store.load(self._engine, job.id)

    async def reload(self, work: Work) -> Work:
        """The same work as it stands now."""
        fresh = await self.load(work.job)
        if fresh is None:
            raise store.JobLost
        return fresh
