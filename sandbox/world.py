"""The common core of all providers: it takes a submit, decides its fate and remembers it.

A provider's file translates its wire protocol to an `Order` and the `Job` or `Refusal` back into its own words.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .config import SandboxConfig
from .jobs import Job, JobBook, State
from .knobs import KnobBoard
from .magic import Magic, read_magic
from .media.sketch import MediaShape
from .media.store import MediaStore
from .models import ModelSpec, Price
from .record import Outcome, RequestLog
from .schema import Violation

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
    job_id: str = ""
    webhook: str | None = None
    deadline_s: float | None = None
    """Seconds after which the provider cancels the job by itself."""

    files_life_s: float | None = None
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A submit that made no job."""

    outcome: Outcome
    status: int
    violations: tuple[Violation, ...] = ()
    retry_after_s: int | None = None


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
        self.knobs = KnobBoard(names, config.seed)
        self.jobs = JobBook(names, config.max_jobs)
        self.log = RequestLog(config.max_log, config.keep_bodies)
        self.media = MediaStore(config.media_cache_bytes, config.encoder_threads)

    def now(self) -> float:
        """Return the time by the sandbox's clock."""
        return self.config.clock()

    def reset(self) -> None:
        """Put the knobs back and forget jobs and log."""
        self.knobs.reset()
        self.jobs.clear()
        self.log.clear()

    def submit(self, order: Order) -> Accepted | Refusal:
        """Refuse the order, or make its job; note either in the log."""
        magic = read_magic(order.prompt, order.provider)
        refusal = self._refusal(order, magic)
        if refusal is not None:
            self._note(order, magic, refusal.outcome)
            return refusal

        job = self._make_job(order, magic)
        self.jobs.add(job)
        lost = self.knobs.take_lost_reply(order.provider) or magic.asks("lose")
        self._note(order, magic, Outcome.LOST if lost else Outcome.ACCEPTED, job)

        return Accepted(job, lost, self.knobs.of(order.provider).hang_ms / 1000)

    def _refusal(self, order: Order, magic: Magic) -> Refusal | None:
        provider = order.provider
        if self.knobs.of(provider).outage:
            return Refusal(Outcome.OUTAGE, 503)
        if not order.authorized:
            return Refusal(Outcome.UNAUTHORIZED, 401)
        if (forced := self.knobs.take_forced_status(provider)) is not None:
            return Refusal(Outcome.FORCED, forced)
        if (wait_s := self.knobs.take_rate_limit(provider)) is not None:
            return Refusal(Outcome.RATE_LIMITED, 429, retry_after_s=wait_s)
        if order.raw is None:
            return Refusal(Outcome.TOO_LARGE, 413)
        if order.given is None and not order.violations:
            return Refusal(Outcome.MALFORMED, 400)
        if order.spec is None and not order.violations:
            return Refusal(Outcome.UNKNOWN_MODEL, 404)
        if order.violations:
            return Refusal(Outcome.INVALID, 422, order.violations)
        if magic.asks("outage"):
            return Refusal(Outcome.OUTAGE, 503)
        if magic.asks("ratelimit"):
            return Refusal(Outcome.RATE_LIMITED, 429, retry_after_s=1)
        if magic.asks("invalid"):
            wrong = Violation(order.prompt_path, "type", "This prompt asks to be refused")
            return Refusal(Outcome.INVALID, 422, (wrong,))
        return None

    def _make_job(self, order: Order, magic: Magic) -> Job:
        if order.spec is None or order.given is None or order.shape is None:
            raise ValueError("an order without violations needs a model, an input and a shape")
        knobs = self.knobs.of(order.provider)
        ordinal = self.jobs.next_ordinal(order.provider)
        dice = random.Random(f"{knobs.seed}:{order.provider}:{ordinal}")  # noqa: S311 - must be repeatable
        fails = dice.random() < knobs.failure_rate
        latency_s = self._latency_ms(order, magic, dice) / 1000
        asked_seed = order.given.get("seed")
        spare_seed = dice.randrange(2**31)
        now = self.now()
        deadline_at = None if order.deadline_s is None else now + order.deadline_s

        fate = State.SUCCEEDED
        if magic.asks("moderate") or knobs.moderation:
            fate = State.MODERATED
        elif magic.asks("fail") or fails:
            fate = State.FAILED

        return Job(
            provider=order.provider,
            id=order.job_id,
            ordinal=ordinal,
            spec=order.spec,
            given={name: _shortened(value) for name, value in order.given.items()},
            prompt=order.prompt,
            shape=order.shape,
            seed=asked_seed if isinstance(asked_seed, int) and asked_seed >= 0 else spare_seed,
            fate=fate,
            created_at=now,
            starts_at=now + latency_s * _QUEUE_SHARE,
            ends_at=now + latency_s,
            price_micros=cost_micros(order.spec.price, order.shape, order.given, order.spec.defaults),
            webhook=order.webhook,
            ignore_cancel=knobs.ignore_cancel or magic.asks("ignorecancel"),
            canceled_at=deadline_at if deadline_at is not None and deadline_at < now + latency_s else None,
            deadline_at=deadline_at,
            files_life_s=order.files_life_s,
            notes=order.notes,
        )

    def _latency_ms(self, order: Order, magic: Magic, dice: random.Random) -> float:
        if magic.slow_ms is not None:
            return magic.slow_ms
        span = self.knobs.of(order.provider).latency_ms
        if span is not None:
            return dice.uniform(span[0], span[1])
        is_video = order.spec is not None and order.spec.media == "video"
        return dice.uniform(*(self.config.video_latency_ms if is_video else self.config.image_latency_ms))

    def _note(self, order: Order, magic: Magic, outcome: Outcome, job: Job | None = None) -> None:
        self.log.write(
            self.now(), order.provider, order.model, outcome, order.raw or b"", magic=magic.names, job=job
        )


def cost_micros(
    price: Price, shape: MediaShape, given: Mapping[str, object], defaults: Mapping[str, object]
) -> int:
    """Return what a finished job costs upstream, in micro-dollars."""
    if price.unit == "image":
        return price.micros * shape.count
    if price.unit == "megapixel":
        return price.micros * math.ceil(shape.width * shape.height / 1_000_000) * shape.count
    if price.unit == "video":
        return price.micros

    silent = price.silent_micros is not None and not shape.audio
    per_second = price.silent_micros if silent and price.silent_micros is not None else price.micros
    resolution = str(given.get("resolution", defaults.get("resolution", "")))
    return round(price.by_resolution.get(resolution, per_second) * shape.seconds)


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
    return value
