"""Late successes: a job that is finished after its provider had said that it failed or was stopped.

Whoever reads an attempt's end believes the provider. Whether the provider keeps to it shows later: by its report, or when it
is asked once more. A late success is never delivered or charged; the money it costs must be on record.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from opentelemetry.metrics import get_meter
from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncEngine

from kit.telemetry import GENERATION_ATTRIBUTE, joined_span
from server.generation.execution import late_store as store
from server.generation.execution.costs import finished_micros
from server.generation.execution.late_store import LateLook
from server.generation.execution.loading import Loading
from server.generation.execution.persistence import DATABASE_ERRORS
from server.generation.execution.tracing import traceparent_of
from server.providers.protocol import Finished, Lost, Pending, ProviderUnreachable, believed
from server.providers.registry import Providers
from server.runtime.database_errors import is_refused
from server.runtime.encryption import DecryptionError
from server.runtime.leases import Job
from server.runtime.repeating import Repeating

_IDLE_SECONDS = 1.0
_BATCH = 20
_LEASE_SECONDS = 120.0
_SECOND_LOOK_SECONDS = 600.0
_LOOKS = 2
"""Answers of "no success" after which a provider is believed. Its report starts one more look at any time."""
_STILL_GOING_SECONDS = 60.0
_AWAY_SECONDS = 300.0
_LONGEST_SECONDS = 86_400.0
"""No provider keeps its jobs for longer than this."""
_found = get_meter("babysea").create_counter(
    "babysea.provider.late_success",
    description="Jobs that were finished after their provider had said that they failed or were stopped.",
)
_log = logging.getLogger(__name__)


class LateSuccesses(Repeating):
    """Asks about attempts that ended without success; a context manager around the worker's run."""

    def __init__(self, engine: AsyncEngine, providers: Providers, loading: Loading) -> None:
        super().__init__("late successes", _IDLE_SECONDS, trouble="late successes could not be looked for")
        self._engine = engine
        self._providers = providers
        self._loading = loading

    async def once(self) -> float | None:
        """Looks at a batch; at once again after a full one."""
        return 0 if await self.work() == _BATCH else None

    async def work(self) -> int:
        """Asks about what is due; how many attempts that were. One that fails comes again later, and spoils no other."""
        due = await store.take(self._engine, _BATCH, _LEASE_SECONDS)
        await asyncio.gather(*(self._look_safely(look) for look in due))
        return len(due)

    async def _look_safely(self, look: LateLook) -> None:
        try:
            parent = await traceparent_of(self._engine, look.generation_id)
            attributes = {GENERATION_ATTRIBUTE: str(look.generation_id)}
            with joined_span("late look", parent, kind=SpanKind.CONSUMER, attributes=attributes):
                await self._look(look)
        except Exception:  # noqa: BLE001 - one attempt's failure is no other's
            facts = {"attempt_id": str(look.attempt_id), "provider": look.provider}
            _log.warning("a late look failed", exc_info=True, extra={"facts": facts})
            # What cannot be noted now is due again when its lease ends, and noted then.
            with suppress(*DATABASE_ERRORS):
                await self._again(look, answered=False, pause=_AWAY_SECONDS)

    async def _look(self, look: LateLook) -> None:
        adapter = self._providers.get(look.provider)
        try:
            progress = None if adapter is None else believed(await adapter.poll(look.ref))
        except ProviderUnreachable:
            progress = None
        match progress:
            case None:
                await self._again(look, answered=False, pause=_AWAY_SECONDS)
            case Finished():
                await self._book(look, progress)
            case Pending() if adapter is not None:
                # Nobody waits for it, and it costs money as soon as it is done.
                await adapter.cancel(look.ref)
                await self._again(look, answered=False, pause=_STILL_GOING_SECONDS)
            case Lost():
                await self._again(look, answered=True, pause=None)
            case _:
                enough = look.looks + 1 >= _LOOKS
                await self._again(look, answered=True, pause=None if enough else _SECOND_LOOK_SECONDS)

    async def _again(self, look: LateLook, *, answered: bool, pause: float | None) -> None:
        if look.age_seconds > _LONGEST_SECONDS:
            pause = None
        await store.note(self._engine, look, answered=answered, pause=pause)

    async def _book(self, look: LateLook, finished: Finished) -> None:
        cost = await self._cost(look, finished)
        if not await store.book(self._engine, look, cost):
            return
        _found.add(1, {"babysea.provider": look.provider})
        facts = {"generation_id": str(look.generation_id), "provider": look.provider, "cost_micros": cost}
        _log.warning("a job was finished after its attempt had ended", extra={"facts": facts})

    async def _cost(self, look: LateLook, finished: Finished) -> int | None:
        """What it costs; None where nobody can say, because that it is owed must be on record all the same."""
        if finished.cost_micros is not None:
            return finished.cost_micros
        try:
            # To read what was asked for; nothing is written in this job's name.
            work = await self._loading.load(Job(look.generation_id, token=0, attempt=0))
            return None if work is None else finished_micros(work, look.provider, finished)
        except DecryptionError:
            # Deleted or erased meanwhile, so nobody knows any more what was asked for.
            return None
        except Exception as error:
            # A database that is away now can say it at the next look, as long as there is one.
            away = isinstance(error, DATABASE_ERRORS) and not is_refused(error)
            if away and look.age_seconds <= _LONGEST_SECONDS:
                raise
            facts = {"attempt_id": str(look.attempt_id), "provider": look.provider}
            _log.warning("what a late success costs is not known", exc_info=True, extra={"facts": facts})
            return None
