"""Claimed jobs: none is forgotten, none is looked at too often, and no worker's clock matters."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, tzinfo
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.generation.v1 import generation_pb2
from server.providers.protocol import Progress, ProviderRef
from server.providers.replicate import Replicate
from server.runtime import leases
from server.runtime.leases import Job
from tests.integration.resilience.trouble import CREDIT, PRICE, accepted, rows
from tests.support.stack import Customer, Stack


async def test_a_claim_whose_answer_was_lost_does_not_keep_its_job(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, lost = leases.claim, list[Job]()

    async def claim_once_unheard(engine: AsyncEngine, worker: UUID, limit: int) -> list[Job]:
        claimed = await claim(engine, worker, limit)
        if claimed and not lost:
            lost.extend(claimed)
            raise ConnectionResetError
        return claimed

    monkeypatch.setattr(leases, "claim", claim_once_unheard)
    created = await customer.create()
    record = await customer.finished(created.generation.generation_id, 15)
    assert len(lost) == 1
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert len(await stack.log()) == 1


@pytest.mark.parametrize("minutes", [-5, 5])
async def test_a_workers_clock_changes_nothing(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(minutes=minutes)

    claim, claims = leases.claim, list[Job]()

    async def counted(engine: AsyncEngine, worker: UUID, limit: int) -> list[Job]:
        claimed = await claim(engine, worker, limit)
        claims.extend(claimed)
        return claimed

    created = await customer.create(prompt="a lighthouse [[slow=1500]]")
    with monkeypatch.context() as patched:
        patched.setattr(leases, "claim", counted)
        for name, module in list(sys.modules.items()):
            workers = name.startswith(("server.generation.execution", "server.runtime.leases", "kit.clock"))
            if workers and getattr(module, "datetime", None) is datetime:
                patched.setattr(module, "datetime", Wrong)
        record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert [attempt.provider for attempt in record.attempts] == ["replicate"]
    # A look every 0.25 s at the most; a loop without a pause makes hundreds.
    assert 0 < len(claims) < 20
    assert await customer.balance() == (CREDIT - PRICE, 0)


async def test_one_failed_step_after_many_looks_pauses_for_about_a_second(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll, give_back = Replicate.poll, leases.give_back
    broken, pauses = set[str](), list[float]()

    async def poll_once_broken(self: Replicate, ref: ProviderRef) -> Progress:
        [job] = await rows(stack, "select attempt from runtime.job where id = $1", UUID(generation_id))
        if job["attempt"] > 50 and not broken:
            broken.add(ref.job_id)
            raise RuntimeError("a step that fails once")
        return await poll(self, ref)

    async def noted(engine: AsyncEngine, job: Job, pause: float) -> bool:
        if len(broken) > len(pauses):
            pauses.append(pause)
        return await give_back(engine, job, pause)

    generation_id = (await customer.create(prompt="a lighthouse [[slow=1500]]")).generation.generation_id
    await accepted(customer, generation_id)
    monkeypatch.setattr(Replicate, "poll", poll_once_broken)
    monkeypatch.setattr(leases, "give_back", noted)
    await rows(stack, "update runtime.job set attempt = 60")
    record = await customer.finished(generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert pauses == [1.0]
