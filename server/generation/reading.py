"""Reading generations: one with its attempts, or a page of them, always as one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_pb2
from kit.errors import BabySeaError, invalid
from server.generation import records, store
from server.generation.records import Records
from server.runtime.database import tenant_transaction
from server.runtime.paging import Page, token_after


@dataclass(frozen=True, slots=True)
class Record:
    """A generation with its attempts."""

    generation: generation_pb2.Generation
    attempts: list[generation_pb2.Attempt]


class Reading:
    """Shows an account its generations."""

    def __init__(self, app: AsyncEngine, maker: Records) -> None:
        self._app = app
        self._records = maker

    async def get(self, account_id: UUID, generation_id: UUID, *, key_id: UUID | None = None) -> Record:
        """One generation; with `key_id`, only while that key of the account stands.

        Raises:
            BabySeaError: GENERATION_NOT_FOUND, the same for a foreign id, a deleted one and one that never was;
                AUTHENTICATION_FAILED when the key has ended.
        """
        async with tenant_transaction(self._app, account_id) as connection:
            if key_id is not None and not await store.key_stands(connection, key_id):
                raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED)
            row = await store.get(connection, generation_id)
            if row is None:
                raise BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_FOUND)
            outputs = await store.outputs(connection, [generation_id])
            attempts = await store.attempts(connection, [generation_id])
        message = await self._records.generation(row, outputs, attempts)
        return Record(message, [records.attempt(attempt) for attempt in attempts])

    async def listing(self, account_id: UUID, page: Page) -> tuple[list[generation_pb2.Generation], int, str]:
        """A page, newest first; the number of all; the next page's token."""
        async with tenant_transaction(self._app, account_id) as connection:
            rows = await store.listing(connection, account_id, _key(page), page.size + 1, page.offset)
            more = len(rows) > page.size
            rows = rows[: page.size]
            ids = [row.id for row in rows]
            outputs = _by_generation(await store.outputs(connection, ids))
            attempts = _by_generation(await store.attempts(connection, ids))
            total = await store.count(connection, account_id)
        messages = [
            await self._records.generation(row, outputs.get(row.id, []), attempts.get(row.id, []))
            for row in rows
        ]
        token = token_after(rows[-1].created_at.isoformat(), rows[-1].id) if more else ""
        return messages, total, token


def _key(page: Page) -> tuple[datetime, UUID] | None:
    if not page.after:
        return None
    try:
        return datetime.fromisoformat(page.after[0]).astimezone(UTC), UUID(page.after[1])
    except (ValueError, OverflowError):
        raise invalid("page.page_token", "The page token is not one that this list gave.") from None


def _by_generation(rows: list[Row[Any]]) -> dict[UUID, list[Row[Any]]]:
    grouped: dict[UUID, list[Row[Any]]] = {}
    for row in rows:
        grouped.setdefault(row.generation_id, []).append(row)
    return grouped
