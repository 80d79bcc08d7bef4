"""What an attempt costs us: the provider's own figure or, where it names none, what the catalog says."""

from __future__ import annotations

from server.catalog.upstream import upstream_micros
from server.generation.execution.work import AttemptView, Work
from server.providers.protocol import Finished, ProviderRef

_OVERRUN_SECONDS = 1.0
"""So much longer than asked a film may be and be billed for it: encoders end on a frame, and some of them a few late."""


def estimated_micros(work: Work, attempt: AttemptView) -> int | None:
    """What an attempt's job costs if it did all that was asked, in micro-dollars; None where nothing is known."""
    named = None if attempt.ref is None else _named(attempt.ref)
    if named is not None:
        return named
    return upstream_micros(work.model.provider(attempt.provider), work.request, work.request.output_number)


def finished_micros(
    work: Work, provider: str, finished: Finished, seconds: float | None = None
) -> int | None:
    """What a finished job costs, in micro-dollars; None where nothing is known.

    `seconds` is the length of a video that was measured; None counts the one that was asked for. A file may say anything
    about itself, so no more counts than was asked for and a second.
    """
    if finished.cost_micros is not None:
        return finished.cost_micros
    if seconds is not None and work.request.duration is not None:
        seconds = min(seconds, work.request.duration + _OVERRUN_SECONDS)
    made = len(finished.outputs) + finished.unseen
    return upstream_micros(work.model.provider(provider), work.request, made, seconds)


def _named(ref: ProviderRef) -> int | None:
    """What the provider named when it took the job, all parts together."""
    if not ref.parts:
        return ref.cost_micros
    costs = [part.cost_micros for part in ref.parts]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
