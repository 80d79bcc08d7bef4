"""Knobs: how each provider behaves, changed while the sandbox runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)]


def _in_order(span: list[int]) -> list[int]:
    if span[0] > span[1]:
        raise ValueError("give the shortest latency first, then the longest")
    return span


class ForcedStatus(BaseModel):
    """Answer the next `times` submits with `status`, before any job is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    status: Annotated[int, Field(ge=400, le=599)]
    times: Annotated[int, Field(ge=0)] = 1


class RateLimit(BaseModel):
    """Answer the next `times` submits with 429 and `Retry-After: retry_after_s`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    times: Annotated[int, Field(ge=0)] = 1
    retry_after_s: Annotated[int, Field(ge=0, le=3600)] = 1


class Knobs(BaseModel):
    """The settings of one provider; the defaults are a provider in good health."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    latency_ms: (
        Annotated[list[Milliseconds], Field(min_length=2, max_length=2), AfterValidator(_in_order)] | None
    ) = None
    """Shortest and longest job time; None keeps the defaults for images and videos."""

    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of accepted jobs that fail at their end."""

    outage: bool = False
    """Every call to the provider, polls included, is answered with 503."""

    submit_status: ForcedStatus | None = None
    rate_limit: RateLimit | None = None

    hang_ms: Milliseconds = 0
    """How long a submit waits, after the job was accepted, before its first byte."""

    lose_reply: Annotated[int, Field(ge=0)] = 0
    """Accept the next n submits and close their connections without an answer."""

    moderation: bool = False
    """Every accepted job ends as a refusal by the provider's content policy."""

    ignore_cancel: bool = False
    """Cancels of running jobs are answered as usual, and the job finishes all the same."""

    seed: int = 0
    """Start of this provider's random draws."""


class KnobError(ValueError):
    """A change that cannot be made; its text is one sentence for a person."""


class KnobBoard:
    """The knobs of all providers, and the counters that some of them run down."""

    def __init__(self, providers: Iterable[str], seed: int) -> None:
        self._defaults = Knobs(seed=seed)
        self._knobs = dict.fromkeys(providers, self._defaults)

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
        now = self.of(provider).model_dump()
        known = Knobs.model_fields
        for name in wanted:
            if name not in known:
                raise KnobError(f"Unknown knob '{name}'; choose among {', '.join(known)}.")

        defaults = self._defaults.model_dump()
        named = {name: defaults[name] if value is None else value for name, value in wanted.items()}
        try:
            changed = Knobs.model_validate(now | named)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
            raise KnobError(f"Knob '{where}' cannot take that value: {first['msg']}.") from None
        self._knobs[provider] = changed
        return changed

    def reset(self) -> None:
        """Put every knob of every provider back to its default."""
        self._knobs = dict.fromkeys(self._knobs, self._defaults)

    def take_forced_status(self, provider: str) -> int | None:
        """Use up one forced status, if any is left, and return it."""
        knobs = self._knobs[provider]
        forced = knobs.submit_status
        if forced is None or forced.times == 0:
            return None
        self._set(provider, submit_status=forced.model_copy(update={"times": forced.times - 1}))
        return forced.status

    def take_rate_limit(self, provider: str) -> int | None:
        """Use up one rate limit, if any is left, and return its Retry-After in seconds."""
        limit = self._knobs[provider].rate_limit
        if limit is None or limit.times == 0:
            return None
        self._set(provider, rate_limit=limit.model_copy(update={"times": limit.times - 1}))
        return limit.retry_after_s

    def take_lost_reply(self, provider: str) -> bool:
        """Use up one lost reply, if any is left."""
        left = self._knobs[provider].lose_reply
        if left == 0:
            return False
        self._set(provider, lose_reply=left - 1)
        return True

    def _set(self, provider: str, **values: object) -> None:
        self._knobs[provider] = self._knobs[provider].model_copy(update=values)
