"""Breakers open for what a provider did, let one attempt probe, and close or open again by what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from babysea.common.v1 import error_reason_pb2
from kit.clock import FixedClock
from server.providers.protocol import Fault, FaultKind
from server.routing.breakers import Breakers, Cause, State

_MODEL, _OTHER = "bfl/flux-schnell", "google/veo-3.1-fast"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 11, 22, tzinfo=UTC))


@pytest.fixture
def breakers(clock: FixedClock) -> Breakers:
    return Breakers(clock)


def _fault(kind: FaultKind, retry_after: float | None = None, status: int | None = None) -> Fault:
    return Fault(
        kind, error_reason_pb2.ERROR_REASON_PROVIDER_ERROR, "A sentence.", status, retry_after=retry_after
    )


def _fail(breakers: Breakers, times: int, kind: FaultKind = FaultKind.PROVIDER) -> None:
    for _ in range(times):
        breakers.failed("fal", _MODEL, _fault(kind))


def _pass(clock: FixedClock, **span: float) -> None:
    clock.at += timedelta(**span)


def test_an_account_fault_puts_every_model_of_the_provider_out_and_is_told_once(breakers: Breakers) -> None:
    assert breakers.failed("fal", _MODEL, _fault(FaultKind.ACCOUNT))
    assert not breakers.failed("fal", _OTHER, _fault(FaultKind.ACCOUNT))
    assert not breakers.admits("fal", _MODEL)
    assert not breakers.admits("fal", _OTHER)
    assert breakers.admits("replicate", _MODEL)


def test_an_account_is_probed_by_one_attempt_after_minutes_and_comes_back_when_it_works(
    breakers: Breakers, clock: FixedClock
) -> None:
    breakers.failed("fal", _MODEL, _fault(FaultKind.ACCOUNT))
    _pass(clock, minutes=2)
    assert breakers.admits("fal", _MODEL)
    breakers.began("fal", _MODEL)
    assert not breakers.admits("fal", _OTHER), "one probe at a time"
    breakers.succeeded("fal", _MODEL)
    assert breakers.admits("fal", _OTHER)
    assert breakers.snapshot() == ()


def test_an_account_that_still_fails_is_left_alone_for_twice_as_long_and_told_again(
    breakers: Breakers, clock: FixedClock
) -> None:
    breakers.failed("fal", _MODEL, _fault(FaultKind.ACCOUNT))
    _pass(clock, minutes=2)
    assert breakers.failed("fal", _MODEL, _fault(FaultKind.ACCOUNT))
    _pass(clock, minutes=3)
    assert not breakers.admits("fal", _MODEL)
    _pass(clock, minutes=1)
    assert breakers.admits("fal", _MODEL)


def test_an_outage_leaves_an_account_breaker_as_it_is(breakers: Breakers, clock: FixedClock) -> None:
    breakers.failed("fal", _MODEL, _fault(FaultKind.ACCOUNT))
    _pass(clock, minutes=2)
    _fail(breakers, 1)
    assert [view.cause for view in breakers.snapshot()] == [Cause.ACCOUNT]
    breakers.failed("fal", _MODEL, _fault(FaultKind.PROVIDER, status=500))
    assert breakers.snapshot() == (), "it took our credential before it failed"


def test_few_failures_open_nothing(breakers: Breakers) -> None:
    _fail(breakers, 4)
    assert breakers.admits("fal", _MODEL)


def test_a_model_that_keeps_failing_is_out_at_that_provider_alone(breakers: Breakers) -> None:
    _fail(breakers, 5)
    assert not breakers.admits("fal", _MODEL)
    assert breakers.admits("fal", _OTHER)
    assert breakers.admits("replicate", _MODEL)


def test_failures_are_weighed_against_successes_of_the_last_minute(
    breakers: Breakers, clock: FixedClock
) -> None:
    for _ in range(6):
        breakers.succeeded("fal", _MODEL)
    _fail(breakers, 5)
    assert breakers.admits("fal", _MODEL), "less than half failed"
    _pass(clock, seconds=61)
    _fail(breakers, 4)
    assert breakers.admits("fal", _MODEL), "what is older than a minute counts no more, neither way"
    _fail(breakers, 1)
    assert not breakers.admits("fal", _MODEL)


def test_a_provider_that_flaps_is_probed_and_returns(breakers: Breakers, clock: FixedClock) -> None:
    _fail(breakers, 5)
    for seconds in (15, 30, 60):
        _pass(clock, seconds=seconds - 1)
        assert not breakers.admits("fal", _MODEL)
        _pass(clock, seconds=1)
        assert breakers.admits("fal", _MODEL)
        breakers.began("fal", _MODEL)
        assert not breakers.admits("fal", _MODEL), "one probe at a time"
        _fail(breakers, 1)
    _pass(clock, seconds=120)
    breakers.began("fal", _MODEL)
    breakers.succeeded("fal", _MODEL)
    assert breakers.admits("fal", _MODEL)
    _fail(breakers, 3)
    assert breakers.admits("fal", _MODEL), "it begins anew"


def test_a_probe_that_nothing_is_heard_of_keeps_the_next_one_waiting_for_half_a_minute(
    breakers: Breakers, clock: FixedClock
) -> None:
    _fail(breakers, 5)
    _pass(clock, seconds=15)
    breakers.began("fal", _MODEL)
    _pass(clock, seconds=29)
    assert not breakers.admits("fal", _MODEL)
    _pass(clock, seconds=1)
    assert breakers.admits("fal", _MODEL)


def test_what_was_under_way_when_a_breaker_opened_changes_nothing(
    breakers: Breakers, clock: FixedClock
) -> None:
    _fail(breakers, 5)
    breakers.succeeded("fal", _MODEL)
    assert not breakers.admits("fal", _MODEL)
    _fail(breakers, 20)
    (view,) = breakers.snapshot()
    assert view.until == clock.at + timedelta(seconds=15)


def test_a_throttled_provider_is_left_alone_for_as_long_as_it_asks(
    breakers: Breakers, clock: FixedClock
) -> None:
    breakers.failed("fal", _MODEL, _fault(FaultKind.THROTTLED, retry_after=20))
    breakers.failed("fal", _MODEL, _fault(FaultKind.THROTTLED, retry_after=2))
    _pass(clock, seconds=19)
    assert not breakers.admits("fal", _MODEL)
    _pass(clock, seconds=1)
    assert breakers.admits("fal", _MODEL)


@pytest.mark.parametrize("kind", [FaultKind.REQUEST, FaultKind.CONTENT_POLICY, FaultKind.UNSUPPORTED])
def test_what_is_wrong_with_a_request_is_no_sign_against_the_provider(
    breakers: Breakers, kind: FaultKind
) -> None:
    _fail(breakers, 50, kind)
    assert breakers.snapshot() == ()


def test_open_ones_go_to_the_end_and_none_is_lost(breakers: Breakers) -> None:
    order = ("fal", "replicate", "bfl", "openai")
    _fail(breakers, 5)
    breakers.failed("bfl", _MODEL, _fault(FaultKind.ACCOUNT))
    assert breakers.ordered(order, _MODEL) == ("replicate", "openai", "fal", "bfl")
    assert breakers.ordered(order, _OTHER) == ("fal", "replicate", "openai", "bfl")
    assert breakers.ordered(("fal",), _MODEL) == ("fal",)


def test_a_snapshot_tells_what_is_out_why_and_until_when(breakers: Breakers, clock: FixedClock) -> None:
    breakers.failed("bfl", _MODEL, _fault(FaultKind.ACCOUNT))
    _fail(breakers, 5)
    breakers.failed("replicate", _MODEL, _fault(FaultKind.THROTTLED))
    _pass(clock, seconds=4)
    assert [(view.provider, view.model, view.cause, view.state) for view in breakers.snapshot()] == [
        ("bfl", "", Cause.ACCOUNT, State.OPEN),
        ("fal", _MODEL, Cause.HEALTH, State.OPEN),
        ("replicate", _MODEL, Cause.THROTTLED, State.OPEN),
    ]
    _pass(clock, seconds=11)
    assert [(view.provider, view.state) for view in breakers.snapshot()] == [
        ("bfl", State.OPEN),
        ("fal", State.HALF_OPEN),
    ]
