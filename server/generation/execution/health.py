"""How the providers are doing, as this worker sees it: which one is chosen next, and who is told when an account is out."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from opentelemetry.metrics import get_meter

from server.generation.execution.work import AttemptView, Work
from server.providers.protocol import Fault
from server.routing.breakers import Breakers

_MOST_ASKED = 4
"""Attempts at a provider that limits us."""
_opened = get_meter("babysea").create_counter(
    "babysea.provider.account_out",
    description="How often our account at an inference provider was found unusable.",
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is tried next."""

    provider: str
    postponed: tuple[str, ...] = ()
    """Providers that stood before it and are put off, because their breakers are open."""


class ProviderHealth:
    """The breakers, told in the executor's words."""

    def __init__(self, breakers: Breakers) -> None:
        self.breakers = breakers

    def choose(self, work: Work) -> Choice | float | None:
        """The provider of the next attempt, or the seconds until one may be asked again; None when nobody is left.

        Who limited us is asked again when all others were tried: such a refusal is the one that certainly made nothing.
        """
        remaining = work.untried
        if remaining:
            first = self.breakers.ordered(remaining, work.model.identifier)[0]
            return Choice(first, remaining[: remaining.index(first)])
        waits = {
            attempt.provider: self._wait(work, attempt)
            for attempt in work.throttled
            if work.asked(attempt.provider) < _MOST_ASKED
        }
        if not waits:
            return None
        soonest = min(waits, key=lambda provider: waits[provider])
        if waits[soonest] <= 0:
            return Choice(soonest)
        return waits[soonest] if waits[soonest] < -work.overdue else None

    def _wait(self, work: Work, attempt: AttemptView) -> float:
        """Seconds until a provider that limited us may be asked again."""
        # By the record as well: another worker may not have heard for how long the provider asked to be left alone.
        since_then = 2.0 ** work.asked(attempt.provider) - work.age(attempt)
        return max(since_then, self.breakers.quiet_for(attempt.provider, work.model.identifier))

    def began(self, work: Work, provider: str) -> None:
        """A request goes out."""
        self.breakers.began(provider, work.model.identifier)

    def delivered(self, work: Work, provider: str) -> None:
        """Its outputs are good."""
        self.breakers.succeeded(provider, work.model.identifier)

    def failed(self, work: Work, provider: str, fault: Fault) -> None:
        """It ended by a fault."""
        if self.breakers.failed(provider, work.model.identifier, fault):
            _opened.add(1, {"babysea.provider": provider})
            _log.error(
                "our account at an inference provider cannot be used; check its credential and its credit",
                extra={"facts": {"provider": provider, "http_status": fault.http_status}},
            )
