"""What must be true after a crash: asked of the database, of the store, of the public API and of the sandbox's log."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg

from tests.faults.matrix import Cell, Ending, Outcome
from tests.faults.stage import CREDIT, Customer, Stage, until

_OVER = """
select g.id from generation.generation g
 where g.account_id = $1 and g.state in ('succeeded', 'failed', 'canceled')
   and not exists (select 1 from runtime.job j where j.id = g.id)
   and not exists (select 1 from generation.attempt a where a.generation_id = g.id and a.resolved_at is null)
   and not exists (select 1 from generation.file_removal f where f.generation_id = g.id and f.sweeps = 0)
"""


async def over(stage: Stage, customer: Customer) -> str:
    """Waits until the customer's generation has ended for everybody: customer, provider, store; its id."""
    row = await until(lambda: stage.row(_OVER, customer.account_id), "the generation to end")
    return str(row["id"])


async def findings(
    stage: Stage, cell: Cell, outcome: Outcome, customer: Customer, told: str, submits: list[dict[str, Any]]
) -> list[str]:
    """Everything that is wrong with a generation whose making, or end, was cut by a crash.

    Args:
        stage: the stack.
        cell: the crash.
        outcome: what was asked for.
        customer: who asked, for this one generation only.
        told: the id that the customer was given; empty where no answer named one.
        submits: what the sandbox was sent meanwhile.
    """
    ends = cell.ends or outcome.ends
    rows = await stage.rows("select * from generation.generation where account_id = $1", customer.account_id)
    if len(rows) != 1:
        return [f"{len(rows)} generations came of one request"]
    found = [text async for text in _generation(stage, rows[0], ends, told)]
    found += [text async for text in _money(stage, rows[0], ends, customer)]
    found += [text async for text in _providers(stage, rows[0], ends.jobs, submits)]
    found += [text async for text in _customer(stage, rows[0], customer, deleted=outcome.then == "delete")]
    return found


async def _generation(stage: Stage, row: asyncpg.Record, ends: Ending, told: str) -> AsyncIterator[str]:
    if told and told != str(row["id"]):
        yield "the customer was told another id"
    if row["state"] != ends.state:
        yield f"it ended as {row['state']} ({row['error_code']}), not as {ends.state}"
    ended = await stage.rows(
        "select type from events.event where aggregate_id = $1 and type = any($2)",
        row["id"],
        [f"generation.{state}" for state in ("completed", "failed", "canceled")],
    )
    if len(ended) != 1:
        yield f"{len(ended)} events say that it ended"


async def _money(stage: Stage, row: asyncpg.Record, ends: Ending, customer: Customer) -> AsyncIterator[str]:
    entries = await stage.rows(
        "select kind::text, hold_id from ledger.transfer where account_id = $1 and kind <> 'g' order by version",
        customer.account_id,
    )
    words = "".join(entry["kind"] for entry in entries)
    if words != ends.words or any(entry["hold_id"] != row["id"] for entry in entries):
        yield f"the journal says {words}, not {ends.words}"
    stuck = await stage.rows(
        "select 1 from ledger.hold where account_id = $1 and state = 'held'", customer.account_id
    )
    if stuck:
        yield "a hold is stuck"
    account = await stage.row("select posted, held from ledger.account where id = $1", customer.account_id)
    if account is None or (account["posted"], account["held"]) != (CREDIT - row["charged"], 0):
        yield f"the balance is {account}, after a charge of {row['charged']}"
    if (row["charged"] > 0) != (ends.state == "succeeded"):
        yield f"{row['charged']} was charged for one that {ends.state}"
    for finding in await stage.rows("select invariant, subject from ledger.audit()"):
        yield f"the audit found {finding['invariant']}"


async def _providers(
    stage: Stage, row: asyncpg.Record, wanted: Mapping[str, int], submits: list[dict[str, Any]]
) -> AsyncIterator[str]:
    jobs = [entry for entry in submits if entry["job_id"]]
    made = Counter(entry["provider"] for entry in jobs)
    attempts = await stage.rows("select * from generation.attempt where generation_id = $1", row["id"])
    if made != Counter(wanted) and not _passed_over(attempts, made):
        yield f"the sandbox took {dict(made)}, not {dict(wanted)}"
    if [entry for entry in jobs if entry["state"] in {"queued", "running"}]:
        yield "a provider works on with nobody waiting"
    recorded = {attempt["provider_job_id"] for attempt in attempts}
    strays = [entry for entry in jobs if entry["job_id"] not in recorded]
    # A tombstone keeps no reference to a provider.
    nameless = [
        one
        for one in attempts
        if one["provider_job_id"] is None and (one["state"] == "discarded" or row["deleted_at"])
    ]
    if len(strays) > len(nameless):
        yield f"{len(strays)} jobs of the sandbox stand on no attempt"
    unbooked = await stage.rows(
        "select 1 from generation.attempt a where a.generation_id = $1 and a.state = 'discarded'"
        " and not exists (select 1 from ledger.house_entry e where e.id = a.id)",
        row["id"],
    )
    if unbooked:
        yield "a discarded attempt is not in the waste book"


def _passed_over(attempts: list[asyncpg.Record], made: Counter[str]) -> bool:
    """Whether the crash of a neighbouring cell met this generation between an attempt's record and its submit.

    Then that provider got nothing, its attempt says so, and the next one was asked once.
    """
    never_sent = [one for one in attempts if one["state"] == "failed" and one["provider_job_id"] is None]
    asked = Counter(one["provider"] for one in attempts if one["provider_job_id"] is not None)
    return bool(never_sent) and made == asked and set(asked.values()) <= {1}


async def _customer(
    stage: Stage, row: asyncpg.Record, customer: Customer, *, deleted: bool
) -> AsyncIterator[str]:
    headers = {"Authorization": f"Bearer {customer.secret}"}
    reply = await stage.rest.get(f"/v1/content/{row['id']}", headers=headers)
    stored = stage.files(customer.account_id, str(row["id"]))
    if deleted:
        if reply.status_code != 404:
            yield f"a deleted generation answers {reply.status_code}"
        if stored:
            yield "a deleted generation has files in the store"
        return
    if reply.status_code != 200 or reply.json()["data"]["generation_status"] != row["state"]:
        yield f"the customer sees {reply.status_code} {reply.text[:80]}"
        return
    outputs = await stage.rows("select * from generation.output where generation_id = $1", row["id"])
    if len(outputs) != (row["state"] == "succeeded") or len(stored) != len(outputs):
        yield f"{len(outputs)} files are on record and {len(stored)} in the store"
        return
    for output in outputs:
        file = await stage.rest.get(reply.json()["data"]["generation_output_file"][0])
        if file.status_code != 200 or hashlib.sha256(file.content).digest() != output["sha256"]:
            yield f"the file answers {file.status_code}, or with other bytes than were recorded"
