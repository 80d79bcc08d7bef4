"""When a job of ours can have arrived, said by the clock of its provider.

A provider's list of jobs proves that a request never arrived only if it was read back to the moment of the request. That
moment is ours and the stamps in the list are the provider's. Its answers tell its time in their `Date` header, so the
difference is known up to what its own machines differ among each other; without that header it has to be assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from server.providers.http import Answer, date_of

_KNOWN_MARGIN = timedelta(seconds=10)
_ASSUMED_MARGIN = timedelta(minutes=5)
_ARRIVES_WITHIN = timedelta(minutes=2)
"""No call that makes a job to be found again takes that long, so what was made later is not its."""
_NOTHING = timedelta(0)
_FARTHEST_OFF = timedelta(days=1)
"""A clock that is farther off than this is none."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The span in which a job can have been made, by the provider's clock."""

    about: datetime
    """When it was most likely made."""
    margin: timedelta
    """How wrong that may be."""

    @property
    def earliest(self) -> datetime:
        """A job that was made before this moment is not ours."""
        return self.about - self.margin

    @property
    def latest(self) -> datetime:
        """A job that was made after this moment is not ours."""
        return self.about + self.margin + _ARRIVES_WITHIN


def arrival_of(answer: Answer, since: datetime, now: datetime) -> Arrival:
    """When a job was made that was asked for at `since`.

    Args:
        answer: of the provider, just received.
        since: by our clock.
        now: by the same clock, taken after the answer had arrived.
    """
    theirs = date_of(answer.headers.get("date", ""))
    if theirs is None or abs(theirs - now) > _FARTHEST_OFF:
        return Arrival(since, _ASSUMED_MARGIN)
    # Nothing here can make it too late: the header was written before `now`, and is cut to a whole second.
    return Arrival(theirs - max(now - since, _NOTHING), _KNOWN_MARGIN)
