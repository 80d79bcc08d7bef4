"""Cancel: final at once, never charged, and the provider is told."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from babysea.generation.v1 import generation_pb2, generation_service_pb2
from kit.ids import uuid7
from kit.rpc import error_of
from tests.integration.generation.watches import Seen, watch
from tests.support.stack import TERMINAL, Customer, Stack


async def cancel(
    stack: Stack, customer: Customer, generation_id: str
) -> generation_service_pb2.CancelGenerationResponse:
    """Cancels a generation."""
    request = generation_service_pb2.CancelGenerationRequest(generation_id=generation_id)
    return await stack.generations.CancelGeneration(request, metadata=customer.metadata)


async def in_state(
    customer: Customer, generation_id: str, state: generation_pb2.AttemptState.ValueType
) -> None:
    """Waits until the last attempt is in a state."""
    async with asyncio.timeout(30):
        while True:
            record = await customer.get(generation_id)
            if record.attempts and record.attempts[-1].state == state:
                return
            await asyncio.sleep(0.05)


async def test_a_running_generation_ends_at_once_and_its_provider_job_is_stopped(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create(prompt="a lighthouse [[slow=20000]]")
    generation_id = created.generation.generation_id
    await in_state(customer, generation_id, generation_pb2.ATTEMPT_STATE_ACCEPTED)
    response = await cancel(stack, customer, generation_id)
    assert response.generation.state == generation_pb2.STATE_CANCELED
    assert (response.provider_cancel_sent, response.credits_refunded) == (True, True)
    assert await customer.balance() == (100_000_000, 0)
    await in_state(customer, generation_id, generation_pb2.ATTEMPT_STATE_CANCELED)
    jobs = (await stack.sandbox.get("/_sandbox/jobs")).json()
    assert str(jobs).count("cancel") >= 1
    assert await stack.region.audit() == []


async def test_a_generation_that_has_ended_or_is_unknown_cannot_be_canceled(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create()
    await customer.finished(created.generation.generation_id)
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await cancel(stack, customer, created.generation.generation_id)
    assert error_of(ended.value).spec.bse_code == "BSE2013"
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await cancel(stack, customer, str(uuid7()))
    assert error_of(unknown.value).spec.bse_code == "BSE2012"


async def test_a_success_that_comes_after_the_cancel_is_discarded_and_never_charged(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create(prompt="a lighthouse [[slow=1500]] [[ignorecancel]]")
    generation_id = created.generation.generation_id
    await in_state(customer, generation_id, generation_pb2.ATTEMPT_STATE_ACCEPTED)
    await cancel(stack, customer, generation_id)
    await in_state(customer, generation_id, generation_pb2.ATTEMPT_STATE_DISCARDED)
    record = await customer.get(generation_id)
    assert record.generation.state == generation_pb2.STATE_CANCELED
    assert not record.generation.outputs
    assert await customer.balance() == (100_000_000, 0)
    assert await stack.region.audit() == []


async def test_two_hundred_cancels_raced_against_success_settle_each_once_and_nobody_saw_otherwise(
    stack: Stack,
) -> None:
    async def race(customer: Customer, delay: float) -> tuple[str, Seen, generation_pb2.Generation]:
        generation_id = (await customer.create()).generation.generation_id
        seen = Seen()
        watching = asyncio.create_task(watch(customer, generation_id, seen))
        await asyncio.sleep(delay)
        try:
            canceled = await cancel(stack, customer, generation_id)
            assert canceled.generation.state == generation_pb2.STATE_CANCELED
            word = "canceled"
        except grpc.aio.AioRpcError as error:
            word = error_of(error).spec.bse_code
        await watching
        return word, seen, (await customer.get(generation_id)).generation

    # gRPC cancels a call that no server has looked at for 30 s, which all of them at once may take on a slow machine.
    at_once = asyncio.Semaphore(50)

    async def race_in_turn(number: int) -> tuple[str, Seen, generation_pb2.Generation]:
        async with at_once:
            return await race(customers[number % 10], 0.02 * number)

    customers = [await stack.customer() for _ in range(10)]
    results = await asyncio.gather(*(race_in_turn(number) for number in range(200)))
    expected = {"canceled": generation_pb2.STATE_CANCELED, "BSE2013": generation_pb2.STATE_SUCCEEDED}
    for word, seen, record in results:
        assert record.state == expected[word]
        # What the customer saw stays true: one end, the same in every answer, and nothing after it.
        assert seen.states[-1] == record.state
        assert {*seen.states} & TERMINAL == {record.state}
        assert seen.states == sorted(seen.states)
        assert bool(seen.records[-1].generation.outputs) == (word == "BSE2013")
        assert record.charged_micros == (5_000 if word == "BSE2013" else 0)
    for n, customer in enumerate(customers):
        delivered = sum(word == "BSE2013" for word, *_ in results[n::10])
        assert await customer.balance() == (100_000_000 - 5_000 * delivered, 0)
    connection = await stack.region.connect()
    try:
        ends = await connection.fetch(
            "select g.id, count(*) filter (where t.kind in ('c', 'r')) as settled,"
            " (select count(*) from events.event e where e.aggregate_id = g.id"
            "   and e.type in ('generation.completed', 'generation.failed', 'generation.canceled')) as told"
            " from generation.generation g join ledger.transfer t on t.hold_id = g.id group by g.id"
        )
    finally:
        await connection.close()
    assert len(ends) >= 200
    assert {
        (row["settled"], row["told"])
        for row in ends
        if str(row["id"]) in {r.generation_id for _, _, r in results}
    } == {(1, 1)}
    assert await stack.region.audit() == []
