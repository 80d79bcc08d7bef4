"""Moments at which money or a generation could be lost: a restart in the middle, an equal request beside, a late host."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError
from starlette.responses import JSONResponse, Response

from babysea.generation.v1 import generation_pb2, generation_service_pb2
from kit.ids import uuid7
from server.generation.execution import executor as executing
from server.generation.execution import lookup, store
from server.generation.execution.outputs import Delivery
from server.generation.execution.waking import wake_for_callback
from server.generation.execution.work import AttemptView, Work
from server.generation.storage import OutputStore
from server.providers.protocol import ProviderRef
from server.providers.replicate import Replicate
from server.worker import open_executor
from tests.integration.execution.fakes import Behaviour, Fakes, cut, pictures, png, says
from tests.integration.execution.waste import wasted
from tests.integration.resilience.trouble import ended
from tests.support.stack import Customer, Stack

SYNCHRONOUS = "gpt/image-1.5"
ALONE = "ideogram/v3-turbo"
"""A model that one provider has, Replicate."""
SUCCEEDED, FAILED = generation_pb2.STATE_SUCCEEDED, generation_pb2.STATE_FAILED


@pytest.fixture
def changes(request: pytest.FixtureRequest) -> dict[str, object]:
    return dict(getattr(request, "param", {}))


async def asked(fakes: Fakes, provider: str, times: int = 1) -> None:
    """Waits until a provider has got so many submits."""
    async with asyncio.timeout(15):
        while fakes.calls(provider) < times:
            await asyncio.sleep(0.02)


def lists_and_answers_late(fakes: Fakes, job: str, seconds: float) -> Behaviour:
    """Makes a job, which stands in the list at once, and says so only after a while."""

    async def behave(body: dict[str, Any]) -> Response:
        made = datetime.now(UTC).isoformat()
        entry = {
            "id": job,
            "model": "ideogram-ai/ideogram-v3-turbo",
            "input": body["input"],
            "created_at": made,
        }
        fakes.listed.append({**entry, "status": "starting"})
        await asyncio.sleep(seconds)
        return JSONResponse({"id": job, "status": "starting"}, 201)

    return behave


async def drop_connections(stack: Stack) -> None:
    """Ends every connection to the database, as its restart does."""
    connection = await stack.region.connect()
    try:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


async def test_pictures_that_came_with_the_answer_survive_a_restart_of_the_database(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    first = await customer.create(model_identifier=SYNCHRONOUS, output_format="png")
    await customer.finished(first.generation.generation_id)
    fakes.scripts["openai"] = [pictures(after=1.0)]
    created = await customer.create(model_identifier=SYNCHRONOUS, output_format="png")
    await asked(fakes, "openai", 2)
    await drop_connections(stack)
    record = await ended(customer, created.generation.generation_id)
    assert (record.generation.state, record.generation.provider_used) == (SUCCEEDED, "openai")
    assert await wasted(stack, created.generation.generation_id) == []
    assert await stack.region.audit() == []


async def test_a_settlement_that_fails_once_costs_nothing_that_cannot_be_asked_for_again(
    stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, calls = store.settle_many, 0

    async def fails_once(*given: Any) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OperationalError("settle", {}, ConnectionError("connection was closed"))
        return await settle(*given)

    monkeypatch.setattr(store, "settle_many", fails_once)
    created = await customer.create(model_identifier=SYNCHRONOUS, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert (record.generation.state, record.generation.provider_used) == (SUCCEEDED, "openai")
    assert await wasted(stack, created.generation.generation_id) == []


@pytest.mark.parametrize("loses", ["the answer", "the question"])
async def test_an_attempt_whose_beginning_is_in_doubt_is_never_taken_for_a_sent_one(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch, loses: str
) -> None:
    begin, calls = store.begin_attempt, 0

    async def fails_three_times(*given: Any, **named: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls > 3:
            return await begin(*given, **named)
        if loses == "the answer":
            await begin(*given, **named)
        raise OperationalError("begin", {}, ConnectionError("connection was closed"))

    monkeypatch.setattr(store, "begin_attempt", fails_three_times)
    created = await customer.create(model_identifier=SYNCHRONOUS, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert (record.generation.state, record.generation.provider_used) == (SUCCEEDED, "openai")
    assert (len(record.attempts), fakes.calls("openai")) == (1, 1)
    assert await wasted(stack, created.generation.generation_id) == []


async def test_a_job_that_a_lookup_gave_to_an_equal_request_holds_nobody_up(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one whose answer is slow ends, without a second job at the same provider, and nobody pays twice."""
    monkeypatch.setattr(lookup, "LOOKUP_AFTER", timedelta(seconds=1))

    async def never(*_: Any) -> bool:
        return False

    monkeypatch.setattr(store, "may_be_anothers", never)
    job = f"rep{uuid7()}"
    fakes.scripts["replicate"] = [cut, lists_and_answers_late(fakes, job, 6)]
    unanswered = await customer.create(model_identifier=ALONE, prompt="same words")
    await asked(fakes, "replicate")
    slower = await customer.create(model_identifier=ALONE, prompt="same words")
    first = await customer.finished(unanswered.generation.generation_id)
    second = await customer.finished(slower.generation.generation_id)
    assert [attempt.provider_job_id for attempt in first.attempts] == [job]
    assert first.generation.state == SUCCEEDED
    assert (second.generation.state, second.generation.error_code) == (FAILED, "BSE4004")
    assert (fakes.calls("replicate"), fakes.canceled) == (2, [])
    assert await customer.balance() == (100_000_000 - first.generation.charged_micros, 0)
    assert await stack.region.audit() == []


async def test_a_lookup_waits_for_submits_whose_job_it_may_be(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "LOOKUP_AFTER", timedelta(seconds=1))
    monkeypatch.setattr(lookup, "LOOKUP_GIVES_UP_AFTER", timedelta(seconds=8))
    job = f"rep{uuid7()}"
    fakes.scripts["replicate"] = [cut, lists_and_answers_late(fakes, job, 5)]
    unanswered = await customer.create(model_identifier=ALONE, prompt="same words")
    await asked(fakes, "replicate")
    slower = await customer.create(model_identifier=ALONE, prompt="same words")
    second = await customer.finished(slower.generation.generation_id)
    assert second.generation.state == SUCCEEDED
    assert [attempt.provider_job_id for attempt in second.attempts] == [job]
    first = await customer.finished(unanswered.generation.generation_id)
    assert first.generation.state == FAILED, "its request never arrived"


async def test_the_last_provider_has_until_the_deadline(
    fakes: Fakes, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    age = Work.age

    def older(self: Work, attempt: AttemptView) -> float:
        return age(self, attempt) + self.model.attempt_seconds

    monkeypatch.setattr(Work, "age", older)
    job = f"rep{uuid7()}"
    fakes.unfinished.add(job)
    fakes.scripts["replicate"] = [says(201, {"id": job, "status": "starting"})]
    created = await customer.create(model_identifier=ALONE)
    await asked(fakes, "replicate")
    await asyncio.sleep(2)
    assert fakes.canceled == []
    fakes.unfinished.clear()
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == SUCCEEDED


async def test_a_host_of_files_that_fails_once_is_asked_again_however_late(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    age = Work.age

    def older(self: Work, attempt: AttemptView) -> float:
        return age(self, attempt) + self.model.attempt_seconds

    monkeypatch.setattr(Work, "age", older)
    fakes.file_statuses.append(503)
    created = await customer.create(model_identifier=ALONE, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == SUCCEEDED
    assert await wasted(stack, created.generation.generation_id) == []


async def test_one_bad_file_of_four_is_left_out_and_not_charged(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    async def three_good(_: dict[str, Any]) -> Response:
        good, bad = (base64.b64encode(each).decode() for each in (png(), b"nothing at all"))
        data = [{"b64_json": each} for each in (good, bad, good, good)]
        return JSONResponse({"created": 1, "output_format": "png", "data": data})

    fakes.scripts["openai"] = [three_good]
    created = await customer.create(model_identifier=SYNCHRONOUS, output_number=4, output_format="png")
    record = await customer.finished(created.generation.generation_id)
    generation = record.generation
    assert (generation.state, generation.provider_used, len(generation.outputs)) == (SUCCEEDED, "openai", 3)
    assert generation.charged_micros == generation.price_micros * 3 // 4
    assert await wasted(stack, created.generation.generation_id) == []
    assert await stack.region.audit() == []


async def test_a_provider_that_limits_us_is_asked_again_when_nobody_else_is_left(
    fakes: Fakes, stack: Stack, customer: Customer
) -> None:
    fakes.scripts["replicate"] = [says(429, {"detail": "throttled"}, Retry_After="1")]
    created = await customer.create(model_identifier=ALONE)
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == SUCCEEDED
    assert [attempt.error.code for attempt in record.attempts] == ["BSE4005", ""]
    assert fakes.calls("replicate") == 2
    assert await stack.region.audit() == []


async def test_a_provider_that_limits_us_for_longer_than_there_is_time_ends_it_at_once(
    fakes: Fakes, customer: Customer
) -> None:
    fakes.always["replicate"] = says(429, {"detail": "throttled"}, Retry_After="3000")
    created = await customer.create(model_identifier=ALONE)
    record = await customer.finished(created.generation.generation_id, seconds=5)
    assert (record.generation.state, record.generation.error_code) == (FAILED, "BSE4004")
    assert fakes.calls("replicate") == 1


async def test_a_provider_that_limits_us_for_ever_is_asked_four_times(
    fakes: Fakes, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    age = Work.age
    monkeypatch.setattr(Work, "age", lambda self, attempt: age(self, attempt) + 60)
    fakes.always["replicate"] = says(429, {"detail": "throttled"}, Retry_After="0")
    created = await customer.create(model_identifier=ALONE)
    record = await customer.finished(created.generation.generation_id)
    assert (record.generation.state, record.generation.error_code) == (FAILED, "BSE4004")
    assert fakes.calls("replicate") == 4


@pytest.mark.parametrize("changes", [{"drain_seconds": 2.0}], indirect=True)
async def test_a_worker_that_stops_begins_no_attempt_that_it_would_hang_up(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "_SEND_SECONDS", 1.0)

    async def refuses_slowly(_: dict[str, Any]) -> Response:
        await asyncio.sleep(1.0)
        return JSONResponse({"detail": "out of order"}, 500)

    fakes.always["replicate"] = refuses_slowly
    created = await customer.create(
        model_identifier=SYNCHRONOUS, output_format="png", provider_order="replicate,openai"
    )
    await asked(fakes, "replicate")
    stack.executor.stop()
    assert stack.executing is not None
    await stack.executing
    assert fakes.calls("openai") == 0
    async with open_executor(stack.server.shared) as successor:
        running = asyncio.create_task(successor.run())
        record = await customer.finished(created.generation.generation_id)
        successor.stop()
        await running
    assert (record.generation.state, record.generation.provider_used) == (SUCCEEDED, "openai")
    assert (fakes.calls("replicate"), fakes.calls("openai")) == (1, 1)
    assert await wasted(stack, created.generation.generation_id) == []


async def test_a_cancel_while_the_beginning_is_in_doubt_books_no_request_that_was_never_sent(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """begin_attempt commits, its answer is lost, the customer cancels, the repetition says `ended`."""
    begin, age, first = store.begin_attempt, Work.age, True
    monkeypatch.setattr(Work, "age", lambda self, attempt: age(self, attempt) + 3600)

    async def loses_the_answer(*given: Any, **named: Any) -> bool:
        nonlocal first
        if not first:
            return await begin(*given, **named)
        first = False
        await begin(*given, **named)
        cancel = generation_service_pb2.CancelGenerationRequest(generation_id=str(given[1].id))
        await stack.generations.CancelGeneration(cancel, metadata=customer.metadata)
        raise OperationalError("begin", {}, ConnectionError("connection was closed"))

    monkeypatch.setattr(store, "begin_attempt", loses_the_answer)
    created = await customer.create(
        model_identifier=SYNCHRONOUS, output_format="png", provider_order="openai"
    )
    id_ = created.generation.generation_id
    await customer.finished(id_)
    async with asyncio.timeout(20):
        while not all(a.resolved_at.seconds for a in (await customer.get(id_)).attempts):
            await asyncio.sleep(0.1)
    assert fakes.calls("openai") == 0
    assert await wasted(stack, id_) == []


async def test_an_attempt_whose_job_a_report_names_is_never_said_not_to_have_arrived(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report comes while the list is read, which does not show the job yet."""
    monkeypatch.setattr(lookup, "LOOKUP_AFTER", timedelta(seconds=1))
    monkeypatch.setattr(lookup, "LOOKUP_GIVES_UP_AFTER", timedelta(seconds=1))
    job = f"rep{uuid7()}"
    words: list[str] = []

    async def find(self: Replicate, asked: Any, since: Any) -> tuple[ProviderRef, ...]:
        app = stack.server.shared.databases.app
        words.append(await wake_for_callback(app, asked.attempt_id, job, job, ProviderRef(job, {})))
        return ()

    monkeypatch.setattr(Replicate, "find", find)
    fakes.scripts["replicate"] = [cut]
    created = await customer.create(model_identifier=ALONE)
    record = await customer.finished(created.generation.generation_id)
    assert words == ["recorded"]
    assert [attempt.provider_job_id for attempt in record.attempts] == [job]
    assert record.generation.state == SUCCEEDED


async def test_a_worker_that_dies_after_a_discard_leaves_no_file_that_no_record_names(
    fakes: Fakes, stack: Stack, customer: Customer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, forget, died = OutputStore.write, Delivery.forget, False
    ids: list[str] = []

    async def canceled_meanwhile(self: OutputStore, *given: Any) -> None:
        await write(self, *given)
        cancel = generation_service_pb2.CancelGenerationRequest(generation_id=ids[0])
        await stack.generations.CancelGeneration(cancel, metadata=customer.metadata)

    async def dies_once(self: Delivery, *given: Any) -> None:
        nonlocal died
        if not died:
            died = True
            raise RuntimeError("killed here")
        await forget(self, *given)

    monkeypatch.setattr(OutputStore, "write", canceled_meanwhile)
    monkeypatch.setattr(Delivery, "forget", dies_once)
    created = await customer.create(model_identifier="bfl/flux-1.1-pro", output_format="png")
    ids.append(created.generation.generation_id)
    record = await customer.finished(ids[0])
    assert record.generation.state == generation_pb2.STATE_CANCELED
    connection = await stack.region.connect()
    try:
        async with asyncio.timeout(20):
            while await connection.fetchval("select count(*) from runtime.job where id = $1", UUID(ids[0])):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()
    assert died
    assert [path.name for path in tmp_path.rglob("*.png")] == []
