"""Wrong keys per key id: how many of them may cost bcrypt."""

from __future__ import annotations

import math
from collections import OrderedDict

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError

WINDOW_SECONDS = 60.0
"""Length of a window; it begins with the first guess in it."""

GUESSES_PER_WINDOW = 10
"""Wrong keys of one id that a process checks with bcrypt per window."""

_REMEMBERED = 50_000


class Guesses:
    """Counts the checks that are running or that failed, per key id, whether or not there is such a key.

    Counted before the check begins, so that a hundred at once are no cheaper to try than a hundred in a row. Only a
    digest that this process does not know yet is counted: the holder of a key in use does not notice the guessing.
    """

    def __init__(self, clock: Clock, limit: int = GUESSES_PER_WINDOW, remembered: int = _REMEMBERED) -> None:
        """Takes the clock, the limit, and how many ids to remember; the least recently tried is forgotten first."""
        self._clock = clock
        self._limit = limit
        self._remembered = remembered
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, public_id: str) -> None:
        """Counts a check that is about to run.

        Raises:
            BabySeaError: AUTH_RATE_LIMITED when too many keys of this id were wrong.
        """
        now, begun, count = self._current(public_id)
        if count >= self._limit:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_AUTH_RATE_LIMITED,
                "Too many wrong keys with this id. Please retry after the period indicated in the Retry-After header.",
                details={
                    "retry_after_seconds": str(max(1, math.ceil(begun + WINDOW_SECONDS - now))),
                    "limit": str(self._limit),
                },
            )
        self._put(public_id, begun, count + 1)

    def give_back(self, public_id: str) -> None:
        """Takes back the count of a check that found the key right, or that could not be made."""
        _, begun, count = self._current(public_id)
        if count > 0:
            self._put(public_id, begun, count - 1)

    def _put(self, public_id: str, begun: float, count: int) -> None:
        self._windows[public_id] = (begun, count)
        self._windows.move_to_end(public_id)
        if len(self._windows) > self._remembered:
            self._windows.popitem(last=False)

    def _current(self, public_id: str) -> tuple[float, float, int]:
        now = self._clock.now().timestamp()
        begun, count = self._windows.get(public_id, (now, 0))
        if now >= begun + WINDOW_SECONDS:
            begun, count = now, 0
        return now, begun, count
