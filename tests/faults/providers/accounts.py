"""Faults of our account at a provider: the customer is served by the next one, and nobody asks there for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.faults.providers.cells import Cell
from tests.faults.providers.play import CREDIT, Result, body_of, over, play, submits
from tests.support.live import Live, until

_FIRST_MARK = 601


async def play_all(live: Live, cells: Sequence[Cell]) -> list[Result]:
    """Each fault, and after it a request that must go straight to the provider behind."""
    results = []
    for number, cell in enumerate(cells):
        first = await play(live, cell, _FIRST_MARK + 2 * number)
        found = [*first.findings, *await _is_left_alone(live, cell, _FIRST_MARK + 2 * number + 1)]
        results.append(replace(first, findings=tuple(found)))
    return results


async def _is_left_alone(live: Live, cell: Cell, mark: int) -> list[str]:
    customer = await live.customer(CREDIT)
    created = await live.create(customer, "image", cell.model, body_of(replace(cell, token=""), mark))
    row = await until(lambda: over(live, created.generation_id), "the next request to end")
    sent = [entry["provider"] for entry in await submits(live, mark)]
    found = [] if sent == [cell.behind] else [f"the next request went to {', '.join(sent)}"]
    postponed = await live.rows(
        "select provider from events.event where aggregate_id = $1 and type = 'provider.postponed'", row["id"]
    )
    if [event["provider"] for event in postponed] != [cell.provider]:
        found.append("the next record does not say that the provider was put off")
    return found
