"""Reading logs: a page of requests or of activity, and the use of keys, always as one tenant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.keys.v1 import keys_pb2
from kit.clock import Clock
from kit.errors import invalid
from kit.money import json_number
from server.keys.lifecycle import status
from server.keys.secrets import shown_prefix
from server.logs import store
from server.logs.descriptions import described
from server.logs.store import ActivityFilter, Place, RequestFilter
from server.runtime.database import tenant_transaction
from server.runtime.paging import after_of, token_after

DEFAULT_ROWS, MOST_REQUESTS, MOST_ACTIVITY = 50, 500, 200
DEFAULT_DAYS, MOST_DAYS = 30, 365

_SHOWN_HASH = 12
_STATUS = {
    keys_pb2.KEY_STATUS_ACTIVE: "active",
    keys_pb2.KEY_STATUS_ROTATED: "rotated",
    keys_pb2.KEY_STATUS_EXPIRED: "expired",
    keys_pb2.KEY_STATUS_REVOKED: "revoked",
}


@dataclass(frozen=True, slots=True)
class LoggedKey:
    """A key as it stands now."""

    id: UUID
    name: str
    """Empty when it was deleted."""
    prefix: str
    """Empty when it was deleted."""
    status: str
    """"active", "rotated", "expired", "revoked" or "deleted"."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as members see it."""

    id: UUID
    at: datetime
    surface: str
    method: str
    route: str
    query: str
    status: int
    error_code: str
    millis: int
    replayed: bool
    key: LoggedKey | None
    person_id: UUID | None
    address_hash: str
    """12 hexadecimal characters."""
    user_agent: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that was done, as members see it."""

    id: UUID
    at: datetime
    actor: UUID | None
    """None for the system."""
    category: str
    action: str
    description: str
    target: UUID | None
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeyUsed:
    """How often a key was used; the counts of each day newest first."""

    key: LoggedKey
    requests: int
    errors: int
    last_at: datetime
    days: tuple[tuple[date, int, int], ...]


class LogReading:
    """Shows an account its logs."""

    def __init__(self, app: AsyncEngine, region: str, clock: Clock) -> None:
        self._app = app
        self._region = region
        self._clock = clock

    async def requests(
        self, account_id: UUID, wanted: RequestFilter, after: Place | None, size: int
    ) -> tuple[list[Request], Place | None]:
        """A page of requests, newest first, and where the next one begins; None after the last."""
        async with tenant_transaction(self._app, account_id) as connection:
            # One row more than asked says whether there is a next page.
            rows = await store.requests(connection, account_id, wanted, after, size + 1)
        return [self._request(row) for row in rows[:size]], _end(rows, size)

    async def activity(
        self, account_id: UUID, wanted: ActivityFilter, after: Place | None, size: int
    ) -> tuple[list[Activity], Place | None]:
        """A page of activity, newest first, and where the next one begins; None after the last."""
        async with tenant_transaction(self._app, account_id) as connection:
            rows = await store.activity(connection, account_id, wanted, after, size + 1)
        return [_activity(row) for row in rows[:size]], _end(rows, size)

    async def key_usage(self, account_id: UUID, days: int) -> list[KeyUsed]:
        """How often each key was used in the days up to today, the most used first; deleted keys too."""
        since = self._clock.now().astimezone(UTC).date() - timedelta(days=days - 1)
        async with tenant_transaction(self._app, account_id) as connection:
            rows = await store.key_usage(connection, account_id, since)
        used = [self._used(list(group)) for _, group in groupby(rows, lambda row: row.key_id)]
        return sorted(used, key=lambda one: (-one.requests, one.key.id))

    def _request(self, row: Row[Any]) -> Request:
        return Request(
            id=row.id,
            at=row.at,
            surface=row.surface,
            method=row.method,
            route=row.route,
            query=row.query,
            status=row.status,
            error_code=row.bse_code or "",
            millis=row.millis,
            replayed=row.replayed,
            key=None if row.key_id is None else self._key(row),
            person_id=row.person_id,
            address_hash=(row.address_hash or b"").hex()[:_SHOWN_HASH],
            user_agent=row.user_agent,
            request_id=row.request_id or "",
        )

    def _key(self, row: Row[Any]) -> LoggedKey:
        if row.key_public_id is None:
            return LoggedKey(row.key_id, "", "", "deleted")
        word = _STATUS[status(row, self._clock.now())]
        return LoggedKey(row.key_id, row.key_name, shown_prefix(self._region, row.key_public_id), word)

    def _used(self, rows: list[Row[Any]]) -> KeyUsed:
        return KeyUsed(
            key=self._key(rows[0]),
            requests=sum(row.requests for row in rows),
            errors=sum(row.errors for row in rows),
            last_at=max(row.last_at for row in rows),
            days=tuple((row.day, row.requests, row.errors) for row in rows),
        )


def clamped(asked: int, default: int, most: int) -> int:
    """A number that a caller asked for, within 1..`most`; 0 asks for the default."""
    return min(asked or default, most)


def place_of(token: str) -> Place | None:
    """Where a page token continues; None for the first page.

    Raises:
        BabySeaError: INVALID_INPUT for a token that no answer gave.
    """
    if not token:
        return None
    try:
        at, row_id = after_of(token, 2)
        return Place(datetime.fromisoformat(at).astimezone(UTC), UUID(row_id))
    except (ValueError, OverflowError):
        raise invalid("page_token", "The page token is not one that this list gave.") from None


def token_of(place: Place | None) -> str:
    """The token that continues after a place; empty after the last page."""
    return "" if place is None else token_after(place.at.isoformat(), place.id)


def _end(rows: list[Row[Any]], size: int) -> Place | None:
    return Place(rows[size - 1].at, rows[size - 1].id) if len(rows) > size else None


def _activity(row: Row[Any]) -> Activity:
    noted = json.loads(row.details)
    facts = _facts(row)
    details = {str(name): str(value) for name, value in [*noted.items(), *facts]}
    action = "created" if (row.category, row.action) == ("generation", "accepted") else row.action
    return Activity(
        id=row.id,
        at=row.at,
        actor=row.actor_person,
        category=row.category,
        action=action,
        description=described(row.category, action, details),
        target=row.target,
        details=details,
    )


def _facts(row: Row[Any]) -> Iterable[tuple[str, object]]:
    if row.model is not None:
        yield "model", row.model
    if row.provider is not None:
        yield "provider", row.provider
    if row.error_code is not None:
        yield "error_code", row.error_code
    if row.amount_micros is not None:
        yield "amount", json_number(row.amount_micros)
