"""OpenAI's adapter: what it sends is what the official SDK sends, and no answer is taken for more than it is."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.openai import OpenAI
from server.providers.protocol import (
    CallbackRefused,
    CancelOutcome,
    Done,
    FaultKind,
    InputFile,
    Job,
    Lost,
    NotSent,
    ProviderRef,
    Refused,
    Submission,
    Unknown,
)
from tests.integration.providers.canned import closed_port, reply
from tests.integration.providers.direct import (
    CREDENTIAL,
    JSON,
    Call,
    adapter_at,
    answered,
    job_for,
    objects,
    said,
    silent,
)

PICTURE = b"\x89PNG\r\n\x1a\nsmall"
GOOD = {
    "created": 1,
    "data": [{"b64_json": base64.b64encode(PICTURE).decode()}],
    "output_format": "png",
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}


def job(outputs: int = 1, **fields: Any) -> Job:
    return job_for("openai", "gpt/image-2", outputs, **fields)


def with_files(tmp_path: Path, *content_types: str) -> Job:
    files = []
    for number, content_type in enumerate(content_types):
        path = tmp_path / str(number)
        path.write_bytes(PICTURE + bytes([number]))
        files.append(InputFile(path, content_type))
    urls = [f"https://files.example/{number}" for number in range(len(files))]
    return replace(job(input_file=urls, extras={"moderation": True}), inputs=tuple(files))


async def submitted(wanted: Job, *answers: bytes) -> tuple[Submission, list[Call]]:
    async with answered(OpenAI, "openai", answers, "/v1") as (adapter, seen):
        submission = await adapter.submit(wanted)
    return submission, [Call.of(each) for each in seen]


async def test_a_generation_is_one_json_request_as_the_sdk_sends_it() -> None:
    wanted = job(3, ratio="16:9", output_format="jpg", extras={"moderation": True})
    submission, (call,) = await submitted(wanted, said(200, GOOD))
    assert (call.method, call.path) == ("POST", "/v1/images/generations")
    assert call.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert call.headers["content-type"] == "application/json"
    assert call.json == {
        "model": "gpt-image-2",
        "prompt": wanted.request.prompt,
        "n": 3,
        "size": "1536x864",
        "output_format": "jpeg",
        "quality": "medium",
        "background": "auto",
        "moderation": "auto",
    }
    assert isinstance(submission, Done)


async def test_the_picture_comes_out_of_the_answer() -> None:
    submission, _ = await submitted(job(), said(200, GOOD))
    assert isinstance(submission, Done)
    (output,) = submission.finished.outputs
    assert (output.url, output.content_type, output.content) == ("", "image/png", PICTURE)
    assert submission.finished.cost_micros is None
    assert ProviderRef.from_json(submission.ref.to_json()) == submission.ref


async def test_a_picture_of_many_megabytes_is_read() -> None:
    large = PICTURE + b"x" * 3_000_000
    body = {"data": [{"b64_json": base64.b64encode(large).decode()}] * 2}
    submission, _ = await submitted(job(2), said(200, body))
    assert isinstance(submission, Done)
    assert [output.content for output in submission.finished.outputs] == [large, large]


async def test_each_call_is_named_after_its_attempt() -> None:
    one, other = job(), job()
    refs = set()
    for wanted in (one, other, one):
        submission, _ = await submitted(wanted, said(200, GOOD))
        assert isinstance(submission, Done)
        refs.add(submission.ref.job_id)
    assert refs == {str(one.attempt_id), str(other.attempt_id)}


async def test_input_files_are_sent_along_as_a_form(tmp_path: Path) -> None:
    wanted = with_files(tmp_path, "image/png", "image/jpeg")
    submission, (call,) = await submitted(wanted, said(200, GOOD))
    assert isinstance(submission, Done)
    assert (call.method, call.path) == ("POST", "/v1/images/edits")
    assert call.headers["authorization"] == f"Bearer {CREDENTIAL}"
    values = {name: content.decode() for name, file_name, _, content in call.form if file_name is None}
    assert values == {
        "model": "gpt-image-2",
        "prompt": wanted.request.prompt,
        "n": "1",
        "size": "1024x1024",
        "output_format": "png",
        "quality": "medium",
        "background": "auto",
    }
    files = [part for part in call.form if part[1] is not None]
    assert files == [
        ("image[]", "input.png", "image/png", PICTURE + b"\x00"),
        ("image[]", "input.jpg", "image/jpeg", PICTURE + b"\x01"),
    ]


async def test_input_files_that_nobody_fetched_are_not_left_out_in_silence(tmp_path: Path) -> None:
    gone = with_files(tmp_path, "image/png")
    (tmp_path / "0").unlink()
    for wanted in (replace(gone, inputs=()), gone):
        submission, calls = await submitted(wanted, said(200, GOOD))
        assert isinstance(submission, NotSent)
        assert submission.fault.kind is FaultKind.UNSUPPORTED
        assert calls == []


@pytest.mark.parametrize(
    ("status", "error", "kind", "reason"),
    [
        (
            400,
            {"type": "image_generation_user_error", "code": "moderation_blocked"},
            FaultKind.CONTENT_POLICY,
            reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION,
        ),
        (
            400,
            {"type": "image_generation_user_error", "code": None},
            FaultKind.CONTENT_POLICY,
            reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION,
        ),
        (
            400,
            {"type": "invalid_request_error", "code": "invalid_value"},
            FaultKind.REQUEST,
            reasons.ERROR_REASON_INVALID_INPUT,
        ),
        (
            400,
            {"type": "billing_limit_user_error", "code": "billing_hard_limit_reached"},
            FaultKind.ACCOUNT,
            reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED,
        ),
        (
            401,
            {"code": "invalid_api_key"},
            FaultKind.ACCOUNT,
            reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED,
        ),
        (403, {}, FaultKind.ACCOUNT, reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED),
        (404, {"code": "model_not_found"}, FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR),
        (
            429,
            {"type": "insufficient_quota", "code": "insufficient_quota"},
            FaultKind.ACCOUNT,
            reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED,
        ),
        (
            429,
            {"code": "rate_limit_exceeded"},
            FaultKind.THROTTLED,
            reasons.ERROR_REASON_PROVIDER_RATE_LIMITED,
        ),
        (500, {"type": "server_error"}, FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR),
        (503, {}, FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_UNAVAILABLE),
        (500, "no object", FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR),
    ],
)
async def test_an_error_answer_says_whose_fault_it_was(
    status: int, error: object, kind: FaultKind, reason: int
) -> None:
    if isinstance(error, dict):
        error = {"message": "secret-word", **error}
    submission, calls = await submitted(job(), said(status, {"error": error}))
    assert isinstance(submission, Refused)
    fault = submission.fault
    assert (fault.kind, fault.reason, fault.http_status) == (kind, reason, status)
    assert "secret-word" not in fault.message
    assert len(calls) == 1


async def test_a_rate_limit_says_how_long_to_wait() -> None:
    submission, _ = await submitted(job(), said(429, {"error": {}}, "retry-after: 17"))
    assert isinstance(submission, Refused)
    assert submission.fault.retry_after == 17.0


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
async def test_a_redirect_is_not_followed(status: str) -> None:
    elsewhere = f"location: http://127.0.0.1:{closed_port()}/v1/images/generations"
    submission, calls = await submitted(job(), reply(status, b"", elsewhere))
    assert isinstance(submission, Refused)
    assert len(calls) == 1


NO_FILES: list[object] = [
    [],
    {},
    {"data": None},
    {"data": []},
    {"data": ["x"]},
    {"data": [{}]},
    {"data": [{"b64_json": None}]},
    {"data": [{"b64_json": ""}]},
    {"data": [{"b64_json": "???"}]},
    {"data": [{"b64_json": "a"}]},
    {"data": [{"b64_json": "\u00e4\u00e4\u00e4\u00e4"}]},
    {"data": [{"url": "https://files.example/x.png"}]},
]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"nonsense\r\n\r\n",
        reply("200 OK", b"not json"),
        reply("200 OK", PICTURE, "content-type: image/png"),
        *(said(status, {"error": {"code": "moderation_blocked"}}) for status in (408, 502, 504, 524)),
        *(said(200, body) for body in NO_FILES),
    ],
)
async def test_a_submit_without_a_usable_answer_is_unknown(answer: bytes) -> None:
    submission, calls = await submitted(job(), answer)
    assert isinstance(submission, Unknown)
    assert len(calls) == 1


async def test_of_several_pictures_the_usable_ones_are_delivered() -> None:
    body = {**GOOD, "data": [{"b64_json": "???"}, *GOOD["data"], {}]}  # type: ignore[misc]
    submission, _ = await submitted(job(3), said(200, body))
    assert isinstance(submission, Done)
    assert [output.content for output in submission.finished.outputs] == [PICTURE]


async def test_a_call_that_takes_longer_than_its_time_is_unknown() -> None:
    async with silent() as url, adapter_at(url, OpenAI, "openai", call_seconds=3600) as adapter:
        submission = await adapter.submit(replace(job(), seconds=0.2))
    assert isinstance(submission, Unknown)


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with adapter_at(f"http://127.0.0.1:{closed_port()}", OpenAI, "openai") as adapter:
        submission = await adapter.submit(job())
    assert isinstance(submission, NotSent)
    assert submission.fault.reason == reasons.ERROR_REASON_PROVIDER_UNAVAILABLE


async def test_there_is_nothing_to_poll_cancel_find_or_hear() -> None:
    ref = ProviderRef("x", {})
    async with answered(OpenAI, "openai", [b""]) as (adapter, seen):
        assert isinstance(await adapter.poll(ref), Lost)
        assert await adapter.cancel(ref) is CancelOutcome.NOT_SUPPORTED
        assert await adapter.find(job(), datetime.now(UTC)) is None
        with pytest.raises(CallbackRefused, match="unsupported"):
            await adapter.verify_callback({}, b"", "")
    assert seen == []


@settings(max_examples=60, deadline=None)
@given(
    status=st.sampled_from([200, 201, 302, 400, 401, 429, 500, 503]),
    body=JSON
    | objects("data", "error")
    | st.builds(lambda each: {"data": [each]}, objects("b64_json", "url")),
)
async def test_no_answer_makes_it_raise(status: int, body: object) -> None:
    submission, calls = await submitted(job(), said(status, body))
    assert len(calls) == 1
    assert isinstance(submission, Refused if status >= 300 else Unknown | Done)
