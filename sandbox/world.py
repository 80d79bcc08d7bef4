"""The common core of all providers: it takes a submit, decides its fate and remembers it.

A provider's file translates its wire protocol to an `Order` and the `Job` or `Refusal` back into its own words.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .callbacks import Callbacks
from .config import SandboxConfig
from .fate import Repeats, cost_micros, decide, late_s, moderation_of
from .jobs import Job, JobBook
from .knobs import KnobBoard
from .magic import Magic, read_magic
from .media.sketch import MediaShape
from .media.store import MediaStore
from .models import ModelSpec
from .record import Outcome, RequestLog
from .schema import Violation
from .trouble import Trouble

_QUEUE_SHARE = 0.25
"""Share of a job's time that it spends queued before it runs."""

_LONGEST_ECHO = 4_096
"""Characters of one input string that a job keeps; longer ones are data URIs, cut so that memory stays bounded."""


@dataclass(frozen=True)
class Order:
    """One submit, read from the wire by its provider's file."""

    provider: str
    model: str
    """The model as the caller named it."""

    raw: bytes | None
    """The body, or None when it was longer than the sandbox reads."""

    authorized: bool
    spec: ModelSpec | None
    given: Mapping[str, object] | None
    """The model's input, or None when the body held no such object."""

    shape: MediaShape | None
    """What to make; None whenever something above or below is wrong."""

    prompt: str = ""
    prompt_path: tuple[str, ...] = ("prompt",)
    """Where in the body the prompt stands."""

    violations: tuple[Violation, ...] = ()
    seed: object = None
    """The seed asked for, where it does not stand in `given["seed"]`."""

    job_id: str = ""
    webhook: str | None = None
    deadline_s: float | None = None
    """Seconds after which the provider cancels the job by itself."""

    files_life_s: float | None = None
    moderates_at_submit: bool = False
    """Whether the provider's content policy can refuse a prompt before any job is made."""

    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A submit that made no job, or another call that is refused."""

    outcome: Outcome
    trouble: Trouble
    violations: tuple[Violation, ...] = ()
    retry_after_s: int | None = None
    forced_status: int | None = None
    """Status to answer with, whatever the provider's own one is."""


@dataclass(frozen=True)
class Accepted:
    """A submit that made a job; `lost` says that the caller must never get the answer."""

    job: Job
    lost: bool
    hang_s: float
    """Seconds to keep the caller waiting for the first byte."""


class World:
    """Everything one sandbox remembers."""

    def __init__(self, config: SandboxConfig, providers: Iterable[str]) -> None:
        names = list(providers)
        self.config = config
        self.knobs = KnobBoard(names, config.seed, config.clock)
        self.jobs = JobBook(names, config.max_jobs)
        self.log = RequestLog(config.max_log, config.keep_bodies)
        self.media = MediaStore(config.media_cache_bytes, config.encoder_threads)
        self.callbacks = Callbacks(config)
        self._repeats = Repeats()

    def now(self) -> float:
        """Return the time by the sandbox's clock."""
        return self.config.clock()

    def reset(self) -> None:
        """Put the knobs back and forget jobs, reports and log."""
        self.knobs.reset()
        self.jobs.clear()
        self.log.clear()
        self.callbacks.clear()
        self._repeats.clear()

    def note_reset(self, provider: str) -> None:
        """Note a submit that was reset before anything of its body was read."""
        self.log.write(self.now(), provider, "", Outcome.RESET, b"")

    def submit(self, order: Order) -> Accepted | Refusal:
        """Refuse the order, or make its job; note either in the log."""
        magic = read_magic(order.prompt, order.provider)
        refusal = self._refusal(order, magic)
        if refusal is not None:
            self._note(order, magic, refusal.outcome, refusal.trouble)
            return refusal

        job = self._make_job(order, magic)
        self.jobs.add(job)
        lost = self.knobs.take(order.provider, "lose_reply") or magic.asks("lose")
        self._note(order, magic, Outcome.LOST if lost else Outcome.ACCEPTED, None, job)
        self.callbacks.watch(job)

        hang_ms = magic.milliseconds("hang")
        return Accepted(
            job, lost, (self.knobs.of(order.provider).hang_ms if hang_ms is None else hang_ms) / 1000
        )

    def _refusal(self, order: Order, magic: Magic) -> Refusal | None:
        provider = order.provider
        if self.knobs.take(provider, "reset_after"):
            return Refusal(Outcome.RESET, Trouble.UNAVAILABLE)
        if self.knobs.down(provider):
            return Refusal(Outcome.OUTAGE, Trouble.UNAVAILABLE)
        if not order.authorized:
            return Refusal(Outcome.UNAUTHORIZED, Trouble.AUTH)
        if forced := self.knobs.take_refusal(provider):
            return _asked_refusal(order, *forced)
        if order.raw is None:
            return Refusal(Outcome.TOO_LARGE, Trouble.TOO_LARGE)
        if order.given is None and not order.violations:
            return Refusal(Outcome.MALFORMED, Trouble.MALFORMED)
        if order.spec is None and not order.violations:
            return Refusal(Outcome.UNKNOWN_MODEL, Trouble.UNKNOWN_MODEL)
        if order.violations:
            return Refusal(Outcome.INVALID, Trouble.INVALID, order.violations)
        return self._magic_refusal(order, magic)

    def _magic_refusal(self, order: Order, magic: Magic) -> Refusal | None:
        if magic.asks("reset"):
            return Refusal(Outcome.RESET, Trouble.UNAVAILABLE)
        if magic.asks("outage"):
            return Refusal(Outcome.OUTAGE, Trouble.UNAVAILABLE)
        if magic.asks("ratelimit"):
            return _asked_refusal(order, Trouble.RATE, None, 1)
        if magic.asks("invalid"):
            return _asked_refusal(order, Trouble.INVALID, None, None)
        if (reason := magic.word("refuse")) is not None:
            return _asked_refusal(order, Trouble(reason), None, None)
        at_submit = moderation_of(self.knobs.of(order.provider), magic) == "submit"
        if at_submit and order.moderates_at_submit:
            return _asked_refusal(order, Trouble.MODERATION, None, None)
        return None

    def _make_job(self, order: Order, magic: Magic) -> Job:
        if order.spec is None or order.given is None or order.shape is None:
            raise ValueError("an order without violations needs a model, an input and a shape")
        knobs = self.knobs.of(order.provider)
        ordinal = self.jobs.next_ordinal(order.provider)
        dice = random.Random(f"{knobs.seed}:{order.provider}:{ordinal}")  # noqa: S311 - must be repeatable
        is_video = order.spec.media == "video"
        usual_ms = self.config.video_latency_ms if is_video else self.config.image_latency_ms
        earlier = self._repeats.next(order.provider, order.prompt)
        fate = decide(knobs, magic, dice, usual_ms, order.shape.count, earlier)

        shape = replace(order.shape, count=fate.delivered)
        list_price = cost_micros(order.spec.price, shape, order.given, order.spec.defaults)
        asked_seed = order.given.get("seed") if order.seed is None else order.seed
        slow_cancel_ms = magic.milliseconds("slowcancel")
        now = self.now()
        ends_at = now + fate.latency_s
        deadline_at = None if order.deadline_s is None else now + order.deadline_s

        return Job(
            provider=order.provider,
            id=order.job_id,
            ordinal=ordinal,
            spec=order.spec,
            given={name: _shortened(value) for name, value in order.given.items()},
            prompt=order.prompt,
            shape=shape,
            seed=asked_seed if isinstance(asked_seed, int) and asked_seed >= 0 else fate.spare_seed,
            fate=fate.end,
            created_at=now,
            starts_at=now + fate.latency_s * _QUEUE_SHARE,
            ends_at=ends_at,
            price_micros=round(list_price * fate.cost_factor),
            cost_factor=fate.cost_factor,
            asked=order.shape.count,
            webhook=order.webhook,
            callbacks=magic.word("callback") or knobs.callbacks,
            output_fault=magic.word("output") or knobs.output,
            refused_at_output=fate.refused_at_output,
            late_s=late_s(knobs, magic),
            throttled=magic.asks("throttled"),
            ignore_cancel=knobs.ignore_cancel or magic.asks("ignorecancel"),
            cancel_s=(knobs.cancel_ms if slow_cancel_ms is None else slow_cancel_ms) / 1000,
            canceled_at=deadline_at if deadline_at is not None and deadline_at < ends_at else None,
            deadline_at=deadline_at,
            files_life_s=order.files_life_s,
            notes=order.notes,
        )

    def _note(
        self, order: Order, magic: Magic, outcome: Outcome, trouble: Trouble | None, job: Job | None = None
    ) -> None:
        self.log.write(
            self.now(),
            order.provider,
            order.model,
            outcome,
            order.raw or b"",
            trouble=trouble,
            magic=magic.names,
            job=job,
        )


_ASKED_OUTCOMES = {
    Trouble.INVALID: Outcome.INVALID,
    Trouble.MODERATION: Outcome.MODERATED,
    Trouble.RATE: Outcome.RATE_LIMITED,
    Trouble.CAPACITY: Outcome.RATE_LIMITED,
    Trouble.QUOTA: Outcome.RATE_LIMITED,
}


def _asked_refusal(order: Order, trouble: Trouble, status: int | None, retry_after_s: int | None) -> Refusal:
    """Return a refusal that a knob or a token asked for."""
    violations: tuple[Violation, ...] = ()
    if trouble is Trouble.INVALID and status is None:
        violations = (Violation(order.prompt_path, "type", "This prompt asks to be refused"),)
    outcome = Outcome.FORCED if status is not None else _ASKED_OUTCOMES.get(trouble, Outcome.REFUSED)
    return Refusal(outcome, trouble, violations, retry_after_s, status)


def read_object(raw: bytes | None) -> dict[str, object] | None:
    """Return the JSON object in a body, or None when it holds anything else."""
    if raw is None:
        return None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _shortened(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST_ECHO and value.startswith("data:"):
        return value[:_LONGEST_ECHO]
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    return [_shortened(each) for each in value] if isinstance(value, list) else value
