"""Which providers are better left alone for a while. Pure: told what became of attempts, asked before the next one.

Three reasons, each with an end of its own:

* our account there cannot be used: every model is out, for minutes that double while it stays so;
* a model there keeps failing: it is out for seconds that double while its probes fail;
* the provider asked to be left alone: until then.

When the time is over one attempt is let through, and what becomes of it opens or closes the breaker. Each process judges
by its own attempts alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from kit.clock import Clock
from server.providers.protocol import Fault, FaultKind

_ACCOUNT_OPEN = timedelta(minutes=2)
_ACCOUNT_LONGEST = timedelta(minutes=30)
_HEALTH_OPEN = timedelta(seconds=15)
_HEALTH_LONGEST = timedelta(minutes=2)
_WINDOW = timedelta(seconds=60)
_WINDOW_CALLS = 40
_LEAST_CALLS = 5
_FAILURE_RATE = 0.5
_PROBE_EVERY = timedelta(seconds=30)
"""A probe that nothing was heard of for so long does not keep the next one waiting."""
_THROTTLED_DEFAULT = timedelta(seconds=5)


class State(StrEnum):
    """Whether attempts go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """The time is over: the next attempt is the probe."""


class Cause(StrEnum):
    """Why a breaker is not closed."""

    ACCOUNT = "account"
    HEALTH = "health"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class BreakerView:
    """One breaker that is not closed."""

    provider: str
    model: str
    """Empty where every model of the provider is meant."""
    cause: Cause
    state: State
    until: datetime
    """When the next attempt is let through."""


@dataclass(slots=True)
class _Breaker:
    first: timedelta
    longest: timedelta
    until: datetime | None = None
    """None while closed."""
    opened: int = 0
    """How often in a row it opened."""
    probed_at: datetime | None = None

    def state(self, now: datetime) -> State:
        if self.until is None:
            return State.CLOSED
        return State.OPEN if now < self.until else State.HALF_OPEN

    def admits(self, now: datetime) -> bool:
        state = self.state(now)
        if state is not State.HALF_OPEN:
            return state is State.CLOSED
        return self.probed_at is None or now >= self.probed_at + _PROBE_EVERY

    def begin(self, now: datetime) -> None:
        if self.state(now) is State.HALF_OPEN:
            self.probed_at = now

    def open(self, now: datetime) -> bool:
        """Opens it, for longer each time in a row; False when it was open: what was under way then says nothing new."""
        if self.state(now) is State.OPEN:
            return False
        self.until = now + min(self.first * 2 ** min(self.opened, 10), self.longest)
        self.opened += 1
        self.probed_at = None
        return True

    def close(self, now: datetime) -> bool:
        """Closes it; False while it is open: only an attempt made after that says that it is over."""
        if self.state(now) is not State.HALF_OPEN:
            return False
        self.until, self.opened, self.probed_at = None, 0, None
        return True


@dataclass(slots=True)
class _Health:
    breaker: _Breaker = field(default_factory=lambda: _Breaker(_HEALTH_OPEN, _HEALTH_LONGEST))
    outcomes: deque[tuple[datetime, bool]] = field(default_factory=lambda: deque(maxlen=_WINDOW_CALLS))

    def note(self, now: datetime, *, failed: bool) -> None:
        if not failed and self.breaker.close(now):
            self.outcomes.clear()
        self.outcomes.append((now, failed))
        while self.outcomes[0][0] < now - _WINDOW:
            self.outcomes.popleft()
        failures = sum(1 for _, bad in self.outcomes if bad)
        sick = len(self.outcomes) >= _LEAST_CALLS and failures / len(self.outcomes) >= _FAILURE_RATE
        if failed and (sick or self.breaker.state(now) is State.HALF_OPEN) and self.breaker.open(now):
            self.outcomes.clear()


class Breakers:
    """The breakers of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, _Breaker] = {}
        self._health: dict[tuple[str, str], _Health] = {}
        self._quiet: dict[tuple[str, str], datetime] = {}

    def admits(self, provider: str, model: str) -> bool:
        """Whether an attempt may well go there now."""
        now = self._clock.now()
        account = self._accounts.get(provider)
        health = self._health.get((provider, model))
        return (
            (account is None or account.admits(now))
            and (health is None or health.breaker.admits(now))
            and now >= self._quiet.get((provider, model), now)
        )

    def quiet_for(self, provider: str, model: str) -> float:
        """Seconds for which a provider still asks to be left alone with that model; 0 where it does not."""
        now = self._clock.now()
        return max((self._quiet.get((provider, model), now) - now).total_seconds(), 0.0)

    def ordered(self, providers: Sequence[str], model: str) -> tuple[str, ...]:
        """The same providers, those that are better left alone behind the others, else in the order given."""
        good = [provider for provider in providers if self.admits(provider, model)]
        return (*good, *(provider for provider in providers if provider not in good))

    def began(self, provider: str, model: str) -> None:
        """An attempt is made there: where a probe was waited for, this is it."""
        now = self._clock.now()
        if provider in self._accounts:
            self._accounts[provider].begin(now)
        if (provider, model) in self._health:
            self._health[provider, model].breaker.begin(now)

    def succeeded(self, provider: str, model: str) -> None:
        """An attempt delivered, or the provider at least did its part."""
        now = self._clock.now()
        self._answered(provider, now)
        self._health_of(provider, model).note(now, failed=False)

    def failed(self, provider: str, model: str, fault: Fault) -> bool:
        """An attempt ended by a fault; True when our account there has just been found unusable."""
        now = self._clock.now()
        match fault.kind:
            case FaultKind.ACCOUNT:
                breaker = self._accounts.setdefault(provider, _Breaker(_ACCOUNT_OPEN, _ACCOUNT_LONGEST))
                return breaker.open(now)
            case FaultKind.THROTTLED:
                pause = (
                    _THROTTLED_DEFAULT if fault.retry_after is None else timedelta(seconds=fault.retry_after)
                )
                self._quiet[provider, model] = max(now + pause, self._quiet.get((provider, model), now))
            case FaultKind.PROVIDER:
                if fault.http_status is not None:
                    self._answered(provider, now)
                if fault.retry_after is not None:
                    self._quiet[provider, model] = now + timedelta(seconds=fault.retry_after)
                self._health_of(provider, model).note(now, failed=True)
            case FaultKind.REQUEST | FaultKind.CONTENT_POLICY:
                # It judged the request, so it is at work.
                self._answered(provider, now)
                self._health_of(provider, model).note(now, failed=False)
            case FaultKind.UNSUPPORTED:
                pass
        return False

    def snapshot(self) -> tuple[BreakerView, ...]:
        """Every breaker that is not closed, by provider, model and cause."""
        now = self._clock.now()
        views = [
            BreakerView(provider, "", Cause.ACCOUNT, breaker.state(now), breaker.until)
            for provider, breaker in self._accounts.items()
            if breaker.until is not None
        ]
        views += [
            BreakerView(provider, model, Cause.HEALTH, health.breaker.state(now), health.breaker.until)
            for (provider, model), health in self._health.items()
            if health.breaker.until is not None
        ]
        views += [
            BreakerView(provider, model, Cause.THROTTLED, State.OPEN, until)
            for (provider, model), until in self._quiet.items()
            if now < until
        ]
        return tuple(sorted(views, key=lambda view: (view.provider, view.model, view.cause)))

    def _answered(self, provider: str, now: datetime) -> None:
        """The provider took our credential."""
        if provider in self._accounts:
            self._accounts[provider].close(now)

    def _health_of(self, provider: str, model: str) -> _Health:
        return self._health.setdefault((provider, model), _Health())
