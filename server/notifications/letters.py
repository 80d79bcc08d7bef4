"""Letters for operators: what became of them, never to whom or what they said."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from server.notifications import store
from server.notifications.store import LetterRow
from server.runtime.database import system_transaction
from server.runtime.paging import Page, place_of, token_after


@dataclass(frozen=True, slots=True)
class LetterPage:
    """One page of the region's letters, newest first."""

    letters: list[LetterRow]
    total: int
    next_token: str
    """Continues after this page; empty on the last one."""


async def list_letters(engine: AsyncEngine, state: str | None, page: Page) -> LetterPage:
    """A page of letters, of one state or of all.

    Raises:
        BabySeaError: INVALID_INPUT for a page token that no answer gave.
    """
    before = place_of(page)
    async with system_transaction(engine) as connection:
        letters = await store.list_letters(
            connection, state, before=before, limit=page.size + 1, offset=page.offset
        )
        total = await store.count_letters(connection, state)
    shown = letters[: page.size]
    more = len(letters) > page.size
    token = token_after(shown[-1].created_at.isoformat(), shown[-1].id) if more else ""
    return LetterPage(shown, total, token)
