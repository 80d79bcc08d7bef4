"""Timelines: every state change, attempt and decision in order, and nothing of anybody else."""

from __future__ import annotations

import grpc
import pytest

from babysea.generation.v1 import generation_pb2, generation_service_pb2, timeline_pb2
from kit.ids import uuid7
from kit.rpc import error_of
from tests.integration.generation.test_cancel import in_state
from tests.support.stack import Customer, Stack


async def timeline(stack: Stack, customer: Customer, generation_id: str) -> list[timeline_pb2.TimelineEntry]:
    """A timeline; its times never go back."""
    request = generation_service_pb2.GetTimelineRequest(generation_id=generation_id)
    answer = await stack.generations.GetTimeline(request, metadata=customer.metadata)
    assert answer.generation_id == generation_id
    times = [entry.at.ToNanoseconds() for entry in answer.entries]
    assert times == sorted(times)
    return list(answer.entries)


def told(entries: list[timeline_pb2.TimelineEntry]) -> list[tuple[str, ...]]:
    """What a timeline tells, in words."""
    words: list[tuple[str, ...]] = []
    for entry in entries:
        if entry.HasField("state"):
            words.append((generation_pb2.State.Name(entry.state.state).removeprefix("STATE_"),))
        elif entry.HasField("attempt"):
            name = generation_pb2.AttemptState.Name(entry.attempt.state).removeprefix("ATTEMPT_STATE_")
            words.append((f"{entry.attempt.ordinal} {entry.attempt.provider}", name))
        else:
            name = timeline_pb2.DecisionKind.Name(entry.decision.kind).removeprefix("DECISION_KIND_")
            words.append((name, *entry.decision.providers))
    return words


async def test_a_success_is_told_from_the_hold_to_the_charge(stack: Stack, customer: Customer) -> None:
    created = (await customer.create()).generation
    await customer.finished(created.generation_id)
    entries = await timeline(stack, customer, created.generation_id)
    first, *_ = order = list(created.provider_order)
    assert told(entries) == [
        ("PENDING",),
        ("ORDER_PLANNED", *order),
        ("PROVIDER_CHOSEN", first),
        ("PROCESSING",),
        (f"1 {first}", "SUBMITTING"),
        (f"1 {first}", "ACCEPTED"),
        (f"1 {first}", "SUCCEEDED"),
        ("SUCCEEDED",),
    ]
    assert (entries[0].state.amount_micros, entries[-1].state.amount_micros) == (5_000, 5_000)
    assert entries[-1].state.provider == first


async def test_a_failover_is_told_with_its_cause(stack: Stack, customer: Customer) -> None:
    created = (await customer.create(prompt="a lighthouse [[fail]]")).generation
    record = await customer.finished(created.generation_id)
    entries = await timeline(stack, customer, created.generation_id)
    words = told(entries)
    first, second, *_ = created.provider_order
    assert words.index((f"1 {first}", "FAILED")) < words.index(("FAILED_OVER", second))
    assert words.index(("FAILED_OVER", second)) < words.index((f"2 {second}", "SUBMITTING"))
    over = next(
        each.decision for each in entries if each.decision.kind == timeline_pb2.DECISION_KIND_FAILED_OVER
    )
    assert over.cause_code == record.attempts[0].error.code
    failed = next(each.attempt for each in entries if each.attempt.error.code)
    assert failed.error == record.attempts[0].error
    assert words[-1] == ("FAILED",)
    assert entries[-1].state.error_code == record.generation.error_code


async def test_a_cancel_is_told_with_what_the_provider_was_told(stack: Stack, customer: Customer) -> None:
    created = (await customer.create(prompt="a lighthouse [[slow=20000]]")).generation
    provider = created.provider_order[0]
    await in_state(customer, created.generation_id, generation_pb2.ATTEMPT_STATE_ACCEPTED)
    request = generation_service_pb2.CancelGenerationRequest(generation_id=created.generation_id)
    await stack.generations.CancelGeneration(request, metadata=customer.metadata)
    await in_state(customer, created.generation_id, generation_pb2.ATTEMPT_STATE_CANCELED)
    words = told(await timeline(stack, customer, created.generation_id))
    assert words.index(("CANCELED",)) < words.index(("CANCEL_SENT", provider))
    assert words[-1] == (f"1 {provider}", "CANCELED")


async def test_anothers_timeline_is_as_absent_as_one_that_never_was(stack: Stack, customer: Customer) -> None:
    theirs = (await (await stack.customer()).create()).generation.generation_id
    answers = set()
    for generation_id in (theirs, str(uuid7())):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await timeline(stack, customer, generation_id)
        answers.add((refused.value.code(), refused.value.details(), error_of(refused.value).spec.bse_code))
    assert {code for *_, code in answers} == {"BSE2012"}
    assert len(answers) == 1
