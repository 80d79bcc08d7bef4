"""Whatever the providers of tasks answer, their adapters answer in the words of the protocol."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.providers.protocol import (
    Accepted,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    Finished,
    Lost,
    NotSent,
    Pending,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from tests.integration.providers.canned import reply
from tests.integration.providers.direct import JSON, objects
from tests.integration.providers.test_task_sandbox import PROVIDERS, TASK_MODELS, served

FIELDS = (
    *("id", "status", "polling_url", "cost", "result", "detail", "error", "failureCode"),
    *("output", "code", "message", "request_id", "data", "total_page", "estimatedCost"),
)
OUTPUT = objects("task_id", "task_status", "code", "video_url", "results", "choices", "orig_prompt")
STATUSES = st.sampled_from(
    [*("SUCCEEDED", "FAILED", "CANCELLED", "CANCELED", "RUNNING"), *("Ready", "Error", "Pending")]
)
TASKS = st.lists(objects("task_id", "status", "gmt_create", "model_name"), max_size=3)
BODIES = (
    JSON
    | objects(*FIELDS)
    | st.builds(lambda body, status: body | {"status": status}, objects(*FIELDS), STATUSES)
    | st.builds(lambda output, status: {"output": output | {"task_status": status}}, OUTPUT, STATUSES)
    | st.builds(lambda tasks: {"data": tasks}, TASKS)
)
CODES = st.sampled_from([200, 200, 200, 204, 302, 400, 401, 404, 429, 500, 502, 503])
HEADERS = st.sampled_from(["retry-after: 5", "retry-after: soon", "date: never", "content-type: image/png"])


def _answer(status: int, body: object, header: str) -> bytes:
    content = b"" if status == 204 else json.dumps(body).encode()
    return reply(f"{status} {HTTPStatus(status).phrase}", content, header)


@pytest.mark.parametrize("provider", list(PROVIDERS))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(answers=st.lists(st.builds(_answer, CODES, BODIES, HEADERS), min_size=3, max_size=3))
async def test_no_answer_makes_an_adapter_raise_what_nobody_expects(
    provider: str, answers: list[bytes]
) -> None:
    job, ref = served(provider, TASK_MODELS[provider]), ProviderRef("task-1", {})
    async with PROVIDERS[provider].answering(*answers) as (adapter, _):
        assert isinstance(await adapter.submit(job), Accepted | Done | Refused | NotSent | Unknown)
        assert isinstance(await adapter.cancel(ref), CancelOutcome)
        try:
            progress = await adapter.poll(ref)
            found = await adapter.find(job, datetime.now(UTC))
        except ProviderUnreachable:
            return
        assert isinstance(progress, Pending | Finished | Failed | CanceledUpstream | Lost)
        assert found is None or all(isinstance(each, ProviderRef) for each in found)


@pytest.mark.parametrize("provider", list(PROVIDERS))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    headers=st.dictionaries(st.sampled_from(["x-bfl-signature", "webhook-id"]), st.text()),
    body=st.binary(max_size=50),
    secret=st.text(max_size=5),
)
async def test_no_report_is_believed_by_chance(
    provider: str, headers: dict[str, str], body: bytes, secret: str
) -> None:
    adapter: Any
    async with PROVIDERS[provider].at("http://127.0.0.1:9") as adapter:
        with pytest.raises(CallbackRefused):
            await adapter.verify_callback(headers, body, secret)
