"""What providers report about their jobs. A true report makes a worker ask the provider at once; nothing else of it counts.

A report never changes the state of a generation: what became of a job is what the provider answers when it is asked. The
one thing that a report can teach is which job exists at all, for an attempt whose submit got no answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

from opentelemetry.metrics import get_meter
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.catalog.types import Catalog
from server.generation import store
from server.generation.execution.callback_address import CallbackAddresses
from server.generation.execution.waking import WakeWord, wake_for_callback
from server.providers.protocol import CallbackRefused, ProviderUnreachable
from server.providers.verifiers import Verifiers

Outcome = WakeWord | Literal["misaddressed", "refused", "unverifiable"]
"""What became of a report: the words of waking; or "misaddressed" for an address that we did not make, "refused" for one
that is not the provider's or too old, "unverifiable" when the keys to check it with cannot be had."""

_REPEAT = frozenset({"early", "unverifiable"})
_SUSPECT = frozenset({"misaddressed", "refused", "foreign"})
_received = get_meter("babysea").create_counter(
    "babysea.provider.callbacks", description="Reports of providers, by what became of them."
)
_log = logging.getLogger(__name__)


class Callbacks:
    """Takes reports."""

    def __init__(
        self, engine: AsyncEngine, addresses: CallbackAddresses, verifiers: Verifiers, catalog: Catalog
    ) -> None:
        self._engine = engine
        self._addresses = addresses
        self._verifiers = verifiers
        self._catalog = catalog

    async def receive(self, provider: str, token: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Takes note of a report and says what became of it, which is for logs and metrics only.

        Args:
            provider: that the address names.
            token: the last part of the address.
            headers: of the report, with lower-case names.
            body: exactly as it arrived.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when the same report should come again a little later.
        """
        outcome = await self._outcome(provider, token, headers, body)
        known = provider if provider in self._catalog.providers else "other"
        _received.add(1, {"babysea.provider": known, "babysea.outcome": outcome})
        level = logging.WARNING if outcome in _SUSPECT else logging.INFO
        _log.log(level, "a provider reported", extra={"facts": {"provider": known, "outcome": outcome}})
        if outcome in _REPEAT:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE)
        return outcome

    async def _outcome(self, provider: str, token: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        attempt_id = self._addresses.attempt_of(token)
        verifier = self._verifiers.get(provider)
        if attempt_id is None or verifier is None:
            return "misaddressed"
        reporter = await store.reporter_of(self._engine, attempt_id)
        if reporter is None:
            return "unknown"
        asked, model = reporter
        if asked != provider:
            return "misaddressed"
        try:
            facts = await verifier.verify(headers, body, self._addresses.secret(attempt_id))
        except CallbackRefused:
            return "refused"
        except ProviderUnreachable:
            return "unverifiable"
        ref = verifier.ref_of(facts.job_id, self._catalog.model(model).provider(provider))
        return await wake_for_callback(self._engine, attempt_id, facts.event_id, facts.job_id, ref)
