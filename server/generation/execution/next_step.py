"""What follows a step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Again:
    """Look again after so many seconds."""

    pause: float


@dataclass(frozen=True, slots=True)
class Over:
    """The job has ended; `finish` says whether its row still stands."""

    finish: bool


Next = Again | Over
