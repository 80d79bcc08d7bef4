"""Windows, limits of accounts, and failed attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babysea.common.v1 import error_reason_pb2
from kit.clock import FixedClock
from kit.errors import BabySeaError
from server.runtime.identity import KeyHolder
from server.runtime.limits.script import Question, answers, arguments
from server.runtime.rate_limit import WINDOW_SECONDS, AccountLimits, AuthFailures, ProcessWindows

START = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)


def holder(plan: str = "free", own: int | None = None, account: int = 1) -> KeyHolder:
    return KeyHolder(
        account_id=UUID(int=account),
        key_id=UUID(int=2),
        scopes=frozenset(),
        allowlist=(),
        plan=plan,
        requests_per_minute=own,
        restricted=False,
    )


async def test_a_window_lets_exactly_its_limit_pass() -> None:
    windows = ProcessWindows(FixedClock(START))
    standings = [await windows.take("a", 3) for _ in range(5)]
    assert [standing.allowed for standing in standings] == [True, True, True, False, False]
    assert [standing.remaining for standing in standings] == [2, 1, 0, 0, 0]


async def test_a_window_begins_anew_a_minute_after_its_first_request() -> None:
    clock = FixedClock(START)
    windows = ProcessWindows(clock)
    first = await windows.take("a", 1)
    clock.at = START + timedelta(seconds=59.9)
    late = await windows.take("a", 1)
    assert not late.allowed
    assert late.retry_after == 1
    assert late.reset_at == first.reset_at == int(START.timestamp()) + 61
    clock.at = START + timedelta(seconds=60)
    assert (await windows.take("a", 1)).allowed


async def test_a_peek_counts_nothing() -> None:
    windows = ProcessWindows(FixedClock(START))
    assert (await windows.peek("a", 1)).remaining == 1
    assert (await windows.take("a", 1)).allowed
    assert not (await windows.peek("a", 1)).allowed


async def test_memory_of_windows_is_bounded() -> None:
    windows = ProcessWindows(FixedClock(START), remembered=2)
    for name in ("a", "b", "c"):
        await windows.take(name, 1)
    assert (await windows.peek("a", 1)).allowed
    assert not (await windows.peek("c", 1)).allowed


async def test_an_account_has_its_plans_limit_unless_it_has_its_own() -> None:
    limits = AccountLimits(ProcessWindows(FixedClock(START)), {"free": 60, "pro": 300}.__getitem__)
    assert (await limits.take(holder("free"))).limit == 60
    assert (await limits.take(holder("pro", account=2))).limit == 300
    assert (await limits.take(holder("free", own=7, account=3))).limit == 7


async def test_the_thirty_first_failure_of_an_address_is_refused_until_the_window_ends() -> None:
    clock = FixedClock(START)
    failures = AuthFailures(ProcessWindows(clock), lambda address: address)
    for _ in range(30):
        await failures.check("192.0.2.1")
        await failures.record("192.0.2.1")
    with pytest.raises(BabySeaError) as refused:
        await failures.check("192.0.2.1")
    assert refused.value.reason == error_reason_pb2.ERROR_REASON_AUTH_RATE_LIMITED
    assert refused.value.details == {"retry_after_seconds": "60", "limit": "30"}
    await failures.check("192.0.2.2")
    clock.at = START + timedelta(seconds=60)
    await failures.check("192.0.2.1")


async def test_failures_of_one_ipv6_network_are_counted_together() -> None:
    failures = AuthFailures(ProcessWindows(FixedClock(START)), lambda address: address, limit=1)
    await failures.record("2001:db8:0:1::1")
    with pytest.raises(BabySeaError):
        await failures.check("2001:db8:0:1:ffff::2")
    await failures.check("2001:db8:0:2::1")


@given(st.integers(0, 5), st.lists(st.integers(0, 90_000), max_size=30))
async def test_no_window_lets_more_than_its_limit_pass_and_every_wait_that_is_told_is_long_enough(
    limit: int, pauses: list[int]
) -> None:
    clock = FixedClock(START)
    windows = ProcessWindows(clock)
    begun, count = START, 0
    for millis in pauses:
        clock.at += timedelta(milliseconds=millis)
        if clock.at >= begun + timedelta(seconds=WINDOW_SECONDS) or count == 0:
            begun, count = clock.at, 0
        standing = await windows.take("a", limit)
        assert standing.allowed == (count < limit)
        count += standing.allowed
        assert standing.remaining == limit - count
        end = begun + timedelta(seconds=WINDOW_SECONDS)
        assert 0 <= standing.reset_at - end.timestamp() < 1
        assert 1 <= standing.retry_after <= WINDOW_SECONDS
        assert clock.at + timedelta(seconds=standing.retry_after) >= end


async def test_a_count_from_elsewhere_is_gone_on_with_until_its_window_ends() -> None:
    clock = FixedClock(START)
    windows = ProcessWindows(clock)
    windows.learn("a", 2, START.timestamp() + 10)
    assert (await windows.take("a", 3)).remaining == 0
    late = await windows.take("a", 3)
    assert (late.allowed, late.retry_after) == (False, 10)
    clock.at = START + timedelta(seconds=10)
    assert (await windows.take("a", 3)).remaining == 2


async def test_failures_that_were_under_way_count_only_up_to_the_limit() -> None:
    failures = AuthFailures(ProcessWindows(FixedClock(START)), lambda address: address)
    standings = [await failures.record("192.0.2.1") for _ in range(40)]
    assert [standing.allowed for standing in standings] == [True] * 30 + [False] * 10


def test_the_script_s_reply_is_read_by_position() -> None:
    questions = [Question("a", 60, counts=True), Question("b", 0, counts=False)]
    assert arguments(questions, 60) == [60_000, 60, 1, 0, 0]
    first, second = answers([7, 1_060_500, 1, 0, 1_060_000, 0, 1_000_500], 2)
    assert (first.count, first.ends, first.now, first.allowed) == (7, 1060.5, 1000.5, True)
    assert (second.count, second.ends, second.now, second.allowed) == (0, 1060.0, 1000.5, False)


@pytest.mark.parametrize("reply", [None, [], [1], [1, 2, 3], b"OK"])
def test_another_reply_is_no_answer(reply: object) -> None:
    with pytest.raises(ValueError, match="not one of the counting script"):
        answers(reply, 1)
