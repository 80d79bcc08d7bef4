"""Whatever is wrong with a request, it is refused at admission, the answer names the field, and nobody pays."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from hypothesis import HealthCheck, given, settings

from kit.ids import uuid7
from kit.rpc import error_of
from tests.support.requests import Spoiled, refused
from tests.support.stack import Customer, Stack

REQUESTS = 1000
_AT_ONCE = 20
_CODES = frozenset({"BSE2001", "BSE2008"})
"""Invalid input, and a number out of its range."""


def drawn() -> list[Spoiled]:
    """So many requests, each with one thing wrong."""
    found: list[Spoiled] = []

    @given(refused())
    @settings(max_examples=REQUESTS, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def each(case: Spoiled) -> None:
        found.append(case)

    each()
    return found


@pytest.mark.timeout(240)
async def test_every_bad_request_is_refused_with_its_field_and_costs_nothing(
    stack: Stack, customer: Customer
) -> None:
    cases = drawn()
    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(case: Spoiled) -> str:
        message, field = case
        message.request_id = str(uuid7())
        async with room:
            try:
                await stack.generations.CreateGeneration(message, metadata=customer.metadata)
            except grpc.aio.AioRpcError as error:
                told = error_of(error)
                right = told.spec.bse_code in _CODES and told.details.get("field") == field
                return (
                    ""
                    if right
                    else f"{told.spec.bse_code} {told.details.get('field')} for {field}: {message}"
                )
        return f"was admitted with a bad {field}: {message}"

    wrong = [finding for finding in await asyncio.gather(*(ask(case) for case in cases)) if finding]
    assert wrong[:5] == []
    assert len(cases) >= REQUESTS
    connection = await stack.region.connect()
    try:
        made = await connection.fetchval(
            "select (select count(*) from generation.generation where account_id = $1)"
            " + (select count(*) from ledger.hold where account_id = $1)",
            customer.account_id,
        )
    finally:
        await connection.close()
    assert made == 0
    assert await customer.balance() == (100_000_000, 0)
    assert await stack.log() == []
