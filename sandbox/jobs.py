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
    webhook: str | None = None
    ignore_cancel: bool = False
    canceled_at: float | None = None
    deadline_at: float | None = None
    """When the provider cancels it by itself."""

    files_life_s: float | None = None
    """How long after its end input and outputs are kept; None keeps them as long as the job is remembered."""

    notes: dict[str, str] = field(default_factory=dict)
    """What only the provider's own file needs to remember, such as how the caller named the model."""

    def state(self, now: float) -> State:
        """Return where the job stands at `now`."""
        if self.canceled_at is not None and self.canceled_at <= now:
            return State.CANCELED
        if now < self.starts_at:
            return State.QUEUED
        return State.RUNNING if now < self.ends_at else self.fate

    def ended_at(self, now: float) -> float | None:
        """Return when it became final, or None while it is not."""
        state = self.state(now)
        if not state.final:
            return None
        return self.canceled_at if state is State.CANCELED else self.ends_at

    def billable_micros(self, now: float) -> int:
        """Return what the provider bills for it as of `now`: the price once it succeeded, else nothing."""
        return self.price_micros if self.state(now) is State.SUCCEEDED else 0

    def cancel(self, now: float) -> CancelResult:
        """Stop the job where it can still be stopped."""
        state = self.state(now)
        if state.final:
            return CancelResult.TOO_LATE
        if not self.ignore_cancel:
            self.canceled_at = now
        return CancelResult.REMOVED if state is State.QUEUED else CancelResult.STOPPED

    @property
    def canceled_before_start(self) -> bool:
        """Whether it was canceled while it was still queued."""
        return self.canceled_at is not None and self.canceled_at < self.starts_at


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
