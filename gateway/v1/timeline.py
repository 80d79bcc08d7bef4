"""A timeline as the public contract shows it."""

from __future__ import annotations

from typing import Literal, cast

from babysea.generation.v1 import generation_pb2, timeline_pb2
from babysea.generation.v1 import generation_service_pb2 as generation
from gateway.v1.records import STATES, provider_error
from gateway.v1.responses import AttemptEntry, DecisionEntry, StateEntry, TimelineData
from gateway.v1.values import when
from kit.money import json_number

_ATTEMPTS = "ATTEMPT_STATE_"
_DECISIONS = "DECISION_KIND_"


def timeline(answer: generation.GetTimelineResponse) -> TimelineData:
    """The timeline of a generation. Entries of kinds that this gateway does not know are left out."""
    entries = [_entry(entry) for entry in answer.entries]
    return {
        "generation_id": answer.generation_id,
        "timeline": [entry for entry in entries if entry is not None],
    }


def _entry(entry: timeline_pb2.TimelineEntry) -> StateEntry | AttemptEntry | DecisionEntry | None:
    at = when(entry.HasField("at"), entry.at)
    match entry.WhichOneof("what"):
        case "state":
            return _state(at, entry.state)
        case "attempt":
            return _attempt(at, entry.attempt)
        case "decision":
            return _decision(at, entry.decision)
        case _:
            return None


def _state(at: str | None, change: timeline_pb2.StateChange) -> StateEntry:
    status = cast('Literal["pending", "processing", "succeeded", "failed", "canceled"]', STATES[change.state])
    entry: StateEntry = {"at": at, "entry": "state", "generation_status": status}
    if change.amount_micros:
        entry["amount"] = json_number(change.amount_micros)
    if change.provider:
        entry["provider"] = change.provider
    if change.error_code:
        entry["error_code"] = change.error_code
    return entry


def _attempt(at: str | None, change: timeline_pb2.AttemptChange) -> AttemptEntry:
    name = generation_pb2.AttemptState.Name(change.state)
    entry = cast(
        "AttemptEntry",
        {
            "at": at,
            "entry": "attempt",
            "attempt_id": change.attempt_id,
            "attempt_number": change.ordinal,
            "provider": change.provider,
            "attempt_status": name.removeprefix(_ATTEMPTS).lower(),
        },
    )
    if change.HasField("error"):
        entry["error"] = provider_error(change.error)
    return entry


def _decision(at: str | None, decision: timeline_pb2.Decision) -> DecisionEntry:
    name = timeline_pb2.DecisionKind.Name(decision.kind)
    entry = cast(
        "DecisionEntry",
        {
            "at": at,
            "entry": "decision",
            "decision": name.removeprefix(_DECISIONS).lower(),
            "providers": list(decision.providers),
        },
    )
    if decision.cause_code:
        entry["cause_code"] = decision.cause_code
    return entry
