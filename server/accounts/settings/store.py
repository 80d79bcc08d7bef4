"""All SQL of settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_GET = text(
    "select l.residency, a.standing from accounts.account a join ledger.account l on l.id = a.id"
    " where a.id = :account and a.deleted_at is null"
)
_SET_RESIDENCY = text("select accounts.set_residency(cast(:residency as text))")
_THRESHOLDS = text(
    "select threshold_micros from accounts.alert_threshold where account_id = :account order by threshold_micros"
)
_CHANNELS = text("select in_app, email, webhook from accounts.alert_channels where account_id = :account")
_DROP = text(
    "delete from accounts.alert_threshold"
    " where account_id = :account and threshold_micros <> all (cast(:wanted as bigint[]))"
)
_ADD = text(
    "insert into accounts.alert_threshold (account_id, threshold_micros)"
    " select cast(:account as uuid), x from unnest(cast(:wanted as bigint[])) x on conflict do nothing"
)
_SET_CHANNELS = text(
    "update accounts.alert_channels set in_app = coalesce(cast(:in_app as boolean), in_app),"
    " email = coalesce(cast(:email as boolean), email), webhook = coalesce(cast(:webhook as boolean), webhook)"
    " where account_id = :account"
)
_SET_STANDING = text("select accounts.set_standing(cast(:account as uuid), cast(:standing as text))")
_OWNERS = text(
    "select person_id from accounts.membership where account_id = :account and role = 'owner' order by person_id"
)
_NAME = text("select name_ct from accounts.account where id = :account and deleted_at is null")


@dataclass(frozen=True, slots=True)
class SettingsRow:
    """What an account has settled."""

    residency: str
    """"strict" or "best_effort"."""
    standing: str
    """"active", "restricted" or "frozen"."""


@dataclass(frozen=True, slots=True)
class AlertsRow:
    """When and how an account is warned of a low balance."""

    thresholds: tuple[int, ...]
    """Micro-dollars, rising."""
    in_app: bool
    email: bool
    webhook: bool


async def get_settings(connection: AsyncConnection, account_id: UUID) -> SettingsRow | None:
    """An account's settings; None when it has no ledger yet or does not exist."""
    row = (await connection.execute(_GET, {"account": account_id})).one_or_none()
    return None if row is None else SettingsRow(row.residency, row.standing)


async def set_residency(connection: AsyncConnection, residency: str) -> None:
    """Sets where the transaction's account may run."""
    await connection.execute(_SET_RESIDENCY, {"residency": residency})


async def get_alerts(connection: AsyncConnection, account_id: UUID) -> AlertsRow:
    """An account's alerts."""
    thresholds = (await connection.execute(_THRESHOLDS, {"account": account_id})).scalars().all()
    channels = (await connection.execute(_CHANNELS, {"account": account_id})).one()
    return AlertsRow(tuple(thresholds), channels.in_app, channels.email, channels.webhook)


async def set_alerts(
    connection: AsyncConnection,
    account_id: UUID,
    thresholds: Sequence[int],
    *,
    in_app: bool | None,
    email: bool | None,
    webhook: bool | None,
) -> None:
    """Replaces the thresholds and the given channels; a threshold that stays keeps whether it has fired."""
    wanted = {"account": account_id, "wanted": list(thresholds)}
    await connection.execute(_DROP, wanted)
    await connection.execute(_ADD, wanted)
    channels = {"account": account_id, "in_app": in_app, "email": email, "webhook": webhook}
    await connection.execute(_SET_CHANNELS, channels)


async def set_standing(connection: AsyncConnection, account_id: UUID, standing: str) -> str | None:
    """Sets how an account stands, for admission too; how it stood before, or None for no such account."""
    values = {"account": account_id, "standing": standing}
    before: str | None = (await connection.execute(_SET_STANDING, values)).scalar_one()
    return before


async def owners_of(connection: AsyncConnection, account_id: UUID) -> list[UUID]:
    """The owners of an account, the Primary Owner among them."""
    return [row.person_id for row in await connection.execute(_OWNERS, {"account": account_id})]


async def get_name(connection: AsyncConnection, account_id: UUID) -> bytes | None:
    """An account's sealed name; None for one that does not exist or was deleted."""
    found = (await connection.execute(_NAME, {"account": account_id})).scalar_one_or_none()
    return None if found is None else bytes(found)
