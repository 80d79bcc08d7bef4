"""One attempt of several calls, for providers whose calls make fewer outputs than a request may ask for.

Every call is made once, all at the same time. What some of them deliver is delivered and charged; the rest is not. So an
attempt never grows: a call without an answer is not repeated, it is only missing from what is delivered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from server.catalog.types import ProviderInfo
from server.providers import faults
from server.providers.protocol import (
    Accepted,
    Adapter,
    CallbackFacts,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Job,
    Lost,
    NotSent,
    Pending,
    Progress,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Submission,
    Unknown,
)

_WORSE_FOR_EVERYBODY = (FaultKind.CONTENT_POLICY, FaultKind.REQUEST)
_CANCEL_ORDER = (
    CancelOutcome.FAILED,
    CancelOutcome.NOT_SUPPORTED,
    CancelOutcome.SENT_UNCONFIRMED,
    CancelOutcome.ALREADY_FINAL,
    CancelOutcome.SENT_CONFIRMED,
)
"""The first of these that is said of any part is said of all. A part that ended before the cancel may be billed and have
an output, so that only parts that all stopped are a job that stopped."""
_UNREACHABLE_SECONDS = 5.0
_SEED = "seed"
_log = logging.getLogger(__name__)


class FanOut:
    """An adapter around another one, which splits an attempt where that is needed and else only passes it on."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    @property
    def capabilities(self) -> ProviderInfo:
        """What the catalog says about the provider."""
        return self._adapter.capabilities

    async def submit(self, job: Job) -> Submission:
        """Asks for all outputs of the request, in as few calls as the provider allows."""
        shares = shares_of(job.request.output_number, job.provider_model.outputs_per_call)
        if len(shares) == 1:
            return await self._adapter.submit(replace(job, outputs=shares[0]))
        parts = (_part_of(job, share, sum(shares[:number])) for number, share in enumerate(shares))
        calls = (self._submit_part(part) for part in parts)
        return _together(await asyncio.gather(*calls))

    async def poll(self, ref: ProviderRef) -> Progress:
        """Where the job stands; one of several parts is over when all of them are.

        Raises:
            ProviderUnreachable: none of them gave a usable answer.
        """
        if not ref.parts:
            return await self._adapter.poll(ref)
        return _joined(ref.parts, await asyncio.gather(*(self._poll_part(part) for part in ref.parts)))

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        """Asks to stop every part."""
        if not ref.parts:
            return await self._adapter.cancel(ref)
        outcomes = await asyncio.gather(*(self._adapter.cancel(part) for part in ref.parts))
        return min(outcomes, key=_CANCEL_ORDER.index)

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        """Jobs that look like this one; None also for one of several parts, which cannot be told apart."""
        if len(shares_of(job.request.output_number, job.provider_model.outputs_per_call)) > 1:
            return None
        return await self._adapter.find(replace(job, outputs=job.request.output_number), since)

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        """What a report is about.

        Raises:
            CallbackRefused, ProviderUnreachable: as the adapter does.
        """
        return await self._adapter.verify_callback(headers, body, secret)

    async def _submit_part(self, job: Job) -> Submission:
        try:
            return await self._adapter.submit(job)
        except Exception:  # noqa: BLE001 - logged, and counted as unknown
            # A fault of ours. It must not take the answers of the other calls along, which are billed.
            _log.exception("a call of several failed")
            return Unknown(faults.submit_unknown(self._adapter.capabilities.name))

    async def _poll_part(self, part: ProviderRef) -> Progress | ProviderUnreachable:
        try:
            return await self._adapter.poll(part)
        except ProviderUnreachable as error:
            return error


def shares_of(outputs: int, per_call: int) -> tuple[int, ...]:
    """How many outputs each call asks for; `per_call` 0 puts no limit to a call."""
    if per_call <= 0 or outputs <= per_call:
        return (outputs,)
    whole, rest = divmod(outputs, per_call)
    return (per_call,) * whole + ((rest,) if rest else ())


def _part_of(job: Job, share: int, before: int) -> Job:
    """The call for a share of the outputs, behind so many others.

    With one seed, all calls would make the same picture. A provider that makes several in one call counts on from the seed.
    """
    seed, extra = job.request.extras.get(_SEED), job.model.extra_named(_SEED)
    if not before or extra is None or extra.maximum is None or not isinstance(seed, int | float):
        return replace(job, outputs=share)
    counted = (int(seed) + before) % (int(extra.maximum) + 1)
    request = replace(job.request, extras={**job.request.extras, _SEED: counted})
    return replace(job, request=request, outputs=share)


def _together(answers: Sequence[Submission]) -> Submission:
    # A provider either names jobs or does them while it is asked; should it do both, a finished part is still polled.
    going = [answer.ref for answer in answers if isinstance(answer, Accepted | Done)]
    done = [answer.finished for answer in answers if isinstance(answer, Done)]
    if going:
        ref = _job_of(going)
        return Done(ref, _finished(done)) if len(done) == len(going) else Accepted(ref)
    unknown = next((answer for answer in answers if isinstance(answer, Unknown)), None)
    if unknown is not None:
        return unknown
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    if refused:
        return Refused(_gravest([answer.fault for answer in refused]))
    return next(answer for answer in answers if isinstance(answer, NotSent))


def _job_of(parts: Sequence[ProviderRef]) -> ProviderRef:
    return ProviderRef(parts[0].job_id, {}, tuple(parts))


def _joined(parts: Sequence[ProviderRef], states: Sequence[Progress | ProviderUnreachable]) -> Progress:
    unreachable = [state for state in states if isinstance(state, ProviderUnreachable)]
    if len(unreachable) == len(states):
        raise max(unreachable, key=_asked_for)
    # What a part costs that we see nothing of: its provider said so when it took it, or nobody knows.
    billed = [part.cost_micros for part, state in zip(parts, states, strict=True) if _is_billed_unseen(state)]
    finished = [state for state in states if isinstance(state, Finished)]
    ready = _finished(finished, billed) if finished else None
    waits = [state.retry_after for state in states if isinstance(state, Pending)]
    waits += [max(_UNREACHABLE_SECONDS, _asked_for(state)) for state in unreachable]
    if waits:
        going = [
            part
            for part, state in zip(parts, states, strict=True)
            if isinstance(state, Pending | ProviderUnreachable)
        ]
        return Pending(max(waits), ready, None if ready is None else _job_of(going))
    over = ready or _without_output(states, may_be_billed=bool(billed))
    lost = next((state for state in states if isinstance(state, Lost)), None)
    if lost is not None:
        return Lost(lost.fault, over)
    return over or CanceledUpstream()


def _without_output(
    states: Sequence[Progress | ProviderUnreachable], *, may_be_billed: bool
) -> Failed | CanceledUpstream | None:
    """The end of parts none of which made anything; None when all are lost."""
    failed = [state.fault for state in states if isinstance(state, Failed)]
    if failed:
        return Failed(_gravest(failed), may_be_billed)
    stopped = any(isinstance(state, CanceledUpstream) for state in states)
    return CanceledUpstream(may_be_billed) if stopped else None


def _is_billed_unseen(state: Progress | ProviderUnreachable) -> bool:
    return isinstance(state, Lost) or (isinstance(state, CanceledUpstream) and state.may_be_billed)


def _asked_for(error: ProviderUnreachable) -> float:
    """Seconds for which the provider asked to be left alone."""
    return error.fault.retry_after or 0.0


def _finished(parts: Sequence[Finished], billed: Sequence[int | None] = ()) -> Finished:
    costs = [part.cost_micros for part in parts] + list(billed)
    times = [part.run_seconds for part in parts if part.run_seconds is not None]
    known = [cost for cost in costs if cost is not None]
    return Finished(
        tuple(output for part in parts for output in part.outputs),
        run_seconds=max(times) if times else None,
        cost_micros=sum(known) if len(known) == len(costs) else None,
        unseen=len(billed),
    )


def _gravest(faults: Sequence[Fault]) -> Fault:
    """The fault that decides: one of the request itself, where there is any."""
    return next((fault for fault in faults if fault.kind in _WORSE_FOR_EVERYBODY), faults[0])
