"""Leases: one per worker process, and a fencing token per job.

A job that waits for a provider is given back with a time, so thousands in flight cost no heartbeats. Every write of a
worker carries its job's token; a worker that was silent for too long has lost its tokens and can no longer write.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.runtime.database import statement

_HEARTBEAT = text(
    "select runtime.heartbeat(cast(:worker as uuid), make_interval(secs => cast(:lease as double precision)), cast(:new as boolean))"
)
_RECLAIM = text("select runtime.reclaim()")
_CLAIM = text("select id, token, attempt from runtime.claim(cast(:worker as uuid), cast(:limit as int))")
_GIVE_BACK = text(
    "select runtime.give_back(cast(:id as uuid), cast(:token as bigint), make_interval(secs => cast(:pause as double precision)))"
)
_FINISH = text("select runtime.finish(cast(:id as uuid), cast(:token as bigint))")
_RELEASE_EXCEPT = text("select runtime.release_except(cast(:worker as uuid), cast(:live as uuid[]))")
_LEAVE = text("select runtime.leave(cast(:worker as uuid))")


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job."""

    id: UUID
    """The generation's id."""
    token: int
    """Fencing token; every write carries it."""
    attempt: int
    """How often the job was claimed, this time included."""


async def heartbeat(engine: AsyncEngine, worker: UUID, lease_seconds: float, *, new: bool = False) -> bool:
    """Extends the worker's lease; False when it had run out, and the worker's jobs with it."""
    # What a worker does for no request in particular would drown the traces of those that it works for.
    with suppress_instrumentation():
        async with statement(engine) as connection:
            values = {"worker": worker, "lease": lease_seconds, "new": new}
            return bool((await connection.execute(_HEARTBEAT, values)).scalar_one())


async def reclaim(engine: AsyncEngine) -> int:
    """Frees the jobs of workers that have gone silent; returns how many."""
    with suppress_instrumentation():
        async with statement(engine) as connection:
            return int((await connection.execute(_RECLAIM)).scalar_one())


async def claim(engine: AsyncEngine, worker: UUID, limit: int) -> list[Job]:
    """Takes up to `limit` due jobs."""
    with suppress_instrumentation():
        async with statement(engine) as connection:
            rows = await connection.execute(_CLAIM, {"worker": worker, "limit": limit})
            return [Job(row.id, row.token, row.attempt) for row in rows]


async def give_back(engine: AsyncEngine, job: Job, pause: float) -> bool:
    """Frees the job for so many seconds; False when it is no longer ours."""
    async with statement(engine) as connection:
        values = {"id": job.id, "token": job.token, "pause": pause}
        return bool((await connection.execute(_GIVE_BACK, values)).scalar_one())


async def finish(engine: AsyncEngine, job: Job) -> bool:
    """Ends the job; False when it is no longer ours."""
    async with statement(engine) as connection:
        return bool((await connection.execute(_FINISH, {"id": job.id, "token": job.token})).scalar_one())


async def release_except(engine: AsyncEngine, worker: UUID, live: Collection[UUID]) -> int:
    """Frees the jobs that a worker holds without working on them: the answer to its claim was lost."""
    with suppress_instrumentation():
        async with statement(engine) as connection:
            values = {"worker": worker, "live": list(live)}
            return int((await connection.execute(_RELEASE_EXCEPT, values)).scalar_one())


async def leave(engine: AsyncEngine, worker: UUID) -> int:
    """Hands the worker's jobs back at once and ends its lease; returns how many jobs."""
    async with statement(engine) as connection:
        return int((await connection.execute(_LEAVE, {"worker": worker})).scalar_one())
