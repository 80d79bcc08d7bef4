"""A finished job: its outputs are fetched, checked and stored, and its generation is settled; or it is thrown away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from babysea.common.v1 import error_reason_pb2
from server.catalog import Catalog
from server.generation.execution import store
from server.generation.execution.attempts import Attempts
from server.generation.execution.costs import finished_micros
from server.generation.execution.health import ProviderHealth
from server.generation.execution.next_step import Again, Next, Over
from server.generation.execution.outputs import Delivered, Delivery
from server.generation.execution.persistence import insist
from server.generation.execution.store import Settlement
from server.generation.execution.work import AttemptView, Work
from server.generation.pricing import captured_micros
from server.generation.storage import StorageError
from server.providers.download import DownloadError, LocalStorageError
from server.providers.protocol import Fault, FaultKind, Finished
from server.runtime.combiner import Combiner

_RETRY_PAUSE = 2.0
_LONGEST_STORAGE_PAUSE = 60.0
_STORAGE_GRACE_SECONDS = 900.0
"""How long after its deadline a finished job waits for our own storage before it is given up."""
_PATIENT_SECONDS = 60.0
"""How long after its first failure a host of files is asked again, however late its job was done."""
_REMEMBERED_TROUBLE = 10_000
_HELD_SECONDS = 120.0
"""How long outputs that exist nowhere but here wait in memory for our own storage."""
_NOTHING = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_INVALID_RESPONSE,
    "The inference provider delivered nothing of what was asked.",
)


@dataclass(frozen=True, slots=True)
class Discarded:
    """The attempt is over without an output for the customer: the next provider is due."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """Our own storage was away for too long: the generation must be given up."""

    cost: int | None


class Finishing:
    """Turns finished jobs into settled generations."""

    def __init__(
        self,
        settlements: Combiner[Settlement, str],
        catalog: Catalog,
        attempts: Attempts,
        delivery: Delivery,
        health: ProviderHealth,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settlements = settlements
        self._catalog = catalog
        self._attempts = attempts
        self._delivery = delivery
        self._health = health
        self._now = now
        self._trouble: dict[UUID, float] = {}
        """When a host of files first did not give an attempt's output."""

    async def finish(
        self, work: Work, attempt: AttemptView, finished: Finished
    ) -> Next | Discarded | TooLate:
        """Delivers what a job made.

        Raises:
            JobLost: another worker has the generation.
        """
        patient = self._is_patient(work, attempt)
        try:
            delivered = await self._stored(work, attempt, finished, patient=patient)
        except (StorageError, LocalStorageError):
            # Ours to mend: no other provider is paid for the same work meanwhile.
            if work.overdue >= _STORAGE_GRACE_SECONDS:
                return TooLate(finished_micros(work, attempt.provider, finished))
            return Again(min(max(work.age(attempt) * 0.2, _RETRY_PAUSE), _LONGEST_STORAGE_PAUSE))
        except DownloadError as error:
            if error.retryable and patient:
                self._trouble.setdefault(attempt.id, self._now())
                return Again(_RETRY_PAUSE)
            fault = Fault(FaultKind.PROVIDER, error.reason, error.sentence)
            return await self._discard(work, attempt, finished, fault)
        return await self._settle(work, attempt, finished, delivered)

    def _is_patient(self, work: Work, attempt: AttemptView) -> bool:
        """Whether a host of files that is in trouble is asked again: for its attempt's time, and for a while in any case."""
        if len(self._trouble) > _REMEMBERED_TROUBLE:
            self._trouble.clear()
        first = self._trouble.get(attempt.id)
        return (
            work.age(attempt) < work.model.attempt_seconds
            or first is None
            or self._now() - first < _PATIENT_SECONDS
        )

    async def _stored(
        self, work: Work, attempt: AttemptView, finished: Finished, *, patient: bool
    ) -> Delivered:
        """The outputs in our store. Those that came with the answer cannot be fetched again, so they are held on to."""
        held_until = self._now() + _HELD_SECONDS
        only_here = _is_only_here(finished)
        while True:
            try:
                return await self._delivery.deliver(work, attempt, finished.outputs, patient=patient)
            except (StorageError, LocalStorageError):
                if not only_here or self._now() >= held_until:
                    raise
            await asyncio.sleep(_RETRY_PAUSE)

    async def _discard(self, work: Work, attempt: AttemptView, finished: Finished, fault: Fault) -> Discarded:
        """A job that finished, and may be billed, without anything that could be delivered."""
        self._health.failed(work, attempt.provider, fault)
        cost = finished_micros(work, attempt.provider, finished)
        await self._attempts.fail(work, attempt.id, fault, state="discarded", cost=cost)
        await self._delivery.forget(work, attempt.id)
        return Discarded()

    async def _settle(
        self, work: Work, attempt: AttemptView, finished: Finished, delivered: Delivered
    ) -> Next | Discarded:
        card = work.model.card_named(work.rate_card)
        capture = captured_micros(work.model, work.request, delivered.count, delivered.seconds, card)
        if capture == 0:
            return await self._discard(work, attempt, finished, _NOTHING)
        self._health.delivered(work, attempt.provider)
        cost = finished_micros(work, attempt.provider, finished, delivered.seconds)
        retention = self._catalog.plan(work.plan).retention.output_files
        run_seconds = finished.run_seconds
        settlement = Settlement(
            id=work.generation_id,
            token=work.job.token,
            state="succeeded",
            capture=capture,
            attempt=attempt.id,
            cost=cost,
            run_millis=None if run_seconds is None else round(run_seconds * 1000),
            provider_errors=work.provider_errors(),
            outputs=delivered.outputs_json,
            output_expires=work.now + timedelta(seconds=retention),
        )

        await self._delivery.forget_ended(work)

        async def settle() -> str:
            return await self._settlements.submit(settlement, work.account_id.int)

        # What came with the answer cannot be asked for again. A settlement that was made and only not heard of is "stale".
        word = await (insist(settle) if _is_only_here(finished) else settle())
        if word == "settled":
            return Over(finish=False)
        if word == "stale":
            # Another worker holds the job and fetches the outputs again; its files have names of the same attempt.
            raise store.JobLost
        # What the customer saw as canceled is never charged: the outputs go, the cost is ours.
        await self._attempts.end(work, attempt, "discarded", cost)
        await self._delivery.forget(work, attempt.id)
        return Over(finish=True)


def _is_only_here(finished: Finished) -> bool:
    """Whether an output exists nowhere but in this process's memory."""
    return any(output.content is not None for output in finished.outputs)
