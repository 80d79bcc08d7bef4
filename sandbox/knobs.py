"""Knobs: how each provider behaves, changed while the sandbox runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .trouble import Trouble, trouble_of

Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)]
Times = Annotated[int, Field(ge=0)] | None
"""How often something happens; None for ever."""

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


def _in_order(span: list[int]) -> list[int]:
    if span[0] > span[1]:
        raise ValueError("give the shortest latency first, then the longest")
    return span


class ForcedStatus(BaseModel):
    """Answer the next `times` submits with `status`, before any job is made."""

    model_config = _STRICT

    status: Annotated[int, Field(ge=400, le=599)]
    times: Times = 1


class RateLimit(BaseModel):
    """Answer the next `times` submits with 429 and `Retry-After: retry_after_s`."""

    model_config = _STRICT

    times: Times = 1
    retry_after_s: Annotated[int, Field(ge=0, le=86_400)] = 1
    kind: Literal["rate", "capacity", "quota"] = "rate"


class Refuse(BaseModel):
    """Refuse the next `times` submits for a reason, in the provider's own words."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    reason: Literal[
        "invalid",
        "moderation",
        "auth",
        "forbidden",
        "billing",
        "quota",
        "rate",
        "capacity",
        "internal",
        "unavailable",
    ] = Field(alias="as")
    times: Times = 1


class Flap(BaseModel):
    """Be out for `down_ms`, back for `up_ms`, and so on, until `for_ms` after the knob was set."""

    model_config = _STRICT

    down_ms: Annotated[Milliseconds, Field(ge=1)]
    up_ms: Milliseconds = 0
    for_ms: Milliseconds | None = None
    """None ends it after the first time down."""


class Knobs(BaseModel):
    """The settings of one provider; the defaults are a provider in good health."""

    model_config = _STRICT

    latency_ms: (
        Annotated[list[Milliseconds], Field(min_length=2, max_length=2), AfterValidator(_in_order)] | None
    ) = None
    """Shortest and longest job time; None keeps the defaults for images and videos."""

    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of accepted jobs that fail at their end."""

    outage: bool = False
    """Every call to the provider, polls included, is answered with 503."""

    flap: Flap | None = None
    """The same, on and off."""

    submit_status: ForcedStatus | None = None
    rate_limit: RateLimit | None = None
    refuse: Refuse | None = None

    reset_before: Annotated[int, Field(ge=0)] = 0
    """The next n submits are reset before anything of their body is read."""

    reset_after: Annotated[int, Field(ge=0)] = 0
    """The next n submits are read whole and then reset; no job is made."""

    lose_reply: Annotated[int, Field(ge=0)] = 0
    """Accept the next n submits and close their connections without an answer."""

    hang_ms: Milliseconds = 0
    """How long a submit waits, after the job was accepted, before its first byte."""

    moderation: bool | Literal["submit", "task", "output"] = False
    """Every job is refused by the provider's content policy: at once, in the job (true), or at its output."""

    late_success_ms: Milliseconds | None = None
    """Jobs show failure at their end, or cancellation, and turn to success that much later."""

    partial: Annotated[int, Field(ge=0)] | None = None
    """Jobs of more outputs deliver so many; of jobs with one output and one prompt, so many succeed."""

    cost_factor: Annotated[float, Field(ge=0, le=1_000)] = 1.0
    """What the provider bills, and says that it bills, in shares of its list price."""

    output: (
        Literal[
            "forbidden",
            "missing",
            "expired",
            "garbage",
            "truncated",
            "empty",
            "wrongsize",
            "wrongformat",
            "short",
        ]
        | None
    ) = None
    """What is wrong with every output."""

    ignore_cancel: bool = False
    """Cancels of running jobs are answered as usual, and the job finishes all the same."""

    cancel_ms: Milliseconds = 0
    """How long after a cancel was answered the job goes on; it succeeds when its end comes first."""

    callbacks: Literal["send", "none", "twice", "forged", "stale", "reordered"] = "send"
    """How reports to the caller's URL are sent."""

    bare_reply: bool = False
    """Cloudflare only: models of third parties answer without the envelope of the v4 API."""

    seed: int = 0
    """Start of this provider's random draws."""


class KnobError(ValueError):
    """A change that cannot be made; its text is one sentence for a person."""


class KnobBoard:
    """The knobs of all providers, and the counters that some of them run down."""

    def __init__(self, providers: Iterable[str], seed: int, clock: Callable[[], float]) -> None:
        self._defaults = Knobs(seed=seed)
        self._knobs = dict.fromkeys(providers, self._defaults)
        self._clock = clock
        self._flapping_since: dict[str, float] = {}

    def of(self, provider: str) -> Knobs:
        """Return the present knobs of `provider`; KnobError when there is no such provider."""
        if provider not in self._knobs:
            raise KnobError(f"Unknown provider '{provider}'; choose one of {', '.join(self._knobs)}.")
        return self._knobs[provider]

    def all(self) -> dict[str, Knobs]:
        """Return the knobs of every provider by name."""
        return dict(self._knobs)

    def change(self, provider: str, wanted: Mapping[str, object]) -> Knobs:
        """Set the named knobs and leave the others; null puts a knob back to its default."""
        now = self.of(provider).model_dump(by_alias=True)
        known = Knobs.model_fields
        for name in wanted:
            if name not in known:
                raise KnobError(f"Unknown knob '{name}'; choose among {', '.join(known)}.")

        defaults = self._defaults.model_dump(by_alias=True)
        named = {name: defaults[name] if value is None else value for name, value in wanted.items()}
        try:
            changed = Knobs.model_validate(now | named)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
            raise KnobError(f"Knob '{where}' cannot take that value: {first['msg']}.") from None
        self._knobs[provider] = changed
        if "flap" in wanted:
            self._flapping_since[provider] = self._clock()
        return changed

    def reset(self) -> None:
        """Put every knob of every provider back to its default."""
        self._knobs = dict.fromkeys(self._knobs, self._defaults)

    def down(self, provider: str) -> bool:
        """Say whether the provider is out now."""
        knobs = self._knobs[provider]
        if knobs.outage or knobs.flap is None:
            return knobs.outage
        flap = knobs.flap
        since_ms = (self._clock() - self._flapping_since.get(provider, 0.0)) * 1000
        if since_ms >= (flap.down_ms if flap.for_ms is None else flap.for_ms):
            return False
        return since_ms % (flap.down_ms + flap.up_ms) < flap.down_ms

    def take_refusal(self, provider: str) -> tuple[Trouble, int | None, int | None] | None:
        """Use up one forced refusal, if any is left; return its class, forced status and Retry-After."""
        knobs = self._knobs[provider]
        forced, limit, refuse = knobs.submit_status, knobs.rate_limit, knobs.refuse
        if forced is not None and forced.times != 0:
            self._set(provider, submit_status=forced.model_copy(update={"times": _less(forced.times)}))
            return trouble_of(forced.status), forced.status, None
        if limit is not None and limit.times != 0:
            self._set(provider, rate_limit=limit.model_copy(update={"times": _less(limit.times)}))
            return Trouble(limit.kind), None, limit.retry_after_s
        if refuse is not None and refuse.times != 0:
            self._set(provider, refuse=refuse.model_copy(update={"times": _less(refuse.times)}))
            return Trouble(refuse.reason), None, None
        return None

    def take(self, provider: str, name: Literal["reset_before", "reset_after", "lose_reply"]) -> bool:
        """Use up one of a counting knob, if any is left."""
        left: int = getattr(self._knobs[provider], name)
        if left == 0:
            return False
        self._set(provider, **{name: left - 1})
        return True

    def _set(self, provider: str, **values: object) -> None:
        self._knobs[provider] = self._knobs[provider].model_copy(update=values)


def _less(times: int | None) -> int | None:
    return None if times is None else times - 1
