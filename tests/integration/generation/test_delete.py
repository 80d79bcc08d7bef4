"""Deleting: gone at once for the customer, no file left behind, the money as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from babysea.generation.v1 import generation_pb2, generation_service_pb2
from kit.ids import uuid7
from kit.rpc import error_of
from server.generation.deletion import FileRemoval
from server.generation.storage import OutputStore, StorageError
from tests.support.stack import TERMINAL, Customer, Stack

pb = generation_service_pb2
CREDIT = 100_000_000
PRICE = 5_000


async def delete(stack: Stack, customer: Customer, generation_id: str) -> pb.DeleteGenerationResponse:
    """Deletes a generation."""
    request = pb.DeleteGenerationRequest(generation_id=generation_id)
    return await stack.generations.DeleteGeneration(request, metadata=customer.metadata)


async def refusal(call: Any) -> str:
    """The code with which a call is refused; empty when it is not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error_of(error).spec.bse_code
    return ""


def removal(stack: Stack, **changes: float) -> FileRemoval:
    """What a worker removes files with."""
    shared = stack.server.shared
    outputs = OutputStore(shared.settings.storage_url, shared.settings.data_dir)
    return FileRemoval(shared.databases.worker, outputs, **changes)


def files(stack: Stack) -> list[Path]:
    """Every stored file."""
    return [path for path in (stack.server.shared.settings.data_dir / "storage").rglob("*") if path.is_file()]


async def rows(stack: Stack, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What the superuser reads."""
    connection = await stack.region.connect()
    try:
        return [tuple(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def jobs_ended(stack: Stack, customer: Customer) -> None:
    """Waits until no worker has anything left to do for a customer."""
    query = (
        "select j.id from runtime.job j join generation.generation g on g.id = j.id where g.account_id = $1"
    )
    async with asyncio.timeout(60):
        while await rows(stack, query, customer.account_id):
            await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
async def _nothing_to_remove(stack: Stack) -> None:
    """Forgets what earlier tests left to be removed from folders that are gone."""
    await rows(stack, "delete from generation.file_removal returning generation_id")


async def test_a_deleted_generation_is_absent_everywhere_and_stays_paid(
    stack: Stack, customer: Customer
) -> None:
    kept = (await customer.create()).generation.generation_id
    gone = (await customer.create(prompt="a secret")).generation.generation_id
    for each in (kept, gone):
        await customer.finished(each)
    answer = await delete(stack, customer, gone)
    assert (answer.generation_id, answer.files_deleted) == (gone, 1)
    assert await refusal(customer.get(gone)) == "BSE2012"
    cancel = pb.CancelGenerationRequest(generation_id=gone)
    assert await refusal(stack.generations.CancelGeneration(cancel, metadata=customer.metadata)) == "BSE2012"
    timeline = pb.GetTimelineRequest(generation_id=gone)
    assert await refusal(stack.generations.GetTimeline(timeline, metadata=customer.metadata)) == "BSE2012"
    assert await refusal(delete(stack, customer, gone)) == "BSE2012"
    listing = await stack.generations.ListGenerations(pb.ListGenerationsRequest(), metadata=customer.metadata)
    assert [each.generation_id for each in listing.generations] == [kept]
    assert listing.page.total == 1
    assert await customer.balance() == (CREDIT - 2 * PRICE, 0)
    assert await stack.region.audit() == []
    # Neither the prompt nor what the provider said is kept.
    [(request, reference)] = await rows(
        stack,
        "select g.request_ct, a.provider_ref from generation.generation g join generation.attempt a on a.generation_id = g.id"
        " where g.id = $1",
        UUID(gone),
    )
    assert (request, reference) == (b"", None)


async def test_the_files_go_after_the_commit_and_a_crash_before_that_leaves_none(
    stack: Stack, customer: Customer
) -> None:
    made = (await customer.create()).generation.generation_id
    await customer.finished(made)
    [file] = files(stack)
    await delete(stack, customer, made)
    # As if every process had died here: the queue is in the database.
    assert files(stack) == [file]
    assert await removal(stack, again_seconds=0.0).work() == 1
    assert files(stack) == []
    # An upload that a worker without a lease ends now is found by the second clearing.
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"late")
    assert await removal(stack).work() == 1
    assert files(stack) == []
    assert await rows(stack, "select * from generation.file_removal") == []
    assert await removal(stack).work() == 0


async def test_files_that_cannot_be_removed_stay_due_and_spoil_no_others(
    stack: Stack, customer: Customer
) -> None:
    class Failing(OutputStore):
        async def clear(self, account_id: UUID, generation_id: UUID) -> int:
            raise StorageError("away")

    made = (await customer.create()).generation.generation_id
    await customer.finished(made)
    await delete(stack, customer, made)
    shared = stack.server.shared
    failing = FileRemoval(shared.databases.worker, Failing("", shared.settings.data_dir))
    assert await failing.work() == 1
    assert await rows(stack, "select sweeps from generation.file_removal") == [(0,)]
    # Its time comes again.
    connection = await stack.region.connect()
    try:
        await connection.execute("update generation.file_removal set run_after = now()")
    finally:
        await connection.close()
    assert await removal(stack).work() == 1
    assert files(stack) == []


async def test_one_in_flight_is_canceled_first_and_its_provider_is_told(
    stack: Stack, customer: Customer
) -> None:
    created = await customer.create(prompt="a lighthouse [[slow=20000]]")
    generation_id = created.generation.generation_id
    async with asyncio.timeout(30):
        while True:
            attempts = (await customer.get(generation_id)).attempts
            if attempts and attempts[0].state == generation_pb2.ATTEMPT_STATE_ACCEPTED:
                break
            await asyncio.sleep(0.05)
    assert (await delete(stack, customer, generation_id)).files_deleted == 0
    assert await customer.balance() == (CREDIT, 0)
    assert await refusal(customer.get(generation_id)) == "BSE2012"
    await jobs_ended(stack, customer)
    assert await rows(
        stack, "select state from generation.attempt where generation_id = $1", UUID(generation_id)
    ) == [("canceled",)]
    assert await removal(stack).work() == 1
    assert await rows(
        stack, "select state, request_ct from generation.generation where id = $1", UUID(generation_id)
    ) == [("canceled", b"")]
    types = "select type from events.event where aggregate_id = $1 order by aggregate_version"
    told = [each for (each,) in await rows(stack, types, UUID(generation_id))]
    assert told.index("generation.canceled") < told.index("generation.deleted")
    assert await stack.region.audit() == []


async def test_anothers_generation_can_neither_be_deleted_nor_told_from_none(
    stack: Stack, customer: Customer
) -> None:
    other = await stack.customer()
    theirs = (await other.create(prompt="a lighthouse [[slow=20000]]")).generation.generation_id
    admin = await stack.region.connect()
    try:
        async with admin.transaction():
            # As while a worker of theirs settles: a stranger waits for nothing of theirs.
            await admin.execute("select 1 from runtime.job where id = $1 for update", UUID(theirs))
            assert await refusal(delete(stack, customer, theirs)) == "BSE2012"
    finally:
        await admin.close()
    assert await refusal(delete(stack, customer, str(uuid7()))) == "BSE2012"
    assert (await other.get(theirs)).generation.state not in TERMINAL


async def test_a_repeated_request_of_a_deleted_generation_makes_no_second_one(
    stack: Stack, customer: Customer
) -> None:
    request = customer.request(idempotency_key="once")
    made = await stack.generations.CreateGeneration(request, metadata=customer.metadata)
    await customer.finished(made.generation.generation_id)
    await delete(stack, customer, made.generation.generation_id)
    for again in (request, customer.request(idempotency_key="once")):
        call = stack.generations.CreateGeneration(again, metadata=customer.metadata)
        assert await refusal(call) == "BSE2012"
    assert await customer.balance() == (CREDIT - PRICE, 0)


@pytest.mark.parametrize("rival", ["success", "cancel", "delete"])
async def test_forty_deletes_raced_leave_nothing_half_deleted_and_no_file(
    stack: Stack, customer: Customer, rival: str
) -> None:
    async def race(delay: float) -> tuple[str, str]:
        created = (await customer.create()).generation.generation_id
        await asyncio.sleep(delay)
        rivals = []
        if rival == "cancel":
            cancel = pb.CancelGenerationRequest(generation_id=created)
            rivals = [refusal(stack.generations.CancelGeneration(cancel, metadata=customer.metadata))]
        if rival == "delete":
            rivals = [refusal(delete(stack, customer, created))]
        word, *others = await asyncio.gather(refusal(delete(stack, customer, created)), *rivals)
        assert await refusal(customer.get(created)) == "BSE2012"
        return word, next(iter(others), "")

    results = await asyncio.gather(*(race(0.03 * n) for n in range(40)))
    if rival == "delete":
        assert {tuple(sorted(pair)) for pair in results} == {("", "BSE2012")}
    else:
        assert {word for word, _ in results} == {""}
    await jobs_ended(stack, customer)
    while await removal(stack).work():
        pass
    assert files(stack) == []
    ended = await rows(
        stack,
        "select g.state, g.deleted_at is not null, length(g.request_ct), h.state::text,"
        " (select count(*) from ledger.transfer t where t.hold_id = g.id),"
        " (select count(*) from generation.output o where o.generation_id = g.id)"
        " from generation.generation g join ledger.hold h on h.id = g.id where g.account_id = $1",
        customer.account_id,
    )
    assert len(ended) == 40
    assert set(ended) <= {
        ("succeeded", True, 0, "captured", 2, 0),
        ("canceled", True, 0, "released", 2, 0),
    }
    delivered = sum(state == "succeeded" for state, *_ in ended)
    assert await customer.balance() == (CREDIT - PRICE * delivered, 0)
    assert await stack.region.audit() == []
