"""Money at the ends of whole lives: real server, executor and provider sandbox, with the reconciler beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from babysea.generation.v1 import generation_pb2
from server.generation.execution import outputs
from server.generation.execution.work import AttemptView, Work
from server.ledger.reconciliation import reconcile
from server.providers.protocol import RemoteOutput
from server.worker import open_executor
from tests.integration.ledger.verbs import overdue
from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_sandbox, running_stack

NONE = timedelta(0)


@pytest.fixture
async def stack(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Stack]:
    """A running region."""
    with running_sandbox() as url:
        async with running_stack(database, url, tmp_path) as stack:
            yield stack


@pytest.fixture
async def customer(stack: Stack) -> Customer:
    """A customer with $100."""
    return await stack.customer()


async def halt(stack: Stack) -> None:
    """The only worker stops."""
    stack.executor.stop()
    assert stack.executing is not None
    await stack.executing


async def test_a_partial_batch_is_charged_for_what_was_delivered_and_the_rest_returns(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = outputs.Delivery.deliver

    async def two_of_them(
        self: outputs.Delivery,
        work: Work,
        attempt: AttemptView,
        remote: Sequence[RemoteOutput],
        *,
        patient: bool,
    ) -> outputs.Delivered:
        # The sandbox always delivers all; a provider whose own filter dropped some answers with fewer.
        return await whole(self, work, attempt, remote[:2], patient=patient)

    monkeypatch.setattr(outputs.Delivery, "deliver", two_of_them)
    created = await customer.create(output_number=4)
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED
    assert len(record.generation.outputs) == 2
    assert record.generation.price_micros == 4 * 5_000
    assert record.generation.charged_micros == 2 * 5_000
    assert await customer.balance() == (100_000_000 - 2 * 5_000, 0)
    assert await stack.region.audit() == []


async def test_a_hold_whose_process_died_before_anything_was_sent_returns(
    stack: Stack, customer: Customer
) -> None:
    await halt(stack)
    created = await customer.create()
    id_ = UUID(created.generation.generation_id)
    assert await customer.balance() == (100_000_000, 5_000)
    await overdue(stack.region, id_)
    words = await reconcile(stack.region.databases.worker, NONE, NONE)
    assert words["ended"] == 1
    record = await customer.get(str(id_))
    assert (record.generation.state, record.generation.error_code) == (generation_pb2.STATE_FAILED, "BSE4008")
    assert await customer.balance() == (100_000_000, 0)
    assert await stack.log() == []
    assert await stack.region.audit() == []


@pytest.mark.parametrize(
    "finished", [True, False], ids=["the provider finished it", "the provider never got it"]
)
async def test_a_process_that_died_around_the_submit_leaves_no_hold_behind(
    stack: Stack, customer: Customer, finished: bool
) -> None:
    if finished:
        created = await customer.create(prompt="a lighthouse [[slow=1000]]")
        id_ = UUID(created.generation.generation_id)
        async with asyncio.timeout(20):
            while not await stack.log():
                await asyncio.sleep(0.02)
        await halt(stack)
    else:
        await halt(stack)
        created = await customer.create()
        id_ = UUID(created.generation.generation_id)
    connection = await stack.region.connect()
    try:
        if finished:
            # As if it had died between the submit and the record of the provider's answer.
            await connection.execute(
                "update generation.attempt set state = 'submitting', provider_job_id = null, provider_ref = null, accepted_at = null"
                " where generation_id = $1",
                id_,
            )
        else:
            await connection.execute(
                "select generation.begin_attempt($1, (select token from runtime.job where id = $1), $2, 1, 'replicate')",
                id_,
                UUID(created.generation.prediction_id),
            )
        # It backs off for long, and its deadline has passed.
        await connection.execute(
            "update runtime.job set run_after = now() + interval '1 hour' where id = $1", id_
        )
    finally:
        await connection.close()
    await overdue(stack.region, id_)
    # Never ended unasked: it is woken, and a worker asks the provider, then ends it.
    assert (await reconcile(stack.region.databases.worker, NONE, NONE))["woken"] == 1
    assert (await customer.get(str(id_))).generation.state == generation_pb2.STATE_PROCESSING
    async with open_executor(stack.server.shared) as successor:
        running = asyncio.create_task(successor.run())
        record = await customer.finished(str(id_))
        successor.stop()
        await running
    assert record.generation.state in {generation_pb2.STATE_FAILED, generation_pb2.STATE_SUCCEEDED}
    charged = record.generation.charged_micros
    assert (charged > 0) == (record.generation.state == generation_pb2.STATE_SUCCEEDED)
    assert len(await stack.log()) == finished
    assert await customer.balance() == (100_000_000 - charged, 0)
    assert await stack.region.audit() == []
