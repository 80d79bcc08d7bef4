"""Admissions in trouble: the answer says what is known, and one tenant's trouble is no other's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import grpc
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from kit.rpc import error_of
from server.generation import store
from server.generation.reading import Reading, Record
from tests.integration.resilience.trouble import CREDIT, PRICE
from tests.support.stack import Customer, Stack


async def test_an_admission_whose_record_cannot_be_read_is_answered_as_of_unknown_outcome(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit_many, unheard = store.admit_many, list[store.Verdict]()

    async def admit_once_unheard(
        engine: AsyncEngine, items: Sequence[store.Admission]
    ) -> list[store.Verdict]:
        verdicts = await admit_many(engine, items)
        if not unheard:
            unheard.extend(verdicts)
            raise ConnectionResetError
        return verdicts

    async def away(self: Reading, account_id: UUID, generation_id: UUID) -> Record:
        raise OperationalError("select", None, ConnectionRefusedError())

    request = customer.request()
    with monkeypatch.context() as patched:
        patched.setattr(store, "admit_many", admit_once_unheard)
        patched.setattr(Reading, "get", away)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stack.generations.CreateGeneration(request, metadata=customer.metadata)
    error = error_of(refused.value)
    assert error.details["outcome"] == "unknown"
    assert error.spec.retryable
    again = await stack.generations.CreateGeneration(request, metadata=customer.metadata)
    assert UUID(again.generation.generation_id) == unheard[0].generation_id
    await customer.finished(again.generation.generation_id)
    assert await customer.balance() == (CREDIT - PRICE, 0)


async def test_a_locked_account_holds_up_no_other_tenant_of_its_lane(stack: Stack) -> None:
    locked = await stack.customer()
    other = await stack.customer()
    while other.account_id.int % 2 != locked.account_id.int % 2:
        other = await stack.customer()
    connection = await stack.region.connect()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("select 1 from ledger.account where id = $1 for update", locked.account_id)
    try:
        waiting = [asyncio.create_task(locked.create()) for _ in range(12)]
        await asyncio.sleep(0.3)
        async with asyncio.timeout(15):
            created = await other.create()
        assert created.generation.generation_id
    finally:
        await transaction.rollback()
        await connection.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    # Those that waited for the lock were refused, and nothing of theirs is held.
    held = [one for one in outcomes if not isinstance(one, BaseException)]
    assert {type(one) for one in outcomes if isinstance(one, BaseException)} == {grpc.aio.AioRpcError}
    await asyncio.gather(*(locked.finished(one.generation.generation_id) for one in held))
    assert await locked.balance() == (CREDIT - len(held) * PRICE, 0)
