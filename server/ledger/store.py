"""All SQL of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.ledger.upkeep_store import patient_fetch
from server.runtime.database import statement, system_transaction

_RESERVE = text(
    "select ledger.reserve(cast(:account as uuid), cast(:hold as uuid), cast(:amount as bigint),"
    " clock_timestamp() + make_interval(secs => cast(:ttl as int)), cast(:fingerprint as bytea))"
)
_SETTLE = text("select word from ledger.settle_many(cast(:holds as uuid[]), cast(:amounts as bigint[]))")
_HOLD = text("select amount, captured from ledger.hold where id = cast(:hold as uuid)")
_GRANT = text(
    "select ledger.grant_credit(cast(:account as uuid), cast(:amount as bigint), cast(:key as text))"
)
_BALANCE = text(
    "select posted, held, version, open_holds from ledger.account where id = cast(:account as uuid)"
)
_ENTRIES = text(
    """
    select version, kind::text as kind, amount, posted_delta, held_delta, posted_after, held_after, hold_id, idem_key, created_at, hash
      from ledger.transfer
     where account_id = cast(:account as uuid)
       and (cast(:hold as uuid) is null or hold_id = cast(:hold as uuid))
       and version < cast(:before as bigint)
     order by version desc
     limit :size offset :skip
    """
)
_ENTRY_COUNT = text(
    "select count(*) from ledger.transfer where account_id = cast(:account as uuid)"
    " and (cast(:hold as uuid) is null or hold_id = cast(:hold as uuid))"
)
_AUDIT = "select invariant, subject from ledger.audit()"
_AUDIT_SIZE = "select (select count(*) from ledger.account), (select count(*) from ledger.transfer)"


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """A balance, in micro-dollars."""

    posted: int
    held: int
    version: int
    open_holds: int

    @property
    def available(self) -> int:
        """What can be spent."""
        return self.posted - self.held


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A journal row, amounts in micro-dollars."""

    version: int
    kind: str
    amount: int
    posted_delta: int
    held_delta: int
    posted_after: int
    held_after: int
    hold_id: UUID | None
    idem_key: str | None
    created_at: datetime
    hash: bytes


async def reserve(
    engine: AsyncEngine, account_id: UUID, hold_id: UUID, amount: int, ttl_seconds: int, fingerprint: bytes
) -> str:
    """Sets money aside; answers with ledger.reserve's word."""
    async with statement(engine) as connection:
        values = {
            "account": account_id,
            "hold": hold_id,
            "amount": amount,
            "ttl": ttl_seconds,
            "fingerprint": fingerprint,
        }
        return str((await connection.execute(_RESERVE, values)).scalar_one())


async def settle(engine: AsyncEngine, hold_id: UUID, amount: int) -> str:
    """Captures a positive amount, releases with 0; answers with ledger.settle_many's word."""
    async with statement(engine) as connection:
        return str(
            (await connection.execute(_SETTLE, {"holds": [hold_id], "amounts": [amount]})).scalar_one()
        )


async def grant(engine: AsyncEngine, account_id: UUID, amount: int, key: str) -> str:
    """Adds money once per key; answers with ledger.grant_credit's word."""
    async with statement(engine) as connection:
        values = {"account": account_id, "amount": amount, "key": key}
        return str((await connection.execute(_GRANT, values)).scalar_one())


async def captured(engine: AsyncEngine, hold_id: UUID) -> tuple[int, int] | None:
    """The hold's amount and what was captured of it; None for an unknown hold."""
    async with statement(engine) as connection:
        row = (await connection.execute(_HOLD, {"hold": hold_id})).one_or_none()
        return None if row is None else (row.amount, row.captured)


async def balance(connection: AsyncConnection, account_id: UUID) -> BalanceRow | None:
    """The balance; None when the account has no journal or belongs to another tenant."""
    row = (await connection.execute(_BALANCE, {"account": account_id})).one_or_none()
    return None if row is None else BalanceRow(row.posted, row.held, row.version, row.open_holds)


async def entries(
    connection: AsyncConnection, account_id: UUID, hold_id: UUID | None, before: int, size: int, skip: int
) -> list[EntryRow]:
    """Journal rows below a version, newest first."""
    values = {"account": account_id, "hold": hold_id, "before": before, "size": size, "skip": skip}
    return [EntryRow(*row) for row in await connection.execute(_ENTRIES, values)]


async def entry_count(connection: AsyncConnection, account_id: UUID, hold_id: UUID | None) -> int:
    """How many journal rows there are."""
    return int(
        (await connection.execute(_ENTRY_COUNT, {"account": account_id, "hold": hold_id})).scalar_one()
    )


async def audit(engine: AsyncEngine) -> tuple[list[tuple[str, str]], int, int]:
    """Findings as (invariant, subject), accounts and journal rows checked."""
    async with system_transaction(engine) as connection:
        # A full re-hash may take longer than a request may; it reads a snapshot and blocks nobody.
        findings = [(row["invariant"], row["subject"]) for row in await patient_fetch(connection, _AUDIT)]
        accounts, rows = (await patient_fetch(connection, _AUDIT_SIZE))[0]
        return findings, accounts, rows
