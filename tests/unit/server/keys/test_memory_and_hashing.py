"""What verification remembers, and bcrypt in its threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from babysea.common.v1 import error_reason_pb2
from kit.clock import FixedClock
from kit.errors import BabySeaError
from server.keys.hashing import KeyHasher
from server.keys.memory import SingleFlight, TimedCache

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hasher() -> Iterator[KeyHasher]:
    made = KeyHasher(b"pepper", 4)
    yield made
    made.close()


def test_a_value_is_remembered_for_its_time_and_a_none_differs_from_nothing() -> None:
    clock = FixedClock(START)
    cache: TimedCache[str, int | None] = TimedCache(clock, 5.0, 10)
    assert cache.get("a") is None
    cache.put("a", None)
    assert cache.get("a") == (None,)
    clock.at = START + timedelta(seconds=5)
    assert cache.get("a") is None


def test_the_least_recently_used_value_is_forgotten_first() -> None:
    cache: TimedCache[str, int] = TimedCache(FixedClock(START), 5.0, 2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert cache.get("b") is None
    assert cache.get("a") == (1,)


async def test_work_asked_for_at_the_same_time_is_done_once() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    gate, runs = asyncio.Event(), 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await gate.wait()
        return runs

    waiting = [asyncio.create_task(flights.run("a", work)) for _ in range(100)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*waiting) == [1] * 100
    assert await flights.run("a", work) == 2


async def test_a_caller_who_leaves_does_not_stop_the_work_of_the_others() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    gate = asyncio.Event()

    async def work() -> str:
        await gate.wait()
        return "done"

    first = asyncio.create_task(flights.run("a", work))
    second = asyncio.create_task(flights.run("a", work))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == "done"
    assert first.cancelled()


async def test_a_failure_reaches_everyone_and_is_not_remembered() -> None:
    flights: SingleFlight[str, str] = SingleFlight()

    async def fail() -> str:
        raise ValueError

    results = await asyncio.gather(*(flights.run("a", fail) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3

    async def work() -> str:
        return "done"

    assert await flights.run("a", work) == "done"


async def test_a_hash_matches_its_secret_under_its_pepper_only(hasher: KeyHasher) -> None:
    stored = await hasher.hash("secret")
    assert stored.startswith("$2b$04$")
    assert await hasher.matches("secret", stored)
    assert not await hasher.matches("Secret", stored)
    other = KeyHasher(b"other", 4)
    assert not await other.matches("secret", stored)
    other.close()


async def test_nothing_stored_is_checked_like_something_and_matches_nothing(hasher: KeyHasher) -> None:
    assert not await hasher.matches("secret", None)
    assert hasher.checks == 1


async def test_more_calls_than_may_wait_are_shed() -> None:
    hasher = KeyHasher(b"pepper", 4, longest_queue=3)
    results = await asyncio.gather(*(hasher.hash("secret") for _ in range(10)), return_exceptions=True)
    shed = [result for result in results if isinstance(result, BabySeaError)]
    assert len(shed) == 7
    assert {error.reason for error in shed} == {error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE}
    assert (await hasher.hash("secret")).startswith("$2b$")
    hasher.close()
