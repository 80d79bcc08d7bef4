"""A provider that is out for a minute: its breaker opens, lets probes through, and closes when it is back."""

from __future__ import annotations

import asyncio
import time

from tests.faults.providers.cells import Cell
from tests.faults.providers.play import CREDIT, Result, body_of
from tests.support.live import Customer, Live, NotInTimeError

_DOWN_SECONDS = 60.0
_LAST_SECONDS = 130.0
_PAUSE = 1.5
_MOST_IN_VAIN = 0.4
"""Share of the requests during the outage that may meet the provider: the first ones, and the probes."""

CELLS: tuple[Cell, ...] = (
    Cell("M18", "out for 60 s", "cloudflare", "google/imagen-4", "fal", ""),
    Cell("M18", "out for 60 s", "bfl", "bfl/flux-2-pro", "replicate", ""),
)


async def play_all(live: Live) -> list[Result]:
    """Both providers at the same time."""
    return list(await asyncio.gather(*(_play(live, cell, 801 + number) for number, cell in enumerate(CELLS))))


async def _play(live: Live, cell: Cell, mark: int) -> Result:
    customer = await live.customer(CREDIT)
    await live.knobs(cell.provider, flap={"down_ms": int(_DOWN_SECONDS * 1000)})
    began = time.monotonic()
    in_vain = during = back = 0
    found: list[str] = []
    while time.monotonic() - began < _LAST_SECONDS and back < 2:
        down = time.monotonic() - began < _DOWN_SECONDS - 2
        try:
            tried, state = await _one(live, customer, cell, mark)
        except NotInTimeError as error:
            found.append(str(error))
            break
        if state != "succeeded":
            found.append(f"a request {state}")
        during += down
        in_vain += down and cell.provider in tried
        back += not down and tried == [cell.provider]
        await asyncio.sleep(_PAUSE)
    if in_vain > during * _MOST_IN_VAIN:
        found.append(f"{in_vain} of {during} requests met the provider while it was out")
    if back < 2:
        found.append("the provider was not used again")
    found += [f"the audit found {finding}" for finding in await live.audit()]
    outcome = (
        f"{in_vain} of {during} met it while it was out; used again after {time.monotonic() - began:.0f} s"
    )
    return Result(cell, time.monotonic() - began, outcome, tuple(found))


async def _one(live: Live, customer: Customer, cell: Cell, mark: int) -> tuple[list[str], str]:
    created = await live.create(customer, "image", cell.model, body_of(cell, mark))
    if created.status != 200:
        return [], f"was refused: {created.body['error']['message']}"
    record = await live.ended(customer, created.generation_id)
    tried = await live.rows(
        "select provider from generation.attempt where generation_id = $1 order by ordinal",
        created.generation_id,
    )
    return [attempt["provider"] for attempt in tried], str(record["generation_status"])
