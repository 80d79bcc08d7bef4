"""All SQL of the ledger's background work: reconciling overdue holds and auditing what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.runtime.database import statement, system_transaction

AUDIT_SECONDS = 600.0
"""The longest that one statement of an audit may take. It reads a snapshot and blocks nobody."""

_OVERDUE = text("select ledger.overdue_holds(cast(:size as int))")
_RECONCILE = text(
    "select ledger.reconcile_hold(cast(:hold as uuid), cast(:grace as interval), cast(:stuck as interval))"
)
_FORGET = text("select ledger.forget_settled()")
_PATIENCE = text("select set_config('statement_timeout', :limit, true)")
_BEGIN = text("select ledger.audit_begin(cast(:every as interval))")
_END = text(
    "select ledger.audit_end(cast(:findings as int), cast(:accounts as bigint), cast(:entries as bigint))"
)
_STATE = text(
    "select cast(extract(epoch from clock_timestamp() - finished_at) as float8), findings, accounts, entries from ledger.audit_state"
)
_TOTALS = text("select name, debited, credited, entries, unknown_costs from ledger.house_totals()")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of an audit looked at."""

    accounts: int
    entries: int
    wrong: tuple[UUID, ...]
    """Accounts with findings."""
    findings: tuple[tuple[str, str], ...]
    """(invariant, subject)."""


@dataclass(frozen=True, slots=True)
class AuditState:
    """What the region's last complete round found."""

    age_seconds: float
    findings: int
    accounts: int
    entries: int


@dataclass(frozen=True, slots=True)
class HouseTotal:
    """A house account of the house's own book, in micro-dollars."""

    name: str
    debited: int
    credited: int
    entries: int
    unknown_costs: int
    """Rows whose cost the provider never named; they count as 0 in the sums."""


async def overdue_holds(engine: AsyncEngine, size: int) -> list[UUID]:
    """Open holds whose time is over, the oldest first."""
    async with statement(engine) as connection:
        return [row[0] for row in await connection.execute(_OVERDUE, {"size": size})]


async def reconcile_hold(engine: AsyncEngine, hold_id: UUID, grace: timedelta, stuck: timedelta) -> str:
    """Looks at one overdue hold; answers with ledger.reconcile_hold's word."""
    async with statement(engine) as connection:
        values = {"hold": hold_id, "grace": grace, "stuck": stuck}
        return str((await connection.execute(_RECONCILE, values)).scalar_one())


async def forget_settled(engine: AsyncEngine) -> None:
    """Drops the reconciler's notes about holds that have ended."""
    async with statement(engine) as connection:
        await connection.execute(_FORGET)


async def audit_batch(engine: AsyncEngine, every: timedelta, size: int, skip: Sequence[UUID]) -> Batch | None:
    """Audits some changed accounts; None when no round is due or another worker is at one."""
    async with engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection:
        if not (await connection.execute(_BEGIN, {"every": every})).scalar_one():
            return None
        query = (
            "select accounts, entries, wrong, invariants, subjects from ledger.audit_changed($1, $2::uuid[])"
        )
        row = (await patient_fetch(connection, query, size, list(skip)))[0]
        found = tuple(zip(row["invariants"], row["subjects"], strict=True))
        return Batch(row["accounts"], row["entries"], tuple(row["wrong"]), found)


async def audit_region(engine: AsyncEngine) -> list[tuple[str, str]]:
    """Findings that belong to no changed account."""
    async with system_transaction(engine) as connection:
        rows = await patient_fetch(connection, "select invariant, subject from ledger.audit_region()")
        return [(row["invariant"], row["subject"]) for row in rows]


async def audit_end(engine: AsyncEngine, findings: int, accounts: int, entries: int) -> None:
    """Notes what a round found, for every process of the region."""
    async with statement(engine) as connection:
        await connection.execute(_END, {"findings": findings, "accounts": accounts, "entries": entries})


async def audit_state(engine: AsyncEngine) -> AuditState | None:
    """What the last round found; None before the first."""
    async with statement(engine) as connection:
        row = (await connection.execute(_STATE)).one_or_none()
        return None if row is None else AuditState(*row)


async def house_totals(engine: AsyncEngine) -> list[HouseTotal]:
    """The house's own book, by account."""
    async with statement(engine) as connection:
        return [HouseTotal(*row) for row in await connection.execute(_TOTALS)]


async def patient_fetch(connection: AsyncConnection, query: str, *values: object) -> list[asyncpg.Record]:
    """Runs a query of an audit in the connection's transaction, past the limits of ordinary requests."""
    await connection.execute(_PATIENCE, {"limit": f"{AUDIT_SECONDS:.0f}s"})
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    if driver is None:
        raise RuntimeError("the audit has no connection")
    rows: list[asyncpg.Record] = await driver.fetch(query, *values, timeout=AUDIT_SECONDS)
    return rows
