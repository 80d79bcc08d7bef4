"""Paging: clamped sizes and opaque keyset tokens."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from babysea.common.v1 import paging_pb2
from kit.errors import invalid

DEFAULT_SIZE = 50
LARGEST_SIZE = 100


@dataclass(frozen=True, slots=True)
class Page:
    """The wanted part of a list."""

    size: int
    """1..100."""
    offset: int
    """Rows to skip; 0 with a token."""
    after: tuple[str, ...]
    """Key of the last row of the previous page; empty for the first page."""


def page_of(request: paging_pb2.PageRequest, key_parts: int) -> Page:
    """The wanted page, clamped.

    Raises:
        BabySeaError: the token is not one that this list gave.
    """
    size = min(request.page_size or DEFAULT_SIZE, LARGEST_SIZE)
    if not request.page_token:
        return Page(size, request.offset, ())
    try:
        after = after_of(request.page_token, key_parts)
    except ValueError:
        raise invalid("page.page_token", "The page token is not one that this list gave.") from None
    return Page(size, 0, after)


def after_of(token: str, key_parts: int) -> tuple[str, ...]:
    """The key after which a token continues.

    Raises:
        ValueError: it is no token with so many parts.
    """
    # An error in base64 is a ValueError, too.
    after = tuple(base64.urlsafe_b64decode(token.encode()).decode().split("|"))
    if len(after) != key_parts:
        raise ValueError(token)
    return after


def place_of(page: Page) -> tuple[datetime, UUID] | None:
    """Where the last page of a list by time and id ended; None for the first page.

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


def token_after(*key: object) -> str:
    """The token that continues after a row with this key."""
    return base64.urlsafe_b64encode("|".join(str(part) for part in key).encode()).decode()


def page_info(page: Page, total: int, next_token: str) -> paging_pb2.PageInfo:
    """What an answer says about its page."""
    return paging_pb2.PageInfo(
        next_page_token=next_token, total=total, page_size=page.size, offset=page.offset
    )
