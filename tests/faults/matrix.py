"""What is tried: every fault point in the outcomes in which it is passed, with either process killed there.

And, with two workers, one that stands still at a point until the other has ended the generation, and then goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from server.runtime.fault_points import Point

Victim = Literal["server", "worker", "stalled"]
"""Which process is killed; `stalled` where none is, and the worker at the point only loses its lease."""
PROCESSES: tuple[Victim, ...] = ("server", "worker")


@dataclass(frozen=True)
class Ending:
    """How a generation must end: its state, and the jobs that the sandbox may have accepted for it by provider."""

    state: str
    jobs: Mapping[str, int]

    @property
    def words(self) -> str:
        """The kinds of its journal rows, in order: hold and capture, or hold and release."""
        return "hc" if self.state == "succeeded" else "hr"


@dataclass(frozen=True)
class Outcome:
    """What a customer asks for, and what becomes of it when nobody is killed."""

    name: str
    prompt: str
    ends: Ending
    body: Mapping[str, object] = field(default_factory=dict)
    then: Literal["", "cancel", "delete"] = ""
    """What the customer does once the generation is in the state `when`."""
    when: Literal["accepted", "succeeded"] = "accepted"
    keyed: bool = False
    """Whether the POST has an Idempotency-Key."""


ONE = {"replicate": 1}
BOTH = {"replicate": 1, "fal": 1}
SHORT = 8
"""Seconds to the deadline of generations that must reach it."""

SUCCESS = Outcome("success", "", Ending("succeeded", ONE))
KEYED = Outcome("success, with a key", "", Ending("succeeded", ONE), keyed=True)
FAILOVER = Outcome("failover", "[[fail@replicate]]", Ending("succeeded", BOTH))
SECOND = Outcome(
    "failover, second attempt",
    "[[fail@replicate]]",
    Ending("succeeded", BOTH),
    {"generation_deadline_seconds": 12},
)
ALL_FAILED = Outcome("every provider failed", "[[fail]]", Ending("failed", BOTH))
REFUSED = Outcome("refused by policy", "[[moderate]]", Ending("failed", ONE))
LOST = Outcome("answer lost, job listed", "[[lose@replicate]] [[callback=none]]", Ending("succeeded", ONE))
UNKNOWN = Outcome(
    "answer lost, nobody to ask",
    "[[lose]] [[callback=none]]",
    Ending("failed", {"fal": 1}),
    {"generation_provider_order": "fal", "generation_deadline_seconds": SHORT},
)
DEADLINE = Outcome(
    "deadline", "[[slow=60000]]", Ending("failed", ONE), {"generation_deadline_seconds": SHORT}
)
CANCEL = Outcome("cancel", "[[slow=60000]]", Ending("canceled", ONE), then="cancel")
LATE = Outcome(
    "cancel, success too late", "[[slow=4000]] [[ignorecancel]]", Ending("canceled", ONE), then="cancel"
)
DELETE = Outcome("delete", "", Ending("succeeded", ONE), then="delete", when="succeeded")
DELETE_EARLY = Outcome("delete in flight", "[[slow=60000]]", Ending("canceled", ONE), then="delete")


@dataclass(frozen=True)
class Cell:
    """One crash: where, which process is killed there, in which outcome."""

    point: Point
    killed: Victim
    outcome: Outcome | Literal["rotation", "revocation"]
    at: int = 1
    """At which pass of the point."""
    before: Point | None = None
    """A point at which the worker must die first, for this one to be passed at all."""
    ends: Ending | None = None
    """The ending, where the crash leads to another one than the outcome's."""

    @property
    def outcome_name(self) -> str:
        """The outcome, for people."""
        return self.outcome if isinstance(self.outcome, str) else self.outcome.name

    @property
    def stalled(self) -> bool:
        """Whether the worker at the point stands still until another one has done its work, and then goes on."""
        return self.killed == "stalled"

    @property
    def later(self) -> bool:
        """Whether the point lies in what the customer does with a generation, not in its making."""
        return self.point in _LATER


_LATER = {
    Point.CANCEL_COMMITTED,
    Point.DELETE_COMMITTED,
    Point.CANCEL_TOLD,
    Point.REMOVAL_TAKEN,
    Point.REMOVAL_CLEARED,
}


def _both(
    point: Point,
    *outcomes: Outcome | Literal["rotation", "revocation"],
    at: int = 1,
    before: Point | None = None,
) -> list[Cell]:
    return [Cell(point, killed, outcome, at, before) for outcome in outcomes for killed in PROCESSES]


CELLS: tuple[Cell, ...] = (
    *_both(Point.ADMISSION_DECIDING, SUCCESS, KEYED),
    *_both(Point.ADMISSION_COMMITTED, SUCCESS, KEYED),
    *_both(Point.CANCEL_COMMITTED, CANCEL, LATE),
    *_both(Point.DELETE_COMMITTED, DELETE, DELETE_EARLY),
    *_both(Point.ROTATION_HALFWAY, "rotation"),
    *_both(Point.ROTATION_COMMITTED, "rotation"),
    *_both(Point.REVOCATION_COMMITTED, "revocation"),
    *_both(Point.LEASE_RECLAIMED, SUCCESS, before=Point.JOB_CLAIMED),
    *_both(Point.JOB_CLAIMED, SUCCESS),
    # The provider lists its jobs and has none, so the next one is tried; where nobody can be asked, nobody else is.
    Cell(Point.ATTEMPT_BEGUN, "server", SUCCESS),
    Cell(Point.ATTEMPT_BEGUN, "worker", SUCCESS, ends=Ending("succeeded", {"fal": 1})),
    Cell(Point.ATTEMPT_BEGUN, "server", UNKNOWN),
    Cell(Point.ATTEMPT_BEGUN, "worker", UNKNOWN, ends=Ending("failed", {})),
    *_both(Point.SUBMIT_ANSWERED, SUCCESS, UNKNOWN),
    Cell(Point.SUBMIT_ANSWERED, "server", SECOND, at=2),
    Cell(Point.SUBMIT_ANSWERED, "worker", SECOND, at=2, ends=Ending("failed", BOTH)),
    *_both(Point.SUBMIT_RECORDED, SUCCESS, UNKNOWN),
    *_both(Point.LOOKUP_FOUND, LOST),
    *_both(Point.POLL_FINISHED, SUCCESS, FAILOVER),
    *_both(Point.ATTEMPT_OVER, FAILOVER, REFUSED, ALL_FAILED),
    *_both(Point.OUTPUT_FETCHED, SUCCESS),
    *_both(Point.OUTPUT_STORED, SUCCESS, FAILOVER),
    *_both(Point.SETTLEMENT_DECIDING, SUCCESS, REFUSED, DEADLINE),
    *_both(Point.SETTLEMENT_COMMITTED, SUCCESS, REFUSED, DEADLINE),
    *_both(Point.DEADLINE_STOPPED, DEADLINE),
    *_both(Point.CANCEL_TOLD, CANCEL, LATE, DELETE_EARLY),
    *_both(Point.REMOVAL_TAKEN, DELETE),
    *_both(Point.REMOVAL_CLEARED, DELETE),
)
"""Every crash, in an order that gives each process its turn: the supervisor puts off what dies again and again."""

STALLS: tuple[Cell, ...] = (
    Cell(Point.JOB_CLAIMED, "stalled", SUCCESS),
    # It was never sent, and must not be sent once the next provider has been asked.
    Cell(Point.ATTEMPT_BEGUN, "stalled", SUCCESS, ends=Ending("succeeded", {"fal": 1})),
    Cell(Point.SUBMIT_ANSWERED, "stalled", SUCCESS),
    Cell(Point.SUBMIT_RECORDED, "stalled", SUCCESS),
    Cell(Point.POLL_FINISHED, "stalled", SUCCESS),
    Cell(Point.ATTEMPT_OVER, "stalled", FAILOVER),
    Cell(Point.OUTPUT_FETCHED, "stalled", SUCCESS),
    Cell(Point.OUTPUT_STORED, "stalled", SUCCESS),
    Cell(Point.SETTLEMENT_DECIDING, "stalled", SUCCESS),
    Cell(Point.SETTLEMENT_DECIDING, "stalled", REFUSED),
    Cell(Point.SETTLEMENT_COMMITTED, "stalled", SUCCESS),
    Cell(Point.DEADLINE_STOPPED, "stalled", DEADLINE),
    Cell(Point.CANCEL_TOLD, "stalled", LATE),
)
"""Every stall: a worker that comes back when all is over, with what it knew before."""
