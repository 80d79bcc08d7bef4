"""The limit before authentication."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.limits import FAILURES, FailureLimit
from kit.clock import FixedClock
from kit.errors import BabySeaError

START = datetime(2026, 11, 22, 1, 2, 20, tzinfo=UTC)


def spent(limit: FailureLimit, address: str) -> bool:
    try:
        limit.check("us", address)
    except BabySeaError:
        return True
    return False


def test_thirty_failures_are_allowed_in_a_minute_and_forgotten_in_the_next() -> None:
    clock = FixedClock(START)
    limit = FailureLimit(clock)
    for _ in range(FAILURES):
        assert not spent(limit, "192.0.2.1")
        limit.count("us", "192.0.2.1")
    with pytest.raises(BabySeaError) as raised:
        limit.check("us", "192.0.2.1")
    assert raised.value.details == {"retry_after_seconds": "40", "limit": "30"}
    clock.at += timedelta(seconds=40)
    assert not spent(limit, "192.0.2.1")


def test_addresses_and_regions_are_counted_apart_and_ipv6_by_its_network() -> None:
    limit = FailureLimit(FixedClock(START))
    for _ in range(FAILURES):
        limit.count("us", "192.0.2.1")
        limit.count("us", "2001:db8::1")
    assert spent(limit, "192.0.2.1")
    assert not spent(limit, "192.0.2.2")
    assert spent(limit, "2001:db8::ffff")
    assert not spent(limit, "2001:db8:0:1::1")
    limit.check("eu", "192.0.2.1")


def test_memory_is_bounded_and_holds_no_address() -> None:
    limit = FailureLimit(FixedClock(START), capacity=10)
    for number in range(100):
        limit.count("us", f"192.0.2.{number}")
    kept = limit._failures
    assert len(kept) == 10
    assert all(len(slot) == 16 and b"192" not in slot for slot in kept)
