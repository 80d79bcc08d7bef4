"""Jobs: what was accepted, and where it stands now, computed from the time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .media.sketch import MediaShape
from .models import ModelSpec


class State(StrEnum):
    """Where a job stands; each provider says it in its own words."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MODERATED = "moderated"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        """Whether the state can still change."""
        return self not in (State.QUEUED, State.RUNNING)


class CancelResult(StrEnum):
    """What a cancel met."""

    REMOVED = "removed"
    STOPPED = "stopped"
    TOO_LATE = "too_late"


@dataclass(slots=True)
class Job:
    """One accepted submit. Times are seconds since the epoch."""

    provider: str
    id: str
    ordinal: int
    """1 for the provider's first job since the last reset."""

    spec: ModelSpec
    given: Mapping[str, object]
    """The input as it was sent; some providers echo it."""

    prompt: str
    shape: MediaShape
    seed: int
    fate: State
    """The final state it reaches when nobody cancels it."""

    created_at: float
    starts_at: float
    ends_at: float
    price_micros: int
    cost_factor: float = 1.0
    """Share of the list price that `price_micros` is."""

    asked: int = 1
    """Outputs that the request asked for; `shape.count` is what is delivered."""

    webhook: str | None = None
    callbacks: str = "send"
    """How reports to the webhook are sent."""

    output_fault: str | None = None
    """What is wrong with the outputs."""

    refused_at_output: bool = False
    """Whether the content policy refused what was made, not what was asked."""

    late_s: float | None = None
    """Seconds after a failure or cancellation at which it turns to success after all."""

    throttled: bool = False
    """Whether it waits because the account has too many jobs; some providers have a word for that."""

    billed_when_stopped: bool = False
    """Whether the provider bills a job that it stopped in the middle."""

    ignore_cancel: bool = False
    cancel_s: float = 0.0
    """Seconds that a cancel takes to have its effect."""

    canceled_at: float | None = None
    deadline_at: float | None = None
    """When the provider cancels it by itself."""

    removed_at: float | None = None
    """When its record was deleted by the caller."""

    files_life_s: float | None = None
    """How long after its end input and outputs are kept; None keeps them as long as the job is remembered."""

    notes: dict[str, str] = field(default_factory=dict)
    """What only the provider's own file needs to remember, such as how the caller named the model."""

    def state(self, now: float) -> State:
        """Return where the job stands at `now`."""
        ended_at, state = self._first_end()
        if now < self.starts_at and now < ended_at:
            return State.QUEUED
        if now < ended_at:
            return State.RUNNING
        late_at = self._late_at()
        return State.SUCCEEDED if late_at is not None and now >= late_at else state

    def ended_at(self, now: float) -> float | None:
        """Return when it became final, or None while it is not."""
        if not self.state(now).final:
            return None
        late_at = self._late_at()
        return late_at if late_at is not None and now >= late_at else self._first_end()[0]

    def last_change(self) -> float:
        """Return when its state changes for the last time, as things stand."""
        late_at = self._late_at()
        return self._first_end()[0] if late_at is None else late_at

    def _first_end(self) -> tuple[float, State]:
        if self.canceled_at is not None and self.canceled_at < self.ends_at:
            return self.canceled_at, State.CANCELED
        return self.ends_at, self.fate

    def _late_at(self) -> float | None:
        ended_at, state = self._first_end()
        return None if self.late_s is None or state is State.SUCCEEDED else ended_at + self.late_s

    def billable_micros(self, now: float) -> int:
        """Return what the provider bills for it as of `now`: the price once it succeeded, else mostly nothing."""
        state = self.state(now)
        stopped = state is State.CANCELED and self.billed_when_stopped and not self.canceled_before_start
        return self.price_micros if state is State.SUCCEEDED or stopped else 0

    def cancel(self, now: float) -> CancelResult:
        """Stop the job where it can still be stopped."""
        state = self.state(now)
        if state.final:
            return CancelResult.TOO_LATE
        if not self.ignore_cancel:
            wanted_at = now + self.cancel_s
            self.canceled_at = wanted_at if self.canceled_at is None else min(wanted_at, self.canceled_at)
        return CancelResult.REMOVED if state is State.QUEUED else CancelResult.STOPPED

    @property
    def canceled_before_start(self) -> bool:
        """Whether it was canceled while it was still queued."""
        return self.canceled_at is not None and self.canceled_at < min(self.starts_at, self.ends_at)


class JobBook:
    """The jobs of all providers, in memory; the oldest are forgotten beyond `most` per provider."""

    def __init__(self, providers: Iterable[str], most: int) -> None:
        self._most = most
        self._jobs: dict[str, OrderedDict[str, Job]] = {name: OrderedDict() for name in providers}
        self._counts = dict.fromkeys(self._jobs, 0)

    def next_ordinal(self, provider: str) -> int:
        """Return the number that the provider's next job will have."""
        return self._counts[provider] + 1

    def add(self, job: Job) -> None:
        """Remember `job`."""
        jobs = self._jobs[job.provider]
        jobs[job.id] = job
        self._counts[job.provider] += 1
        while len(jobs) > self._most:
            _, forgotten = jobs.popitem(last=False)
            # The log may hold the job on; it must not hold its input.
            forgotten.given, forgotten.prompt = {}, ""

    def find(self, provider: str, job_id: str) -> Job | None:
        """Return the job, or None when it is unknown or forgotten."""
        return self._jobs[provider].get(job_id) if provider in self._jobs else None

    def newest_first(self, provider: str) -> Iterator[Job]:
        """Walk the provider's jobs from the last accepted to the first."""
        return reversed(self._jobs[provider].values())

    def oldest_first(self, provider: str) -> Iterator[Job]:
        """Walk the provider's jobs from the first accepted to the last."""
        return iter(self._jobs[provider].values())

    def clear(self) -> None:
        """Forget every job and start counting anew."""
        for name, jobs in self._jobs.items():
            jobs.clear()
            self._counts[name] = 0
