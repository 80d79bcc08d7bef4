"""All SQL of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text(
    "insert into accounts.account (id, plan, name_ct, email_ct) values (:account, :plan, :name, :email)"
    " on conflict (id) do nothing"
)
_GET = text(
    "select id, plan, name_ct, email_ct, personal, subscription_status, created_at, updated_at"
    " from accounts.account where id = :account"
)
_OPEN_LEDGER = text("select ledger.open_account(:account, :in_flight)")
_BALANCE = text("select posted - held from ledger.account where id = :account")


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is stored; what people wrote is sealed."""

    id: UUID
    plan: str
    name_ct: bytes
    email_ct: bytes | None
    personal: bool
    subscription_status: str | None
    created_at: datetime
    updated_at: datetime


async def insert_account(
    connection: AsyncConnection, account_id: UUID, plan: str, name_ct: bytes, email_ct: bytes | None
) -> None:
    """Writes a new account; one that stands is left as it is."""
    values = {"account": account_id, "plan": plan, "name": name_ct, "email": email_ct}
    await connection.execute(_INSERT, values)


async def get_account(connection: AsyncConnection, account_id: UUID) -> AccountRow | None:
    """An account; None when it does not exist or belongs to another tenant."""
    row = (await connection.execute(_GET, {"account": account_id})).one_or_none()
    if row is None:
        return None
    return AccountRow(
        id=row.id,
        plan=row.plan,
        name_ct=bytes(row.name_ct),
        email_ct=None if row.email_ct is None else bytes(row.email_ct),
        personal=row.personal,
        subscription_status=row.subscription_status,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def open_ledger(connection: AsyncConnection, account_id: UUID, in_flight: int) -> None:
    """Opens the account's ledger unless it is open."""
    await connection.execute(_OPEN_LEDGER, {"account": account_id, "in_flight": in_flight})


async def get_balance(connection: AsyncConnection, account_id: UUID) -> int | None:
    """Posted minus held in micro-dollars; None when the account has no ledger."""
    balance = (await connection.execute(_BALANCE, {"account": account_id})).scalar_one_or_none()
    return None if balance is None else int(balance)
