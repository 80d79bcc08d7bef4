"""Windows, limits of accounts, and failed attempts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from babysea.common.v1 import error_reason_pb2
from kit.clock import FixedClock
from kit.errors import BabySeaError
from server.runtime.identity import KeyHolder
from server.runtime.rate_limit import AccountLimits, AuthFailures, ProcessWindows

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
