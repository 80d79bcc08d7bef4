"""What the use cases of identity share, and what they know of who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kit.clock import Clock
from kit.ids import derived_uuid7
from server.accounts.identity.passwords import PasswordHasher
from server.accounts.identity.store import PersonRow
from server.accounts.identity.throttling import Throttle
from server.catalog.types import Catalog
from server.logs.activity import note_activity
from server.runtime.encryption import Envelope

_POOL = UUID("0192f5a0-0000-7000-8000-000000000000")
_KEEP_DAYS = 8
_DESTROYED_DAYS = 14


@dataclass(frozen=True, slots=True)
class Device:
    """From where somebody asks."""

    address: str
    address_hash: bytes
    """Keyed hash of the client's address."""
    device_hash: bytes
    """Keyed hash of address and program together."""
    user_agent: str


class DayKeys:
    """Data keys of a day, for what waits to belong to a person: sign-ups and their letters.

    A key is destroyed a week after the last of it has expired, and with it every copy of what nobody verified.
    """

    def __init__(self, envelope: Envelope, clock: Clock) -> None:
        self._envelope = envelope
        self._clock = clock
        self._ready: date | None = None

    async def today(self) -> UUID:
        """Whose key seals what begins today."""
        day = self._clock.now().date()
        if self._ready != day:
            await self._envelope.create_data_key(_owner(day))
            for age in range(_KEEP_DAYS, _KEEP_DAYS + _DESTROYED_DAYS):
                await self._envelope.destroy_data_key(_owner(day - timedelta(days=age)))
            self._ready = day
        return _owner(day)


@dataclass(frozen=True, slots=True)
class Identity:
    """The parts of one region."""

    engine: AsyncEngine
    envelope: Envelope
    clock: Clock
    region: str
    catalog: Catalog
    passwords: PasswordHasher
    throttle: Throttle
    day_keys: DayKeys


async def note(
    connection: AsyncConnection,
    person: PersonRow,
    action: str,
    *,
    target: UUID | None = None,
    details: Mapping[str, str | int] | None = None,
) -> None:
    """Notes in the person's own account what was done about signing in; nothing where that account is gone."""
    if person.personal_account is not None:
        await note_activity(
            connection,
            account_id=person.personal_account,
            actor=person.id,
            category="auth",
            action=action,
            target=target or person.id,
            details=details,
        )


def _owner(day: date) -> UUID:
    return derived_uuid7(_POOL, b"day", day.isoformat().encode())
