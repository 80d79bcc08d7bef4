"""A customer's own deadline: the generation fails with BSE4002 and costs nothing."""

from __future__ import annotations

import grpc
import pytest

from babysea.generation.v1 import generation_pb2
from kit.rpc import error_of
from tests.support.stack import Customer, Stack


async def test_a_slow_generation_fails_at_its_own_deadline_and_the_money_comes_back(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create(prompt="a lighthouse [[slow=60000]]", deadline_seconds=1)
    generation = (await customer.finished(created.generation.generation_id)).generation
    assert generation.state == generation_pb2.STATE_FAILED
    assert generation.error_code == "BSE4002"
    lived = generation.completed_at.ToMilliseconds() - generation.created_at.ToMilliseconds()
    assert lived >= 1000
    assert await customer.balance() == (100_000_000, 0)
    assert await stack.region.audit() == []


async def test_the_record_says_when_its_deadline_is(stack: Stack, customer: Customer) -> None:
    for seconds, expected in ((30, 30), (None, 300)):
        changes = {} if seconds is None else {"deadline_seconds": seconds}
        created = (await customer.create(**changes)).generation
        stored = (await customer.get(created.generation_id)).generation
        assert stored.deadline_at == created.deadline_at
        allowed = stored.deadline_at.ToMilliseconds() - stored.created_at.ToMilliseconds()
        assert round(allowed / 1000) == expected


@pytest.mark.parametrize("seconds", [-1, 0, 301, 2**31 - 1])
async def test_a_deadline_outside_one_to_the_models_own_is_out_of_range(
    customer: Customer, seconds: int
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await customer.create(deadline_seconds=seconds)
    error = error_of(refused.value)
    assert (error.spec.bse_code, error.details["field"]) == ("BSE2008", "deadline_seconds")
    assert await customer.balance() == (100_000_000, 0)


async def test_the_deadline_is_a_part_of_what_an_idempotency_key_stands_for(customer: Customer) -> None:
    first = await customer.create(idempotency_key="once", deadline_seconds=20)
    again = await customer.create(idempotency_key="once", deadline_seconds=20)
    assert again.replayed
    assert again.generation.generation_id == first.generation.generation_id
    for changes in ({"deadline_seconds": 21}, {}):
        with pytest.raises(grpc.aio.AioRpcError) as conflict:
            await customer.create(idempotency_key="once", **changes)
        assert error_of(conflict.value).spec.bse_code == "BSE2015"
