"""All SQL of late successes."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.providers.protocol import ProviderRef
from server.runtime.database import statement

_TAKE = text(
    """
    select attempt_id, generation_id, provider, provider_ref::text as provider_ref, looks, token, age_seconds
      from generation.take_late_looks(cast(:limit as int), make_interval(secs => cast(:lease as double precision)))
    """
)
_NOTE = text(
    "select generation.note_late_look(cast(:attempt as uuid), cast(:token as bigint), cast(:answered as boolean),"
    " make_interval(secs => cast(:pause as double precision)))"
)
_BOOK = text(
    "select generation.book_late_success(cast(:generation as uuid), cast(:attempt as uuid), cast(:cost as bigint))"
)


@dataclass(frozen=True, slots=True)
class LateLook:
    """An attempt that ended without success, and is due to be asked about."""

    attempt_id: UUID
    generation_id: UUID
    provider: str
    ref: ProviderRef
    looks: int
    """How often the provider has answered already."""
    token: int
    age_seconds: float
    """Since the asking began."""


async def take(engine: AsyncEngine, limit: int, lease_seconds: float) -> list[LateLook]:
    """Takes what is due; nobody else takes it for so long."""
    # What a worker does for no request in particular would drown the traces of those that it works for.
    with suppress_instrumentation():
        async with statement(engine) as connection:
            rows = list(await connection.execute(_TAKE, {"limit": limit, "lease": lease_seconds}))
    return [
        LateLook(
            row.attempt_id,
            row.generation_id,
            row.provider,
            ProviderRef.from_json(row.provider_ref),
            row.looks,
            row.token,
            row.age_seconds,
        )
        for row in rows
    ]


async def note(engine: AsyncEngine, look: LateLook, *, answered: bool, pause: float | None) -> None:
    """Puts the next look off; None ends the asking. Nothing happens where a report came in between."""
    values = {"attempt": look.attempt_id, "token": look.token, "answered": answered, "pause": pause}
    async with statement(engine) as connection:
        await connection.execute(_NOTE, values)


async def book(engine: AsyncEngine, look: LateLook, cost: int | None) -> bool:
    """Discards the attempt and books its cost, in micro-dollars, as waste; False when somebody else did."""
    values = {"generation": look.generation_id, "attempt": look.attempt_id, "cost": cost}
    async with statement(engine) as connection:
        return bool((await connection.execute(_BOOK, values)).scalar_one() == "booked")
