"""A second opinion on the journal: re-hashes every account's chain in Python, from the documented layout alone."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from tests.support.region import TestRegion

LAYOUT = 1
NOTHING = bytes(32)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def row_bytes(row: asyncpg.Record) -> bytes:
    """The hashed bytes of a journal row, hash_version 1: 202 of them, big-endian."""
    hold: UUID | None = row["hold_id"]
    key: str | None = row["idem_key"]
    return b"".join(
        (
            struct.pack(">h", LAYOUT),
            row["account_id"].bytes,
            struct.pack(">q", row["version"]),
            row["kind"],
            row["debit_id"].bytes,
            row["credit_id"].bytes,
            struct.pack(">q", row["amount"]),
            struct.pack(">2q", row["posted_delta"], row["held_delta"]),
            struct.pack(">2q", row["posted_after"], row["held_after"]),
            hold.bytes if hold else bytes(16),
            hashlib.sha256(key.encode()).digest() if key is not None else NOTHING,
            struct.pack(">q", (row["created_at"] - EPOCH) // timedelta(microseconds=1)),
        )
    )


async def broken_chains(connection: asyncpg.Connection) -> list[str]:
    """Every journal row and account head that does not follow from the rows before it; empty when all do."""
    wrong: list[str] = []
    state: dict[UUID, tuple[int, int, int, bytes]] = {}
    last: dict[UUID, datetime] = {}
    for row in await connection.fetch("select * from ledger.transfer order by account_id, version"):
        account = row["account_id"]
        version, posted, held, head = state.get(account, (0, 0, 0, NOTHING))
        after = (version + 1, posted + row["posted_delta"], held + row["held_delta"])
        head = hashlib.sha256(head + row_bytes(row)).digest()
        place = f"{account} row {row['version']}"
        if row["hash_version"] != LAYOUT or head != row["hash"]:
            wrong.append(f"hash of {place}")
        if after != (row["version"], row["posted_after"], row["held_after"]):
            wrong.append(f"sums of {place}")
        if account in last and row["created_at"] < last[account]:
            wrong.append(f"time of {place}")
        if _entry(row) != (row["debit_id"], row["credit_id"], row["posted_delta"], abs(row["held_delta"])):
            wrong.append(f"double entry of {place}")
        last[account] = row["created_at"]
        state[account] = (*after, head)
    accounts = {row["id"]: row for row in await connection.fetch("select * from ledger.account")}
    wrong.extend(f"no account {account}" for account in state if account not in accounts)
    for account, row in accounts.items():
        if (row["version"], row["posted"], row["held"], row["head"]) != state.get(
            account, (0, 0, 0, NOTHING)
        ):
            wrong.append(f"head of {account}")
    return wrong


def _entry(row: asyncpg.Record) -> tuple[Any, ...]:
    """What debit, credit and deltas must be, given the kind: (debit, credit, posted delta, size of the held delta)."""
    funding, revenue, held = (UUID(int=number) for number in (1, 3, 4))
    account, amount, release = row["account_id"], row["amount"], abs(row["held_delta"])
    match row["kind"]:
        case b"g":
            return funding, account, amount, 0
        case b"h":
            return account, held, 0, amount
        case b"c":
            return held, revenue, -amount, max(release, amount)
        case _:
            return held, account, 0, amount


async def assert_money_is_clean(region: TestRegion, *, abandoned: bool = False) -> None:
    """The ledger's own audit and the recomputation in Python find nothing.

    `abandoned` excuses generations whose jobs the test itself took away.
    """
    findings = await region.audit()
    excused = {"open_generation_without_job"} if abandoned else set()
    assert [finding for finding in findings if finding[0] not in excused] == []
    connection = await region.connect()
    try:
        assert await broken_chains(connection) == []
    finally:
        await connection.close()
