"""One crash, played: a customer's request, the death, the restart, and the judgement."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import httpx

from cli.errors import CliError
from tests.faults import key_lives
from tests.faults.matrix import Cell, Outcome
from tests.faults.oracle import findings, over
from tests.faults.stage import CellError, Customer, Death, Stage, until

_CREATE = "/v1/generate/image/bfl/flux-schnell"


@dataclass(frozen=True)
class Result:
    """What a crash led to."""

    cell: Cell
    healed: float
    """Seconds from the death until program, generation, money and files were as they must be."""
    submits: str
    """Jobs that the sandbox took, by provider."""
    findings: tuple[str, ...]


async def play(stage: Stage, cell: Cell) -> Result:
    """Plays one crash; what could not be played or did not heal is a finding."""
    stage.withdraw()
    try:
        await stage.answering()
        customer = await stage.customer()
        position = await stage.log_position()
        if isinstance(cell.outcome, str):
            death, wrong = await key_lives.play(stage, cell, customer)
            healed = time.monotonic() - death.at
        else:
            death, told = await _cut(stage, cell, cell.outcome, customer)
            if not cell.stalled:
                await stage.restarted(death)
            await over(stage, customer)
            healed = time.monotonic() - death.at
            if cell.stalled:
                await stage.awake(death)
            submits = await stage.log_since(position)
            wrong = await findings(stage, cell, cell.outcome, customer, told, submits)
        jobs = Counter(entry["provider"] for entry in await stage.log_since(position) if entry["job_id"])
    except (CellError, CliError, httpx.HTTPError) as error:
        return Result(cell, 0.0, "?", (f"{type(error).__name__}: {error}",))
    finally:
        stage.withdraw()
    return Result(
        cell, healed, ", ".join(f"{name} {count}" for name, count in sorted(jobs.items())), tuple(wrong)
    )


async def _cut(stage: Stage, cell: Cell, outcome: Outcome, customer: Customer) -> tuple[Death, str]:
    """The death, and the generation's id as far as the customer was told."""
    if cell.before is not None:
        stage.order(cell.before, "KILL")
    if not cell.later:
        stage.order(cell.point, word(cell), cell.at)
    asking = asyncio.create_task(_create(stage, outcome, customer))
    told = ""
    try:
        if cell.later:
            told = await asking
            await _in_state(stage, told, outcome.when)
            stage.order(cell.point, word(cell), cell.at)
            asking = asyncio.create_task(_end(stage, outcome, customer, told))
        death = await _death(stage, cell, asking)
        answer = await asking
    finally:
        asking.cancel()
        with suppress(asyncio.CancelledError, CellError, httpx.HTTPError):
            await asking
    return death, told or answer


async def _death(stage: Stage, cell: Cell, asking: asyncio.Task[str]) -> Death:
    """The death; a request that is refused before it is a fault that would otherwise be waited for in vain."""
    found = stage.stalled_at(cell.point) if cell.stalled else stage.killed_at(cell.point, cell.killed)
    dying = asyncio.create_task(found)
    try:
        await asyncio.wait({dying, asking}, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            await asking
        return await dying
    finally:
        dying.cancel()


def word(cell: Cell) -> str:
    """What the process at the point is told: to die, or to stand still while the other one is killed."""
    return "KILL" if cell.point.process == cell.killed else "STOP"


async def _create(stage: Stage, outcome: Outcome, customer: Customer) -> str:
    """A POST, repeated as a good client does: when, and only when, the answer says that it may be."""
    headers = {"Authorization": f"Bearer {customer.secret}"}
    if outcome.keyed:
        headers["Idempotency-Key"] = secrets.token_hex(8)
    body = {"generation_prompt": f"a lighthouse {outcome.prompt}", **outcome.body}
    reply = await stage.request("POST", _CREATE, headers, json=body)
    if reply.status_code != 200:
        raise CellError(f"the create got {reply.status_code} {reply.text[:120]}")
    return str(reply.json()["data"]["generation_id"])


async def _end(stage: Stage, outcome: Outcome, customer: Customer, generation_id: str) -> str:
    """The customer's cancel or delete; after a lost answer the repeated one may find that it is done."""
    headers = {"Authorization": f"Bearer {customer.secret}"}
    if outcome.then == "cancel":
        reply = await stage.request("POST", f"/v1/content/generation/cancel/{generation_id}", headers)
        done = {200, 409}
    else:
        reply = await stage.request("DELETE", f"/v1/content/{generation_id}", headers)
        done = {200, 404}
    if reply.status_code not in done:
        raise CellError(f"the {outcome.then} got {reply.status_code} {reply.text[:120]}")
    return generation_id


async def _in_state(stage: Stage, generation_id: str, wanted: str) -> None:
    statement = "select 1 from generation.attempt where generation_id = $1 and state = $2"
    await until(lambda: stage.row(statement, generation_id, wanted), f"an attempt to be {wanted}")
