"""A job that is finished after its attempt had ended: never delivered, never charged, and booked to waste exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from babysea.generation.v1 import generation_pb2, generation_service_pb2
from server.generation.execution.loading import Loading
from server.generation.execution.work import Work
from server.providers.fal import Fal
from server.providers.protocol import Progress, ProviderRef
from server.runtime.leases import Job
from tests.integration.execution.waste import wasted
from tests.integration.generation.test_cancel import in_state
from tests.integration.generation.test_timeline import timeline, told
from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_stack

CREDIT = 100_000_000
IMAGE = {"model_identifier": "bfl/flux-schnell", "ratio": "16:9"}
FILM = {
    "model_identifier": "bytedance/seedance-1.5-pro",
    "media": generation_pb2.MEDIA_VIDEO,
    "duration": 5,
    "resolution": "720p",
}


@pytest.fixture
async def stack(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A region with one more provider, which does not report."""
    byteplus = {"byteplus_base_url": f"{sandbox_url}/byteplus/api/v3", "byteplus_key": SecretStr("key")}
    async with running_stack(database, sandbox_url, tmp_path, **byteplus) as running:
        yield running


@pytest.fixture
async def superuser(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """The region's database, as its superuser."""
    connection = await stack.region.connect()
    try:
        yield connection
    finally:
        await connection.close()


async def once(check: Callable[[], Awaitable[object]], seconds: float = 15) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.05)


async def watched(superuser: asyncpg.Connection, generation_id: str) -> int:
    """How many attempts of a generation are still asked about."""
    count = "select count(*) from generation.late_look where generation_id = $1"
    return int(await superuser.fetchval(count, UUID(generation_id)))


async def look_now(superuser: asyncpg.Connection, generation_id: str) -> None:
    """Makes every look at a generation's attempts due."""
    due = "update generation.late_look set run_after = now() where generation_id = $1"
    await superuser.execute(due, UUID(generation_id))


async def billed(stack: Stack, provider: str) -> int:
    """What the sandbox bills for the provider's jobs, in micro-dollars."""
    return sum(int(str(entry["billable"])) for entry in await stack.log() if entry["provider"] == provider)


@pytest.mark.parametrize(("provider", "request_"), [("fal", IMAGE), ("byteplus", FILM)])
async def test_a_success_after_a_failure_is_booked_and_the_customer_pays_for_one(
    stack: Stack,
    customer: Customer,
    superuser: asyncpg.Connection,
    provider: str,
    request_: dict[str, object],
) -> None:
    created = await customer.create(
        **request_,
        prompt=f"a lighthouse [[late@{provider}=2500]]",
        provider_order=f"{provider},replicate",
    )
    id_ = created.generation.generation_id
    generation = (await customer.finished(id_)).generation
    assert (generation.state, generation.provider_used) == (generation_pb2.STATE_SUCCEEDED, "replicate")
    assert await wasted(stack, id_) == [], "nothing of it is known yet"
    assert await customer.balance() == (CREDIT - generation.charged_micros, 0)
    await once(lambda: billed(stack, provider))
    await look_now(superuser, id_)
    await once(lambda: wasted(stack, id_))

    cost = await billed(stack, provider)
    assert await wasted(stack, id_) == [(provider, "discarded", cost)]
    first, _ = (await customer.get(id_)).attempts
    assert (first.state, first.error.code) == (generation_pb2.ATTEMPT_STATE_DISCARDED, "BSE4001")
    assert await customer.balance() == (CREDIT - generation.charged_micros, 0)
    words = told(await timeline(stack, customer, id_))
    assert words.index((f"1 {provider}", "FAILED")) < words.index((f"1 {provider}", "DISCARDED"))
    assert await watched(superuser, id_) == 0
    assert await stack.region.audit() == []


async def test_a_provider_that_goes_on_after_a_confirmed_cancel_is_found_out(
    stack: Stack, customer: Customer, superuser: asyncpg.Connection
) -> None:
    created = await customer.create(
        **IMAGE, prompt="a lighthouse [[ignorecancel]][[slow=1500]]", provider_order="replicate"
    )
    id_ = created.generation.generation_id
    await in_state(customer, id_, generation_pb2.ATTEMPT_STATE_ACCEPTED)
    cancel = generation_service_pb2.CancelGenerationRequest(generation_id=id_)
    await stack.generations.CancelGeneration(cancel, metadata=customer.metadata)

    async def seen() -> object:
        await look_now(superuser, id_)
        return await wasted(stack, id_)

    await once(seen)
    assert await wasted(stack, id_) == [("replicate", "discarded", await billed(stack, "replicate"))]
    assert await customer.balance() == (CREDIT, 0)
    assert await stack.region.audit() == []


async def test_a_failure_that_stays_one_is_believed_after_two_answers(
    stack: Stack, customer: Customer, superuser: asyncpg.Connection
) -> None:
    created = await customer.create(**IMAGE, prompt="a lighthouse [[fail]]", provider_order="fal")
    id_ = created.generation.generation_id
    assert (await customer.finished(id_)).generation.state == generation_pb2.STATE_FAILED
    assert await watched(superuser, id_) == 1
    looks = "select looks from generation.late_look where generation_id = $1"
    await look_now(superuser, id_)
    await once(lambda: superuser.fetchval(looks, UUID(id_)))
    assert await superuser.fetchval(looks, UUID(id_)) == 1
    await look_now(superuser, id_)

    async def gone() -> bool:
        return await watched(superuser, id_) == 0

    await once(gone)
    assert await wasted(stack, id_) == []


async def test_a_late_success_of_a_deleted_generation_is_booked_too(
    stack: Stack, customer: Customer, superuser: asyncpg.Connection
) -> None:
    created = await customer.create(**IMAGE, prompt="a lighthouse [[late@fal=2500]]", provider_order="fal")
    id_ = created.generation.generation_id
    await customer.finished(id_)
    await stack.generations.DeleteGeneration(
        generation_service_pb2.DeleteGenerationRequest(generation_id=id_), metadata=customer.metadata
    )
    await once(lambda: billed(stack, "fal"))
    await look_now(superuser, id_)
    await once(lambda: wasted(stack, id_))
    # What was asked for is gone, so nobody can say what it cost; that it is owed is on record.
    assert [entry[:2] for entry in await wasted(stack, id_)] == [("fal", "discarded")]
    assert await stack.region.audit() == []


async def test_a_look_that_fails_comes_again_and_after_a_day_no_more(
    stack: Stack, customer: Customer, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def breaks(self: Fal, ref: ProviderRef) -> Progress:
        nonlocal asked
        asked += 1
        raise ValueError("an answer that no adapter foresaw")

    created = await customer.create(**IMAGE, prompt="a lighthouse [[fail]]", provider_order="fal")
    id_ = created.generation.generation_id
    await customer.finished(id_)
    monkeypatch.setattr(Fal, "poll", breaks)
    later = (
        "select looks = 0 and run_after > now() + interval '4 minutes' from generation.late_look"
        " where generation_id = $1"
    )
    await look_now(superuser, id_)
    await once(lambda: superuser.fetchval(later, UUID(id_)))
    assert asked == 1

    aged = "update generation.late_look set created_at = now() - interval '25 hours' where generation_id = $1"
    await superuser.execute(aged, UUID(id_))
    await look_now(superuser, id_)

    async def gone() -> bool:
        return await watched(superuser, id_) == 0

    await once(gone)
    assert asked == 2
    assert await wasted(stack, id_) == []


async def test_a_late_success_is_booked_also_when_nobody_can_say_what_it_costs(
    stack: Stack, customer: Customer, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(self: Loading, job: Job) -> Work | None:
        raise KeyError("a model that left the catalog")

    created = await customer.create(**IMAGE, prompt="a lighthouse [[late@fal=2500]]", provider_order="fal")
    id_ = created.generation.generation_id
    await customer.finished(id_)
    await once(lambda: billed(stack, "fal"))
    monkeypatch.setattr(Loading, "load", unreadable)
    await look_now(superuser, id_)
    await once(lambda: wasted(stack, id_))
    assert await wasted(stack, id_) == [("fal", "discarded", 0)]
    assert await watched(superuser, id_) == 0
    assert await stack.region.audit() == []


async def test_a_late_success_that_is_found_while_the_database_is_away_is_booked_with_its_cost_later(
    stack: Stack, customer: Customer, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, away = Loading.load, True

    async def away_once(self: Loading, job: Job) -> Work | None:
        nonlocal away
        if away:
            away = False
            raise ConnectionRefusedError
        return await load(self, job)

    created = await customer.create(**IMAGE, prompt="a lighthouse [[late@fal=2500]]", provider_order="fal")
    id_ = created.generation.generation_id
    await customer.finished(id_)
    await once(lambda: billed(stack, "fal"))
    monkeypatch.setattr(Loading, "load", away_once)

    async def seen() -> object:
        await look_now(superuser, id_)
        return await wasted(stack, id_)

    await once(seen)
    assert not away
    assert await wasted(stack, id_) == [("fal", "discarded", await billed(stack, "fal"))]
