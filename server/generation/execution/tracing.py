"""The stored trace of a generation, so that work done later joins the trace of its POST."""

from __future__ import annotations

from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.runtime.database import statement

_TRACE = text("select traceparent from generation.generation where id = cast(:id as uuid)")


async def traceparent_of(engine: AsyncEngine, generation_id: UUID) -> str:
    """The traceparent that admission stored; empty when there is none."""
    with suppress_instrumentation():
        async with statement(engine) as connection:
            found = (await connection.execute(_TRACE, {"id": generation_id})).scalar_one_or_none()
    return str(found or "")
