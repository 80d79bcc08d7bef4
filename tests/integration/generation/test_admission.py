"""Admission through the real server: idempotency, limits, refusals."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import pytest

from babysea.generation.v1 import generation_pb2, generation_service_pb2
from kit.errors import BabySeaError
from kit.ids import uuid7
from kit.rpc import error_of
from tests.support.stack import Customer, Stack


async def refusal(customer: Customer, **changes: object) -> BabySeaError:
    """The error of a create that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await customer.create(**changes)
    return error_of(caught.value)


async def rows(stack: Stack, customer: Customer) -> tuple[int, int]:
    """Generations and holds of the customer."""
    connection = await stack.region.connect()
    try:
        row = await connection.fetchrow(
            "select (select count(*) from generation.generation where account_id = $1),"
            " (select count(*) from ledger.hold where account_id = $1)",
            customer.account_id,
        )
        assert row is not None
        return row[0], row[1]
    finally:
        await connection.close()


async def test_a_hundred_creates_with_one_key_make_one_generation_and_one_hold(
    stack: Stack, customer: Customer
) -> None:
    async def create() -> tuple[str, bool]:
        response = await customer.create(idempotency_key="one")
        return response.generation.generation_id, response.replayed

    answers = await asyncio.gather(*(create() for _ in range(100)))
    assert len({generation_id for generation_id, _ in answers}) == 1
    assert Counter(replayed for _, replayed in answers) == {False: 1, True: 99}
    assert await rows(stack, customer) == (1, 1)


async def test_a_hundred_creates_on_credit_for_ten_admit_exactly_ten(stack: Stack) -> None:
    customer = await stack.customer(credit=50_000)  # $0.005 each

    async def create() -> str:
        try:
            await customer.create(prompt="a lighthouse [[slow=3000]]")
        except grpc.aio.AioRpcError as error:
            return error_of(error).spec.bse_code
        return "admitted"

    answers = Counter(await asyncio.gather(*(create() for _ in range(100))))
    assert answers == {"admitted": 10, "BSE1004": 90}
    assert (await customer.balance())[0] == 50_000
    assert await stack.region.audit() == []


async def test_the_plan_limits_generations_in_flight_exactly(stack: Stack) -> None:
    customer = await stack.customer(in_flight=7)

    async def create() -> str:
        try:
            await customer.create(prompt="a lighthouse [[slow=3000]]")
        except grpc.aio.AioRpcError as error:
            return error_of(error).spec.bse_code
        return "admitted"

    answers = Counter(await asyncio.gather(*(create() for _ in range(30))))
    assert answers == {"admitted": 7, "BSE1009": 23}


async def test_a_repeated_request_id_is_answered_from_the_record(stack: Stack, customer: Customer) -> None:
    request_id = str(uuid7())
    first = await customer.create(request_id=request_id)
    again = await customer.create(request_id=request_id)
    assert again.generation.generation_id == first.generation.generation_id
    assert not again.replayed
    assert await rows(stack, customer) == (1, 1)
    other = await refusal(customer, request_id=request_id, prompt="another prompt")
    assert other.spec.bse_code == "BSE2018"


async def test_one_request_id_makes_different_generations_in_different_accounts(stack: Stack) -> None:
    request_id = str(uuid7())
    one, two = await stack.customer(), await stack.customer()
    first, second = await one.create(request_id=request_id), await two.create(request_id=request_id)
    assert first.generation.generation_id != second.generation.generation_id


async def test_an_idempotency_key_belongs_to_its_request_and_model(stack: Stack, customer: Customer) -> None:
    first = await customer.create(idempotency_key="k")
    conflict = await refusal(customer, idempotency_key="k", prompt="another prompt")
    assert (conflict.spec.bse_code, conflict.spec.retryable) == ("BSE2015", False)
    other_model = await customer.create(idempotency_key="k", model_identifier="bfl/flux-dev")
    assert other_model.generation.generation_id != first.generation.generation_id


async def test_a_refusal_is_not_remembered(stack: Stack) -> None:
    customer = await stack.customer(credit=1_000)
    assert (await refusal(customer, idempotency_key="k")).spec.bse_code == "BSE1004"
    connection = await stack.region.connect()
    await connection.fetchval("select ledger.grant_credit($1, 1000000, 'more')", customer.account_id)
    await connection.close()
    assert not (await customer.create(idempotency_key="k")).replayed


BAD_REQUESTS: list[tuple[dict[str, object], str, str | None]] = [
    ({"model_identifier": "no/such-model"}, "BSE2011", None),
    ({"media": generation_pb2.MEDIA_VIDEO, "duration": 5.0}, "BSE2014", None),
    ({"ratio": "7:3"}, "BSE2001", "ratio"),
    ({"output_format": "gif"}, "BSE2001", "output_format"),
    ({"output_number": 99}, "BSE2008", "output_number"),
    ({"prompt": ""}, "BSE2001", "prompt"),
    ({"provider_order": "openai"}, "BSE2001", "provider_order"),
    ({"provider_order": "fal, fal"}, "BSE2001", "provider_order"),
    ({"duration": 5.0}, "BSE2001", "duration"),
    ({"input_file": ["ftp://example.com/a.png"]}, "BSE2001", "input_file"),
    ({"extras": {"no_such_field": 1}}, "BSE2001", "extras.no_such_field"),
    ({"idempotency_key": "no spaces"}, "BSE2001", "idempotency_key"),
    ({"request_id": "4f9f2f0e-8c4f-4b6e-9a53-0c9a35e5f001"}, "BSE2001", "request_id"),
]


async def test_a_bad_request_names_its_field_and_writes_nothing(stack: Stack, customer: Customer) -> None:
    # One stack for all of them: each stack takes longer to start than all of them to be refused.
    for changes, code, field in BAD_REQUESTS:
        error = await refusal(customer, **changes)
        assert (error.spec.bse_code, error.details.get("field")) == (code, field), changes
        assert await rows(stack, customer) == (0, 0), changes
        assert await customer.balance() == (100_000_000, 0), changes


async def test_a_revoked_key_admits_nothing_although_it_was_verified_a_moment_ago(
    stack: Stack, customer: Customer
) -> None:
    await customer.create()
    connection = await stack.region.connect()
    await connection.execute(
        "update keys.api_key set revoked_at = now() where account_id = $1", customer.account_id
    )
    await connection.close()
    assert (await refusal(customer)).spec.bse_code == "BSE1002"
    assert (await rows(stack, customer))[0] == 1


async def test_lists_are_newest_first_and_pages_meet_without_gap_or_overlap(
    stack: Stack, customer: Customer
) -> None:
    ids = [(await customer.create()).generation.generation_id for _ in range(7)]
    request = generation_service_pb2.ListGenerationsRequest()
    request.page.page_size = 3
    seen: list[str] = []
    while True:
        response = await stack.generations.ListGenerations(request, metadata=customer.metadata)
        assert response.page.total == 7
        seen += [generation.generation_id for generation in response.generations]
        if not response.page.next_page_token:
            break
        request.page.page_token = response.page.next_page_token
    assert seen == list(reversed(ids))
    skipped = generation_service_pb2.ListGenerationsRequest()
    skipped.page.page_size, skipped.page.offset = 2, 3
    response = await stack.generations.ListGenerations(skipped, metadata=customer.metadata)
    assert [generation.generation_id for generation in response.generations] == seen[3:5]
