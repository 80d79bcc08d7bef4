"""Attempts of several calls: a part that is not known yet, and parts that are stopped while others are ready."""

from __future__ import annotations

import pytest

from babysea.generation.v1 import generation_pb2
from server.generation.execution.work import Work
from server.providers import faults
from server.providers.protocol import CancelOutcome, Lost, Progress, ProviderRef
from server.providers.replicate import Replicate
from tests.integration.execution.fakes import Fakes
from tests.support.stack import Customer, Stack

PARTS = "google/imagen-4"
"""A model whose calls make one output each."""
SUCCEEDED = generation_pb2.STATE_SUCCEEDED


async def test_a_part_that_is_not_spread_yet_is_waited_for_although_another_has_ended(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Lost` so soon after the submit is not believed of a single job; of a part it is, and the part is lost for good."""
    poll = Replicate.poll
    seen: dict[str, int] = {}

    async def late_to_spread(self: Replicate, ref: ProviderRef) -> Progress:
        seen[ref.job_id] = seen.get(ref.job_id, 0) + 1
        if list(seen).index(ref.job_id) == 1 and seen[ref.job_id] == 1:
            return Lost(faults.lost("Replicate", 404))
        return await poll(self, ref)

    monkeypatch.setattr(Replicate, "poll", late_to_spread)
    created = await customer.create(
        model_identifier=PARTS, output_number=2, output_format="png", provider_order="replicate"
    )
    record = await customer.finished(created.generation.generation_id)
    assert fakes.calls("replicate") == 2
    assert record.generation.state == SUCCEEDED
    assert len(record.generation.outputs) == 2
    assert record.generation.charged_micros == record.generation.price_micros


async def test_a_part_that_was_stopped_for_certain_is_not_booked_when_the_others_are_delivered(
    fakes: Fakes, stack: Stack, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that had ended says ALREADY_FINAL, which hides that the others confirmed their stop."""
    age, cancel = Work.age, Replicate.cancel
    monkeypatch.setattr(Work, "age", lambda self, attempt: age(self, attempt) + 3600)
    going: set[str] = set()
    poll = Replicate.poll

    async def one_goes_on(self: Replicate, ref: ProviderRef) -> Progress:
        going.update([] if going else [ref.job_id])
        fakes.unfinished.update(going)
        return await poll(self, ref)

    async def honest(self: Replicate, ref: ProviderRef) -> CancelOutcome:
        return await cancel(self, ref) if ref.job_id in going else CancelOutcome.ALREADY_FINAL

    monkeypatch.setattr(Replicate, "poll", one_goes_on)
    monkeypatch.setattr(Replicate, "cancel", honest)
    created = await customer.create(
        model_identifier=PARTS, output_number=2, output_format="png", provider_order="replicate"
    )
    record = await customer.finished(created.generation.generation_id)
    assert (record.generation.state, len(record.generation.outputs)) == (SUCCEEDED, 1)
    assert fakes.canceled == list(going), "the other part was stopped, and the provider confirmed it"
    assert record.attempts[0].cost_micros == 40_000
