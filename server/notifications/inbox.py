"""The in-app inbox: what a person was told, and what of it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from server.notifications import inbox_store as store
from server.notifications.inbox_store import Notice
from server.runtime.database import person_transaction
from server.runtime.paging import Page, place_of, token_after


@dataclass(frozen=True, slots=True)
class InboxPage:
    """One page of an inbox, newest first."""

    notices: list[Notice]
    total: int
    """Notices in the list that was asked for, all pages."""
    unread: int
    """Unread ones in the whole inbox."""
    next_token: str
    """Continues after this page; empty on the last one."""


async def list_inbox(engine: AsyncEngine, person_id: UUID, page: Page, *, unread_only: bool) -> InboxPage:
    """A page of a person's inbox.

    Raises:
        BabySeaError: INVALID_INPUT for a page token that no answer gave.
    """
    before = place_of(page)
    async with person_transaction(engine, person_id) as connection:
        # One row more than asked says whether there is a next page.
        notices = await store.list_notices(
            connection,
            person_id,
            unread_only=unread_only,
            before=before,
            limit=page.size + 1,
            offset=page.offset,
        )
        counts = await store.count_notices(connection, person_id)
    shown = notices[: page.size]
    more = len(notices) > page.size
    token = token_after(shown[-1].created_at.isoformat(), shown[-1].id) if more else ""
    return InboxPage(shown, counts.unread if unread_only else counts.total, counts.unread, token)


async def mark_read(
    engine: AsyncEngine, person_id: UUID, ids: Sequence[UUID], *, everything: bool
) -> tuple[int, int]:
    """Marks notices of a person as read, all or those named; how many were marked, and how many are left unread."""
    async with person_transaction(engine, person_id) as connection:
        marked = await store.mark_read(connection, person_id, ids, everything=everything)
        counts = await store.count_notices(connection, person_id)
    return marked, counts.unread
