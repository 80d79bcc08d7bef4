"""`python -m tests.faults.providers.races [N]`: a customer's cancel races with success, at three kinds of provider."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter

from tests.faults.providers.cells import Cell
from tests.faults.providers.play import CREDIT, Result, body_of, over
from tests.support.live import Customer, Live, live_stack, until

_AT_ONCE = 6
_PATIENCE = 120.0
_FIRST_SECONDS = 1.5
_STEP = 1.15
_SPREAD = 0.2
CELLS: tuple[Cell, ...] = (
    Cell("M23", "cancel or success", "replicate", "bfl/flux-schnell", "", ""),
    Cell("M23", "cancel or success", "openai", "gpt/image-1-mini", "", ""),
    Cell("M23", "cancel or success", "alibabacloud", "wan/2.2-t2i", "", ""),
)
_ENDS = """
select (select count(*) from events.event where aggregate_id = $1
         and type = any('{generation.completed,generation.failed,generation.canceled}')) as ends,
       (select string_agg(kind::text, '' order by version) from ledger.transfer where hold_id = $1) as words
"""


async def play_all(live: Live, races: int) -> list[Result]:
    """So many races at each provider."""
    return list(await asyncio.gather(*(_play(live, cell, races) for cell in CELLS)))


async def _play(live: Live, cell: Cell, races: int) -> Result:
    began = time.monotonic()
    customer = await live.customer(CREDIT)
    dice = random.Random(f"{cell.provider} {races}")
    room = asyncio.Semaphore(_AT_ONCE)

    aim = _FIRST_SECONDS

    async def one() -> tuple[str, str]:
        nonlocal aim
        async with room:
            ended = await _race(live, customer, cell, aim * dice.uniform(1 - _SPREAD, 1 + _SPREAD))
        # The cancel comes later after each that came in time, and the other way round: so all of them are close.
        aim = aim * _STEP if ended[0] == "canceled" else aim / _STEP
        return ended

    ended = await asyncio.gather(*(one() for _ in range(races)))
    states = Counter(state for state, _ in ended)
    found = [finding for _, finding in ended if finding]
    charged = await live.rows(
        "select coalesce(sum(charged), 0) as sum from generation.generation where account_id = $1::uuid",
        customer.account_id,
    )
    balance = (
        await live.rows("select posted, held from ledger.account where id = $1::uuid", customer.account_id)
    )[0]
    if (balance["posted"], balance["held"]) != (CREDIT - int(charged[0]["sum"]), 0):
        found.append(f"the balance is {balance}")
    found += [f"the audit found {finding}" for finding in await live.audit()]
    if len(states) < 2:
        found.append("one side won every race, so nothing was raced")
    outcome = f"{races} races: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return Result(cell, time.monotonic() - began, outcome, tuple(dict.fromkeys(found)))


async def _race(live: Live, customer: Customer, cell: Cell, delay: float) -> tuple[str, str]:
    """The state that it ended in, and what is wrong with it."""
    created = await live.create(customer, "image", cell.model, body_of(cell, 300))
    if created.status != 200:
        return "refused", str(created.body["error"]["message"])
    await asyncio.sleep(delay)
    answer = await live.cancel(customer, created.generation_id)
    row = await until(lambda: over(live, created.generation_id), "the race to end", _PATIENCE)
    state = str(row["state"])
    ends = (await live.rows(_ENDS, row["id"]))[0]
    if ends["ends"] != 1:
        return state, f"{ends['ends']} events say that it ended"
    if ends["words"] != ("hc" if state == "succeeded" else "hr"):
        return state, f"the journal says {ends['words']} of one that {state}"
    if (answer.status_code == 200) != (state == "canceled"):
        return state, f"the cancel got {answer.status_code} and it {state}"
    if (row["charged"] > 0) != (state == "succeeded"):
        return state, f"{row['charged']} was charged for one that {state}"
    return state, ""


async def _main(races: int) -> int:
    async with live_stack() as live:
        results = await play_all(live, races)
    for result in results:
        verdict = "; ".join(result.findings) or "ok"
        print(f"{result.cell.provider:13} {result.seconds:5.1f} s  {result.outcome:45} {verdict}")
    return 1 if any(result.findings for result in results) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 67)))
