"""Preferences: what a person wants to hear of, by category and channel. What was never decided is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from kit.errors import invalid
from server.notifications import inbox_store as store
from server.notifications.catalog import CATEGORIES
from server.runtime.database import person_transaction

CHANNELS = ("in_app", "email")
ALWAYS_ON = "security"


@dataclass(frozen=True, slots=True)
class Preference:
    """Whether a person wants to hear of a category by a channel."""

    category: str
    channel: str
    enabled: bool

    @property
    def can_be_turned_off(self) -> bool:
        """Whether the person may decide; what protects the account always arrives."""
        return self.category != ALWAYS_ON


async def get_preferences(engine: AsyncEngine, person_id: UUID) -> list[Preference]:
    """Every category and channel of a person."""
    async with person_transaction(engine, person_id) as connection:
        return await _all(connection, person_id)


async def update_preferences(
    engine: AsyncEngine, person_id: UUID, changes: Sequence[Preference]
) -> list[Preference]:
    """Changes what is named and gives everything.

    Raises:
        BabySeaError: INVALID_INPUT when notices of security would be turned off.
    """
    for change in changes:
        if not change.can_be_turned_off and not change.enabled:
            raise invalid("changes.category", "Notices of security cannot be turned off.")
    async with person_transaction(engine, person_id) as connection:
        # In one order, so that two calls of one person never wait for each other in a ring.
        for change in sorted(changes, key=lambda each: (each.category, each.channel)):
            await store.prefer(connection, person_id, change.category, change.channel, enabled=change.enabled)
        return await _all(connection, person_id)


async def _all(connection: AsyncConnection, person_id: UUID) -> list[Preference]:
    decided = await store.preferences(connection, person_id)
    return [
        Preference(category, channel, decided.get((category, channel), True))
        for category in CATEGORIES
        for channel in CHANNELS
    ]
