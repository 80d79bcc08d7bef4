"""Waking a generation, because a provider reported something about one of its attempts."""

from __future__ import annotations

from typing import Literal, cast
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.providers.protocol import ProviderRef
from server.runtime.database import statement

WakeWord = Literal["woken", "recorded", "seen", "late", "ended", "foreign", "early", "unknown"]
"""What generation.wake_for_callback answers; its comment says what each means."""

_WAKE = text(
    "select generation.wake_for_callback(cast(:attempt as uuid), cast(:event as text), cast(:job as text), cast(:ref as jsonb))"
)


async def wake_for_callback(
    engine: AsyncEngine,
    attempt_id: UUID,
    event_id: str,
    job_id: str | None = None,
    ref: ProviderRef | None = None,
) -> WakeWord:
    """Has a worker ask the provider about an attempt at once; a report that was seen before changes nothing.

    Args:
        engine: of the role babysea_app.
        attempt_id: the attempt that the report was addressed to.
        event_id: the same for every repetition of one report.
        job_id: the provider's job that the report is about; None where it does not say so.
        ref: how that job is found; with it an attempt whose submit had no answer learns its job.
    """
    values = {
        "attempt": attempt_id,
        "event": event_id,
        "job": job_id,
        "ref": None if ref is None else ref.to_json(),
    }
    async with statement(engine) as connection:
        return cast("WakeWord", (await connection.execute(_WAKE, values)).scalar_one())
