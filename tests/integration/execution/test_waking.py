"""A report about an attempt makes its generation due, once; it changes nothing else. Jobs in parts are known by each part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from kit.ids import uuid7
from server.generation.execution import store
from server.generation.execution.waking import WakeWord, wake_for_callback
from server.providers.protocol import ProviderRef
from server.runtime import leases
from tests.integration.execution.fakes import Fakes
from tests.support.stack import Customer, Stack


@pytest.fixture
async def database_as_superuser(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    connection = await stack.region.connect()
    yield connection
    await connection.close()


@pytest.fixture
async def attempt(
    fakes: Fakes, stack: Stack, customer: Customer, database_as_superuser: asyncpg.Connection
) -> UUID:
    """An attempt at Fal whose job never ends; its worker is gone, and its generation due in an hour."""
    fakes.stuck = 1
    created = await customer.create(provider_order="fal")
    record = await customer.get(created.generation.generation_id)
    while not record.attempts or not record.attempts[0].provider_job_id:
        record = await customer.get(created.generation.generation_id)
    stack.executor.stop()
    assert stack.executing is not None
    await stack.executing
    await database_as_superuser.execute("update runtime.job set run_after = now() + interval '1 hour'")
    return UUID(record.attempts[0].attempt_id)


async def _wake(stack: Stack, attempt: UUID, event: str, job: str | None = None) -> WakeWord:
    ref = None if job is None else ProviderRef(job, {})
    return await wake_for_callback(stack.server.shared.databases.app, attempt, event, job, ref)


async def _due_in(connection: asyncpg.Connection) -> timedelta:
    found = await connection.fetchval("select run_after - now() from runtime.job")
    assert isinstance(found, timedelta)
    return found


async def test_a_report_wakes_once_and_its_repetition_changes_nothing(
    stack: Stack, attempt: UUID, database_as_superuser: asyncpg.Connection
) -> None:
    event = str(uuid7())
    assert await _wake(stack, attempt, event) == "woken"
    assert await _due_in(database_as_superuser) <= timedelta(0)
    await database_as_superuser.execute("update runtime.job set run_after = now() + interval '1 hour'")
    assert await _wake(stack, attempt, event) == "seen"
    assert await _due_in(database_as_superuser) > timedelta(minutes=50)


async def test_a_report_about_another_job_or_no_attempt_wakes_nobody(
    stack: Stack, attempt: UUID, database_as_superuser: asyncpg.Connection
) -> None:
    assert await _wake(stack, attempt, "a", "another-job") == "foreign"
    assert await _wake(stack, uuid7(), "a") == "unknown"
    assert await _due_in(database_as_superuser) > timedelta(minutes=50)


async def test_a_report_names_the_job_of_an_unanswered_submit_but_not_while_its_answer_may_come(
    stack: Stack, attempt: UUID, database_as_superuser: asyncpg.Connection
) -> None:
    forget = (
        "update generation.attempt set provider_job_id = null, provider_ref = null, state = $2 where id = $1"
    )
    await database_as_superuser.execute(forget, attempt, "submitting")
    event = str(uuid7())
    assert await _wake(stack, attempt, event, "found") == "early"
    await database_as_superuser.execute(forget, attempt, "submit_unknown")
    assert await _wake(stack, attempt, event, "found") == "recorded"
    row = await database_as_superuser.fetchrow("select * from generation.attempt where id = $1", attempt)
    assert row is not None
    assert (row["state"], row["provider_job_id"]) == ("accepted", "found")


async def test_a_report_about_an_attempt_that_is_over_changes_nothing(
    stack: Stack, attempt: UUID, database_as_superuser: asyncpg.Connection
) -> None:
    over = "update generation.attempt set state = 'discarded', resolved_at = now() where id = $1"
    await database_as_superuser.execute(over, attempt)
    assert await _wake(stack, attempt, str(uuid7())) == "ended"
    assert await _due_in(database_as_superuser) > timedelta(minutes=50)


async def test_every_part_of_a_job_is_known_as_its_attempts(
    stack: Stack, attempt: UUID, database_as_superuser: asyncpg.Connection
) -> None:
    ref = ProviderRef("one", {}, (ProviderRef("one", {}), ProviderRef("two", {})))
    await database_as_superuser.execute(
        "update generation.attempt set provider_job_id = 'one', provider_ref = $2::jsonb where id = $1",
        attempt,
        ref.to_json(),
    )
    engine = stack.server.shared.databases.worker
    assert await store.known_jobs(engine, "fal", ["one", "two", "three"]) == {"one", "two"}
    assert await store.known_jobs(engine, "replicate", ["one", "two"]) == set()
    assert await _wake(stack, attempt, str(uuid7()), "two") == "woken"
    assert await _wake(stack, attempt, str(uuid7()), "three") == "foreign"


@pytest.mark.parametrize("named", [0, 1])
async def test_a_report_that_overtakes_the_answer_takes_no_part_away(
    stack: Stack, attempt: UUID, database_as_superuser: asyncpg.Connection, named: int
) -> None:
    """A report about one of several jobs comes first; then the submit's own answer names all of them."""
    await database_as_superuser.execute(
        "update generation.attempt set provider_job_id = null, provider_ref = null, state = 'submit_unknown' where id = $1",
        attempt,
    )
    parts = str(uuid7()), str(uuid7())
    assert await _wake(stack, attempt, str(uuid7()), parts[named]) == "recorded"
    generation = "select generation_id from generation.attempt where id = $1"
    generation_id = await database_as_superuser.fetchval(generation, attempt)
    whole = ProviderRef(parts[0], {}, tuple(ProviderRef(part, {}) for part in parts)).to_json()
    engine = stack.server.shared.databases.worker
    for word in ("recorded", "known"):
        assert await store.record_acceptance(engine, generation_id, attempt, parts[0], whole) == word
    assert await store.known_jobs(engine, "fal", parts) == set(parts)


async def test_an_attempt_whose_job_a_report_named_is_not_said_to_be_unanswered(
    stack: Stack, attempt: UUID, database_as_superuser: asyncpg.Connection
) -> None:
    engine = stack.server.shared.databases.worker
    worker = uuid7()
    await leases.heartbeat(engine, worker, 60, new=True)
    generation = "select generation_id from generation.attempt where id = $1"
    generation_id = await database_as_superuser.fetchval(generation, attempt)
    await database_as_superuser.execute("update runtime.job set run_after = now()")
    job = next(each for each in await leases.claim(engine, worker, 100) if each.id == generation_id)
    await store.record_attempt(engine, job, attempt, "submit_unknown", code="BSE4008")
    row = await database_as_superuser.fetchrow("select * from generation.attempt where id = $1", attempt)
    assert row is not None
    assert (row["state"], row["error_code"]) == ("accepted", None)


async def test_a_job_of_another_attempt_is_foreign_and_no_error(
    stack: Stack, customer: Customer, attempt: UUID, database_as_superuser: asyncpg.Connection
) -> None:
    engine = stack.server.shared.databases.worker
    job_of = "select provider_job_id from generation.attempt where id = $1"
    taken = await database_as_superuser.fetchval(job_of, attempt)
    created = await customer.create(provider_order="fal")
    generation_id = UUID(created.generation.generation_id)
    worker, other = uuid7(), uuid7()
    await leases.heartbeat(engine, worker, 60, new=True)
    job = next(each for each in await leases.claim(engine, worker, 100) if each.id == generation_id)
    assert await store.begin_attempt(engine, job, other, 1, "fal")
    ref = ProviderRef(taken, {}).to_json()
    assert await store.record_acceptance(engine, generation_id, other, taken, ref) == "foreign"
    state = "select state from generation.attempt where id = $1"
    assert await database_as_superuser.fetchval(state, other) == "submitting"
