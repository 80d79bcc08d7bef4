"""A fault, played: a customer's request by public REST, its end for everybody, and the judgement."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from server.catalog import Catalog, load_catalog
from server.catalog.check import served
from tests.faults.providers.cells import Cell
from tests.support.live import Customer, Live, NotInTimeError, until

CREDIT = 100_000_000
_PATIENCE = 120.0
_OVER = """
select g.* from generation.generation g
 where g.id = $1 and g.state in ('succeeded', 'failed', 'canceled')
   and not exists (select 1 from runtime.job j where j.id = g.id)
   and not exists (select 1 from generation.attempt a where a.generation_id = g.id and a.resolved_at is null)
"""
_ATTEMPTS = "select * from generation.attempt where generation_id = $1 order by ordinal"
_CATALOG: Catalog = load_catalog()


@dataclass(frozen=True)
class Result:
    """What a fault led to."""

    cell: Cell
    seconds: float
    outcome: str
    findings: tuple[str, ...]


async def play(live: Live, cell: Cell, mark: int) -> Result:
    """Plays one fault. `mark` tells its jobs from those of the others, in the sandbox's log."""
    began = time.monotonic()
    try:
        customer = await live.customer(CREDIT)
        created = await live.create(customer, _media(cell), cell.model, body_of(cell, mark))
        if created.status != 200:
            return Result(cell, 0.0, "refused", (str(created.body["error"]["message"]),))
        generation_id = created.generation_id
        if cell.then == "cancel":
            await until(lambda: _accepted(live, generation_id), "the provider to accept it")
            await live.cancel(customer, generation_id)
        row = await until(lambda: over(live, generation_id), "everything to end", _PATIENCE)
        seconds = time.monotonic() - began
        attempts = await live.rows(_ATTEMPTS, row["id"])
        (entries,) = await until(lambda: _quiet(live, mark), "every provider to be done")
        found = [*_record(cell, row, attempts), *_jobs(cell, attempts, entries)]
        found += [finding async for finding in _money(live, cell, row, customer, attempts, entries)]
        found += await _customer(live, cell, customer, generation_id)
    except NotInTimeError as error:
        return Result(cell, time.monotonic() - began, "?", (str(error),))
    return Result(cell, seconds, _outcome(row, attempts), tuple(found))


def body_of(cell: Cell, mark: int) -> dict[str, object]:
    """The request: the least that both providers serve, and the tokens."""
    model = _CATALOG.model(cell.model)
    offers = [served(model, model.provider(each)) for each in (cell.provider, cell.behind) if each]
    least = {
        f"generation_{name}": value
        for name in ("ratio", "output_format", "duration", "resolution")
        if offers[0].get(name)
        for value in [
            next((one for one in offers[0][name] if all(one in each[name] for each in offers)), None)
        ]
        if value is not None
    }
    prompt = f"a lighthouse {cell.token}[[slow={cell.slow * 1000 + mark}]]"
    return least | {"generation_prompt": prompt, "generation_provider_order": cell.order} | dict(cell.body)


def _media(cell: Cell) -> str:
    return _CATALOG.model(cell.model).media


async def _accepted(live: Live, generation_id: str) -> list[asyncpg.Record]:
    statement = "select 1 from generation.attempt where generation_id = $1 and state = 'accepted'"
    return await live.rows(statement, generation_id)


async def over(live: Live, generation_id: str) -> asyncpg.Record | None:
    """The generation once it has ended for its customer and for its providers."""
    rows = await live.rows(_OVER, generation_id)
    return rows[0] if rows else None


async def submits(live: Live, mark: int) -> list[dict[str, Any]]:
    """What the sandbox was sent with that mark."""
    entries, _ = await live.log()
    # The time of a job ends with its mark, whatever number of seconds stands before it.
    return [entry for entry in entries if any(_marked(token, mark) for token in entry["magic"])]


def _marked(token: str, mark: int) -> bool:
    name, _, milliseconds = token.partition("=")
    return name == "slow" and int(milliseconds) % 1000 == mark


async def _quiet(live: Live, mark: int) -> tuple[list[dict[str, Any]]] | None:
    """The same once no provider works on any of it."""
    entries = await submits(live, mark)
    return None if any(entry["state"] in {"queued", "running"} for entry in entries) else (entries,)


def _record(cell: Cell, row: asyncpg.Record, attempts: list[asyncpg.Record]) -> Iterator[str]:
    if row["state"] != cell.ends:
        yield f"it {row['state']} ({row['error_code']})"
    if (row["provider_used"] or "") != cell.used and cell.ends == "succeeded":
        yield f"{row['provider_used']} delivered"
    tried = tuple(attempt["provider"] for attempt in attempts)
    if tried != cell.tried:
        yield f"the record says that {', '.join(tried) or 'nobody'} was tried"
    left = [one for one in attempts if one["state"] not in {"succeeded", "canceled"}]
    if cell.then != "cancel":
        for attempt in left:
            if not attempt["error_code"] or not attempt["error_message"]:
                yield f"the record does not say why {attempt['provider']} was left ({attempt['state']})"
        named = {error["provider"] for error in json.loads(row["provider_errors"] or "[]")}
        if missing := {attempt["provider"] for attempt in left} - named:
            yield f"the customer's record does not name {', '.join(sorted(missing))}"
    if cell.after and cell.after not in {row["error_code"], *(one["error_code"] for one in attempts)}:
        yield f"nothing says {cell.after}"


def _jobs(cell: Cell, attempts: list[asyncpg.Record], entries: list[dict[str, Any]]) -> Iterator[str]:
    made = Counter(entry["provider"] for entry in entries if entry["job_id"])
    if made != Counter(dict(cell.jobs)):
        yield f"the sandbox took {dict(made)}, not {dict(cell.jobs)}"
    paid = Counter(entry["provider"] for entry in entries if entry["billable"])
    for attempt in attempts:
        parts = len(json.loads(attempt["provider_ref"] or "{}").get("parts", ())) or 1
        if paid[attempt["provider"]] > parts:
            yield f"{attempt['provider']} is paid {paid[attempt['provider']]} times for one attempt"


async def _money(
    live: Live,
    cell: Cell,
    row: asyncpg.Record,
    customer: Customer,
    attempts: list[asyncpg.Record],
    entries: list[dict[str, Any]],
) -> Any:
    kinds = "select kind::text from ledger.transfer where account_id = $1 and kind <> 'g' order by version"
    words = "".join(entry["kind"] for entry in await live.rows(kinds, customer.account_id))
    if words != ("hc" if row["state"] == "succeeded" else "hr"):
        yield f"the journal says {words}"
    balance = (
        await live.rows("select posted, held from ledger.account where id = $1::uuid", customer.account_id)
    )[0]
    if (balance["posted"], balance["held"]) != (CREDIT - row["charged"], 0):
        yield f"the balance is {balance}"
    full = row["price"] * cell.outputs // int(str(cell.body.get("generation_output_number", 1)))
    if row["charged"] != (full if row["state"] == "succeeded" else 0):
        yield f"{row['charged']} was charged, of a price of {row['price']}"
    for finding in await live.audit():
        yield f"the audit found {finding}"
    try:
        # A provider that does not report is asked again a minute after its attempt's end.
        await until(lambda: _booked(live, cell, row), "the waste book", _PATIENCE)
    except NotInTimeError:
        yield f"what {', '.join(cell.wasted)} may bill is not in the waste book"
    if cell.exact_cost:
        billed = sum(entry["billable"] for entry in entries)
        booked = sum(attempt["cost_micros"] or 0 for attempt in attempts)
        if billed != booked:
            yield f"{billed} were billed and {booked} are on record"


async def _booked(live: Live, cell: Cell, row: asyncpg.Record) -> bool:
    waste = await live.rows("select provider from ledger.house_entry where generation_id = $1", row["id"])
    return set(cell.wasted) <= {entry["provider"] for entry in waste}


async def _customer(live: Live, cell: Cell, customer: Customer, generation_id: str) -> list[str]:
    record = await live.record(customer, generation_id)
    files = record.get("generation_output_file") or []
    if record["generation_status"] != cell.ends:
        return [f"the customer is told {record['generation_status']}"]
    wanted = cell.outputs if cell.ends == "succeeded" else 0
    found = [] if len(files) == wanted else [f"the customer got {len(files)} files"]
    for url in files:
        answer = await live.http.get(url)
        if answer.status_code != 200 or not answer.content:
            found.append(f"a file answers {answer.status_code}")
    if cell.ends == "failed" and not record.get("generation_error"):
        found.append("the customer is not told why")
    return found


def _outcome(row: asyncpg.Record, attempts: list[asyncpg.Record]) -> str:
    way = " → ".join(f"{one['provider']} {one['error_code'] or one['state']}" for one in attempts)
    return f"{row['state']}: {way}"
