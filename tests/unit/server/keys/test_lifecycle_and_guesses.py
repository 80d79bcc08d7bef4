"""Where a key is in its life, and how many guesses at it cost something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babysea.keys.v1 import keys_pb2
from kit.clock import FixedClock
from kit.errors import BabySeaError
from server.keys.guesses import GUESSES_PER_WINDOW, Guesses
from server.keys.lifecycle import refusal, status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
ACTIVE, ROTATED = keys_pb2.KEY_STATUS_ACTIVE, keys_pb2.KEY_STATUS_ROTATED
EXPIRED, REVOKED = keys_pb2.KEY_STATUS_EXPIRED, keys_pb2.KEY_STATUS_REVOKED


@dataclass
class Life:
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_at: datetime | None = None


@pytest.mark.parametrize(
    ("life", "told", "works"),
    [
        (Life(), ACTIVE, True),
        (Life(expires_at=FUTURE), ACTIVE, True),
        (Life(expires_at=NOW), EXPIRED, False),
        (Life(expires_at=PAST), EXPIRED, False),
        (Life(expires_at=FUTURE, rotated_at=PAST), ROTATED, True),
        (Life(expires_at=NOW, rotated_at=PAST), ROTATED, False),
        (Life(revoked_at=PAST), REVOKED, False),
        (Life(expires_at=FUTURE, revoked_at=PAST, rotated_at=PAST), REVOKED, False),
        (Life(expires_at=PAST, revoked_at=PAST), REVOKED, False),
    ],
)
def test_every_state_has_one_status_and_works_or_not(life: Life, told: int, works: bool) -> None:
    assert status(life, NOW) == told
    assert (refusal(life, NOW) is None) == works


def test_checks_are_counted_until_the_limit_and_again_in_the_next_window() -> None:
    clock = FixedClock(NOW)
    guesses = Guesses(clock)
    for _ in range(GUESSES_PER_WINDOW):
        guesses.take("a")
    clock.at += timedelta(seconds=20)
    with pytest.raises(BabySeaError) as refused:
        guesses.take("a")
    assert refused.value.spec.name == "AUTH_RATE_LIMITED"
    assert refused.value.details == {"retry_after_seconds": "40", "limit": "10"}
    guesses.take("b")
    clock.at += timedelta(seconds=40)
    guesses.take("a")


def test_the_least_recently_tried_id_is_forgotten_first() -> None:
    guesses = Guesses(FixedClock(NOW), limit=1, remembered=2)
    for public_id in ("a", "b", "c", "a"):
        guesses.take(public_id)
    with pytest.raises(BabySeaError):
        guesses.take("c")


@given(st.lists(st.booleans(), max_size=60))
def test_whatever_the_order_never_more_than_the_limit_are_wrong_or_running(rights: list[bool]) -> None:
    guesses, wrong = Guesses(FixedClock(NOW)), 0
    for right in rights:
        try:
            guesses.take("a")
        except BabySeaError:
            assert wrong == GUESSES_PER_WINDOW
            continue
        if right:
            guesses.give_back("a")
        else:
            wrong += 1
        assert wrong <= GUESSES_PER_WINDOW
