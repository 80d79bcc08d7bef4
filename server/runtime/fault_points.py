"""Fault points: named moments at which a test may end or halt this very process, to see what a crash there leaves.

They are asleep unless the setting `fault_points` names them, and production does not start with it. A point that is awake
looks for an order: a file of its name in `<data_dir>/fault_points`, which says `KILL` (the process ends by SIGKILL) or
`STOP` (it stands still by SIGSTOP until somebody sends SIGCONT), and after a space at which pass, when not the next one.
Whoever obeys renames the file to `<name>.taken.<pid>` first, so an order is obeyed once, whatever is started again.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from enum import Enum
from pathlib import Path

from kit.settings import Settings
from server.runtime.errors import StartError

FOLDER = "fault_points"
"""Where orders lie, below the data folder."""
_SIGNALS = {"KILL": signal.SIGKILL, "STOP": signal.SIGSTOP}
_log = logging.getLogger(__name__)


class Point(Enum):
    """Every point: its name, the program in which it lies, and what is and is not yet true at that moment."""

    ADMISSION_DECIDING = ("admission.deciding", "server", "a create is about to reach the database")
    ADMISSION_COMMITTED = ("admission.committed", "server", "a create is committed, its caller not told")
    CANCEL_COMMITTED = ("cancel.committed", "server", "a cancel is committed, its caller not told")
    DELETE_COMMITTED = ("delete.committed", "server", "a delete is committed, its caller not told")
    ROTATION_HALFWAY = (
        "rotation.halfway",
        "server",
        "the new key is written, the old one not marked, uncommitted",
    )
    ROTATION_COMMITTED = (
        "rotation.committed",
        "server",
        "a rotation is committed, its caller without the new key",
    )
    REVOCATION_COMMITTED = (
        "revocation.committed",
        "server",
        "a revocation is committed, this process remembers the key",
    )

    LEASE_RECLAIMED = ("lease.reclaimed", "worker", "the jobs of a dead worker are free, and nobody has them")
    JOB_CLAIMED = ("job.claimed", "worker", "a job is claimed, nothing is done with it")
    ATTEMPT_BEGUN = ("attempt.begun", "worker", "an attempt is on record, nothing is sent")
    SUBMIT_ANSWERED = ("submit.answered", "worker", "the provider was asked, its answer is not on record")
    SUBMIT_RECORDED = ("submit.recorded", "worker", "the answer is on record, the job is not given back")
    LOOKUP_FOUND = ("lookup.found", "worker", "a job whose submit had no answer was found, not on record")
    POLL_FINISHED = ("poll.finished", "worker", "the provider said that its job has finished")
    ATTEMPT_OVER = ("attempt.over", "worker", "an attempt ended without an output, nothing follows it yet")
    OUTPUT_FETCHED = ("output.fetched", "worker", "an output is downloaded, not stored")
    OUTPUT_STORED = ("output.stored", "worker", "an output is stored, the generation is not settled")
    SETTLEMENT_DECIDING = ("settlement.deciding", "worker", "a settlement is about to reach the database")
    SETTLEMENT_COMMITTED = (
        "settlement.committed",
        "worker",
        "a settlement is committed, the executor not told",
    )
    DEADLINE_STOPPED = (
        "deadline.stopped",
        "worker",
        "past the deadline the provider was told to stop, not on record",
    )
    CANCEL_TOLD = ("cancel.told", "worker", "the provider was told of a cancel, not on record")
    REMOVAL_TAKEN = ("removal.taken", "worker", "a deleted generation's files are about to be removed")
    REMOVAL_CLEARED = ("removal.cleared", "worker", "a deleted generation's files are removed, not on record")

    def __init__(self, label: str, process: str, moment: str) -> None:
        self.label = label
        self.process = process
        self.moment = moment


_orders: dict[Point, Path] = {}
_passes: Counter[Point] = Counter()


def arm(settings: Settings) -> None:
    """Wakes the points that the setting names, joined by commas, or `all`; every other one sleeps.

    Raises:
        StartError: production has fault points, or one has no such name.
    """
    _orders.clear()
    _passes.clear()
    chosen = _chosen(settings.fault_points)
    if not chosen:
        return
    if settings.mode == "production":
        raise StartError("Production mode refuses fault points; empty BABYSEA_FAULT_POINTS.")
    _orders.update({point: settings.data_dir / FOLDER / point.label for point in chosen})
    _log.warning("fault points are awake: this process ends when it is ordered to")


def reach(point: Point) -> None:
    """Says that this process is at a point; does not return when it was ordered to end there."""
    order = _orders.get(point)
    if order is not None:
        _obey(point, order)


def _chosen(text: str) -> list[Point]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return list(Point)
    known = {point.label: point for point in Point}
    for name in names:
        if name not in known:
            raise StartError(
                f"BABYSEA_FAULT_POINTS names {name!r}, which is no fault point; use all, or some of {', '.join(known)}."
            )
    return [known[name] for name in names]


def _obey(point: Point, order: Path) -> None:
    try:
        word, _, number = order.read_text().partition(" ")
    except FileNotFoundError:
        del _passes[point]
        return
    _passes[point] += 1
    if _passes[point] < int(number or 1):
        return
    del _passes[point]
    try:
        order.rename(order.with_name(f"{order.name}.taken.{os.getpid()}"))
    except FileNotFoundError:
        # Another process came first; an order is for one.
        return
    os.kill(os.getpid(), _SIGNALS[word.strip()])
