"""Reading: the texts that hold, where somebody stands, and every choice ever made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.errors import invalid
from server.privacy import store
from server.privacy.store import ChoiceRow
from server.privacy.texts import Purpose, Text, TextVersion, purposes
from server.runtime.paging import Page, place_of, token_after


@dataclass(frozen=True, slots=True)
class TextView:
    """A text that holds, in one language."""

    name: str
    purpose: Purpose
    version: TextVersion
    text: Text


@dataclass(frozen=True, slots=True)
class ConsentView:
    """Where somebody stands with one purpose."""

    purpose: str
    necessary: bool
    granted: bool
    """Whether it counts as agreed now."""
    current_version: str
    chosen_version: str
    """Empty before the first choice."""
    chosen_at: datetime | None
    ask: bool
    """Whether there is no choice about a version that still holds."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page of choices, newest first."""

    choices: Sequence[ChoiceRow]
    total: int
    next_token: str
    """Continues after this page; empty on the last one."""


def texts_that_hold(locale: str, purpose: str, at: datetime) -> list[TextView]:
    """The current text of one purpose, or of all.

    Raises:
        BabySeaError: INVALID_INPUT for an unknown purpose.
    """
    known = purposes()
    if purpose and purpose not in known:
        raise invalid("purpose", f"purpose must be one of {', '.join(known)}.")
    names = [purpose] if purpose else list(known)
    return [_text_view(name, known[name], locale, at) for name in names]


async def read_consents(connection: AsyncConnection, person_id: UUID, at: datetime) -> list[ConsentView]:
    """Where a person stands with every purpose, in a transaction of that person."""
    newest = await store.newest_choices(connection, person_id)
    return [_consent_view(name, purpose, newest.get(name), at) for name, purpose in purposes().items()]


async def read_history(connection: AsyncConnection, person_id: UUID, page: Page) -> HistoryPage:
    """A page of a person's choices, in a transaction of that person.

    Raises:
        BabySeaError: INVALID_INPUT for a page token that no answer gave.
    """
    before = place_of(page)
    # One row more than asked says whether there is a next page.
    rows = await store.list_choices(
        connection, person_id, before=before, limit=page.size + 1, offset=page.offset
    )
    shown = rows[: page.size]
    token = token_after(shown[-1].at.isoformat(), shown[-1].id) if len(rows) > page.size else ""
    return HistoryPage(shown, await store.count_choices(connection, person_id), token)


def _text_view(name: str, purpose: Purpose, locale: str, at: datetime) -> TextView:
    version = purpose.current(at)
    return TextView(name, purpose, version, version.text(locale))


def _consent_view(name: str, purpose: Purpose, newest: ChoiceRow | None, at: datetime) -> ConsentView:
    counts = newest is not None and purpose.counts(newest.version, at)
    return ConsentView(
        purpose=name,
        necessary=purpose.necessary,
        granted=newest is not None and counts and newest.granted,
        current_version=purpose.current(at).version,
        chosen_version=newest.version if newest is not None else "",
        chosen_at=newest.at if newest is not None else None,
        ask=not counts,
    )
