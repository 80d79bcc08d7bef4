"""Places in lists that are ordered by time and id."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from kit.errors import invalid
from server.runtime.paging import Page


def place_of(page: Page) -> tuple[datetime, UUID] | None:
    """Where the last page ended; None for the first page.

    Raises:
        BabySeaError: INVALID_INPUT for a page token that no answer gave.
    """
    if not page.after:
        return None
    try:
        at, row_id = datetime.fromisoformat(page.after[0]), UUID(page.after[1])
    except ValueError:
        at, row_id = None, None
    if at is None or row_id is None or at.tzinfo is None:
        raise invalid("page.page_token", "The page token is not one that this list gave.")
    return at, row_id
