"""BytePlus's adapter: images that come at once, videos that are tasks, and a mark that finds a lost one again."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.byteplus import BytePlus
from server.providers.protocol import (
    Accepted,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    FaultKind,
    Finished,
    Job,
    Lost,
    NotSent,
    Pending,
    ProviderRef,
    ProviderUnreachable,
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

BASE = "/api/v3"
TASKS = f"{BASE}/contents/generations/tasks"
URL = "https://files.example/x.jpg"
IMAGE = {
    "model": "m",
    "created": 1,
    "data": [{"url": URL, "size": "2048x2048"}],
    "usage": {"generated_images": 1},
}
REF = ProviderRef("cgt-1", {})


def image_job(outputs: int = 1, **fields: Any) -> Job:
    return job_for("byteplus", "bytedance/seedream-4", outputs, **fields)


def video_job(**fields: Any) -> Job:
    return job_for("byteplus", "bytedance/seedance-1.5-pro", **fields)


async def submitted(wanted: Job, *answers: bytes) -> tuple[Submission, list[Call]]:
    async with answered(BytePlus, "byteplus", answers, BASE) as (adapter, seen):
        submission = await adapter.submit(wanted)
    return submission, [Call.of(each) for each in seen]


async def test_images_are_asked_for_as_the_sdk_does() -> None:
    wanted = image_job(
        ratio="16:9", input_file=["https://files.example/a.png", "https://files.example/b.png"]
    )
    submission, (call,) = await submitted(wanted, said(200, IMAGE))
    assert (call.method, call.path) == ("POST", f"{BASE}/images/generations")
    assert call.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert call.headers["content-type"] == "application/json"
    asked = {
        "model": "seedream-4-0-250828",
        "prompt": wanted.request.prompt,
        "size": "2560x1440",
        "image": ["https://files.example/a.png", "https://files.example/b.png"],
        "response_format": "url",
        "watermark": False,
    }
    assert asked.items() <= call.json.items()
    assert isinstance(submission, Done)
    assert [output.url for output in submission.finished.outputs] == [URL]


async def test_a_task_is_created_as_the_sdk_does() -> None:
    files = {
        "input_file": ["https://files.example/a.png"],
        "input_file_last_content": "https://files.example/z.png",
    }
    wanted = video_job(ratio="16:9", resolution="720p", generate_audio=True, extras={"seed": 7}, **files)
    submission, (call,) = await submitted(wanted, said(200, {"id": "cgt-1"}))
    assert submission == Accepted(REF)
    assert (call.method, call.path) == ("POST", TASKS)
    assert call.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert call.json == {
        "model": "seedance-1-5-pro-251215",
        "content": [
            {"type": "text", "text": wanted.request.prompt},
            {"type": "image_url", "image_url": {"url": "https://files.example/a.png"}, "role": "first_frame"},
            {"type": "image_url", "image_url": {"url": "https://files.example/z.png"}, "role": "last_frame"},
        ],
        "safety_identifier": wanted.attempt_id.hex,
        "execution_expires_after": 3600,
        "generate_audio": True,
        "camera_fixed": False,
        "watermark": False,
        "seed": 7,
        "resolution": "720p",
        "ratio": "16:9",
        "duration": 4,
    }


async def test_several_input_files_are_references() -> None:
    wanted = video_job(input_file=["https://files.example/a.png"])
    several = replace(
        wanted.request, input_file=("https://files.example/a.png", "https://files.example/b.png")
    )
    _, (call,) = await submitted(replace(wanted, request=several), said(200, {"id": "cgt-1"}))
    assert [entry.get("role") for entry in call.json["content"]] == [
        None,
        "reference_image",
        "reference_image",
    ]


async def test_an_unsigned_report_is_neither_asked_for_nor_believed() -> None:
    wanted = replace(video_job(), callback_url="https://ctl.example/x", callback_secret="s")
    async with answered(BytePlus, "byteplus", [said(200, {"id": "cgt-1"})], BASE) as (adapter, seen):
        await adapter.submit(wanted)
        with pytest.raises(CallbackRefused, match="unsupported"):
            await adapter.verify_callback({}, b'{"id": "cgt-1", "status": "succeeded"}', "s")
    assert b"callback_url" not in seen[0]


async def test_one_image_of_several_may_fail_for_itself() -> None:
    failed = {"error": {"code": "OutputImageSensitiveContentDetected", "message": "secret-word"}}
    submission, _ = await submitted(image_job(), said(200, {**IMAGE, "data": [failed, {"url": URL}, failed]}))
    assert isinstance(submission, Done)
    assert [output.url for output in submission.finished.outputs] == [URL]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("OutputImageSensitiveContentDetected", FaultKind.CONTENT_POLICY),
        ("InternalServiceError", FaultKind.PROVIDER),
    ],
)
async def test_images_that_all_failed_are_a_refusal(code: str, kind: FaultKind) -> None:
    error = {"error": {"code": code, "message": "secret-word"}}
    for body in ({"data": [error, error]}, {"data": [], **error}, error):
        submission, _ = await submitted(image_job(), said(200, body))
        assert isinstance(submission, Refused)
        assert submission.fault.kind is kind
        assert "secret-word" not in submission.fault.message


async def test_images_can_be_asked_for_again_without_a_call() -> None:
    body = {**IMAGE, "data": [{"url": f"{URL}?{number}"} for number in range(12)]}
    async with answered(BytePlus, "byteplus", [said(200, body)], BASE) as (adapter, seen):
        wanted = image_job()
        submission = await adapter.submit(wanted)
        assert isinstance(submission, Done)
        assert str(wanted.attempt_id) in submission.ref.job_id
        ref = ProviderRef.from_json(submission.ref.to_json())
        again = await adapter.poll(ref)
        assert isinstance(again, Finished)
        assert again.outputs == submission.finished.outputs
        assert isinstance(await adapter.poll(replace(ref, urls={})), Lost)
        assert await adapter.cancel(ref) is CancelOutcome.NOT_SUPPORTED
        assert await adapter.find(wanted, datetime.now(UTC)) is None
    assert len(seen) == 1


POLICY = (FaultKind.CONTENT_POLICY, reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION)
INVALID = (FaultKind.REQUEST, reasons.ERROR_REASON_INVALID_INPUT)
ACCOUNT = (FaultKind.ACCOUNT, reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED)
FAILED = (FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR)
AWAY = (FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_UNAVAILABLE)
LIMITED = (FaultKind.THROTTLED, reasons.ERROR_REASON_PROVIDER_RATE_LIMITED)

CODES = [
    (400, "InputTextSensitiveContentDetected", POLICY),
    (400, "InputImageSensitiveContentDetected.PrivacyInformation", POLICY),
    (400, "OutputVideoSensitiveContentDetected.PolicyViolation", POLICY),
    (400, "OutputAudioSensitiveContentDetected", POLICY),
    (400, "SensitiveContentDetected.SevereViolation", POLICY),
    (400, "MissingParameter", INVALID),
    (400, "InvalidParameter.UnsupportedImageFormat", INVALID),
    (401, "AuthenticationError", ACCOUNT),
    (403, "AccountOverdueError", ACCOUNT),
    (403, "AccessDenied", AWAY),
    (404, "InvalidEndpoint.NotFound", FAILED),
    (404, "ModelNotOpen", AWAY),
    (429, "RateLimitExceeded.EndpointRPMExceeded", LIMITED),
    (429, "ModelAccountRpmRateLimitExceeded", LIMITED),
    (429, "SomethingNew", LIMITED),
    (429, "ServerOverloaded", AWAY),
    (429, "ModelLoadingError", AWAY),
    (429, "QuotaExceeded", ACCOUNT),
    (500, "InternalServiceError", FAILED),
    (503, "", AWAY),
]


@pytest.mark.parametrize(("status", "code", "expected"), CODES)
@pytest.mark.parametrize("make", [image_job, video_job])
async def test_an_error_answer_says_whose_fault_it_was(
    make: Any, status: int, code: str, expected: tuple[FaultKind, int]
) -> None:
    body = {"error": {"code": code, "message": "secret-word", "param": "", "type": "BadRequest"}}
    submission, calls = await submitted(make(), said(status, body))
    assert isinstance(submission, Refused)
    fault = submission.fault
    assert (fault.kind, fault.reason, fault.http_status) == (*expected, status)
    assert "secret-word" not in fault.message
    assert len(calls) == 1


@pytest.mark.parametrize("code", ["RateLimitExceeded.X", "ServerOverloaded", "Other"])
async def test_a_limit_says_how_long_to_wait(code: str) -> None:
    answer = said(429, {"error": {"code": code}}, "retry-after: 17")
    submission, _ = await submitted(video_job(), answer)
    assert isinstance(submission, Refused)
    assert submission.fault.retry_after == 17.0


NO_JOB: list[object] = [[], {}, {"id": 5}, {"id": "../../x"}, {"data": None}, {"data": [{}]}]
UNUSABLE = [
    b"",
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
    b"nonsense\r\n\r\n",
    reply("200 OK", b"not json"),
    reply("200 OK", b'{"x": "' + b"y" * 1_100_000 + b'"}'),
    *(said(status, {"error": {"code": "InvalidParameter"}}) for status in (408, 502, 504, 524)),
    *(said(200, body) for body in NO_JOB),
    said(200, {"data": [{"url": "ftp://files.example/x"}, 5]}),
]


@pytest.mark.parametrize("answer", UNUSABLE)
@pytest.mark.parametrize("make", [image_job, video_job])
async def test_a_submit_without_a_usable_answer_is_unknown(make: Any, answer: bytes) -> None:
    submission, calls = await submitted(make(), answer)
    assert isinstance(submission, Unknown)
    assert len(calls) == 1


async def test_images_have_the_time_that_the_job_gives_them() -> None:
    async with silent() as url, adapter_at(url, BytePlus, "byteplus", call_seconds=3600) as adapter:
        assert isinstance(await adapter.submit(replace(image_job(), seconds=0.2)), Unknown)


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with adapter_at(f"http://127.0.0.1:{closed_port()}", BytePlus, "byteplus") as adapter:
        for wanted in (image_job(), video_job()):
            assert isinstance(await adapter.submit(wanted), NotSent)
        with pytest.raises(ProviderUnreachable):
            await adapter.poll(REF)
        assert await adapter.cancel(REF) is CancelOutcome.FAILED


async def polled(answer: bytes) -> Any:
    async with answered(BytePlus, "byteplus", [answer], BASE) as (adapter, seen):
        progress = await adapter.poll(REF)
    (call,) = [Call.of(each) for each in seen]
    assert (call.method, call.path) == ("GET", f"{TASKS}/cgt-1")
    assert call.headers["authorization"] == f"Bearer {CREDENTIAL}"
    return progress


@pytest.mark.parametrize("status", ["queued", "running"])
async def test_a_task_that_is_not_over_pends(status: str) -> None:
    assert isinstance(await polled(said(200, {"id": "cgt-1", "status": status, "content": None})), Pending)


async def test_a_task_that_succeeded_has_its_video() -> None:
    task = {
        "status": "succeeded",
        "content": {"video_url": URL},
        "usage": {"completion_tokens": 5},
        "error": None,
    }
    ended = await polled(said(200, task))
    assert isinstance(ended, Finished)
    assert [output.url for output in ended.outputs] == [URL]


@pytest.mark.parametrize("content", [None, {}, [], "x", {"video_url": None}, {"video_url": "ftp://x"}])
async def test_a_success_without_a_video_is_a_failure(content: object) -> None:
    ended = await polled(said(200, {"status": "succeeded", "content": content}))
    assert isinstance(ended, Failed)
    assert ended.fault.reason == reasons.ERROR_REASON_PROVIDER_INVALID_RESPONSE


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("OutputVideoSensitiveContentDetected", POLICY),
        ("InvalidParameter", INVALID),
        ("AccountOverdueError", ACCOUNT),
        ("ServerOverloaded", AWAY),
        ("InternalServiceError", FAILED),
        (None, FAILED),
    ],
)
async def test_a_task_that_failed_says_whose_fault_it_was(
    code: object, expected: tuple[FaultKind, int]
) -> None:
    task = {"status": "failed", "error": {"code": code, "message": "secret-word"}}
    ended = await polled(said(200, task))
    assert isinstance(ended, Failed)
    assert (ended.fault.kind, ended.fault.reason) == expected
    assert "secret-word" not in ended.fault.message


async def test_the_other_ends_of_a_task() -> None:
    assert isinstance(await polled(said(200, {"status": "cancelled"})), CanceledUpstream)
    expired = await polled(said(200, {"status": "expired"}))
    assert isinstance(expired, Failed)
    assert expired.fault.reason == reasons.ERROR_REASON_PROVIDER_TIMEOUT
    assert isinstance(await polled(said(404, {"error": {"code": "ResourceNotFound"}})), Lost)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        said(200, {}),
        said(200, {"status": "dancing"}),
        said(200, []),
        said(401, {}),
        said(429, {}),
        said(502, {}),
    ],
)
async def test_an_unusable_answer_to_a_poll_keeps_the_job(answer: bytes) -> None:
    with pytest.raises(ProviderUnreachable):
        await polled(answer)


async def canceled(*answers: bytes) -> tuple[CancelOutcome, list[str]]:
    async with answered(BytePlus, "byteplus", answers, BASE) as (adapter, seen):
        outcome = await adapter.cancel(REF)
    calls = [Call.of(each) for each in seen]
    assert {call.path for call in calls} == {f"{TASKS}/cgt-1"}
    return outcome, [call.method for call in calls]


async def test_a_queued_task_is_canceled_and_seen_to_be() -> None:
    answers = said(200, {"status": "queued"}), said(200, {}), said(200, {"status": "cancelled"})
    assert await canceled(*answers) == (CancelOutcome.SENT_CONFIRMED, ["GET", "DELETE", "GET"])


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("running", CancelOutcome.NOT_SUPPORTED),
        ("succeeded", CancelOutcome.ALREADY_FINAL),
        ("failed", CancelOutcome.ALREADY_FINAL),
        ("cancelled", CancelOutcome.ALREADY_FINAL),
        ("expired", CancelOutcome.ALREADY_FINAL),
        ("dancing", CancelOutcome.FAILED),
    ],
)
async def test_a_task_that_is_not_in_the_queue_is_never_deleted(status: str, outcome: CancelOutcome) -> None:
    assert await canceled(said(200, {"status": status})) == (outcome, ["GET"])


async def test_a_cancel_is_confirmed_by_nothing_but_the_task_itself() -> None:
    queued = said(200, {"status": "queued"})
    assert (await canceled(said(404, {})))[0] is CancelOutcome.ALREADY_FINAL
    assert (await canceled(said(500, {})))[0] is CancelOutcome.FAILED
    assert (await canceled(queued, said(400, {})))[0] is CancelOutcome.FAILED
    assert (await canceled(queued, b""))[0] is CancelOutcome.SENT_UNCONFIRMED
    assert (await canceled(queued, said(200, {}), said(404, {})))[0] is CancelOutcome.SENT_UNCONFIRMED
    assert (await canceled(queued, said(200, {}), b""))[0] is CancelOutcome.SENT_UNCONFIRMED


def task(job_id: str, mark: str | None, age: float = 0.0) -> dict[str, object]:
    return {
        "id": job_id,
        "safety_identifier": mark,
        "created_at": int(time.time() - age),
        "status": "running",
    }


async def found(wanted: Job, *pages: bytes) -> tuple[tuple[ProviderRef, ...] | None, list[Call]]:
    async with answered(BytePlus, "byteplus", pages, BASE) as (adapter, seen):
        refs = await adapter.find(wanted, datetime.now(UTC))
    return refs, [Call.of(each) for each in seen]


async def test_a_lost_task_is_found_by_its_mark_on_any_page() -> None:
    wanted = video_job()
    first = {"total": 4, "items": [task("cgt-1", "other"), task("cgt-2", None, age=9000)]}
    second = {"total": 4, "items": [task("cgt-3", wanted.attempt_id.hex, age=9000), task("cgt-4", "x")]}
    refs, calls = await found(wanted, said(200, first), said(200, second))
    assert refs == (ProviderRef("cgt-3", {}),)
    assert [(call.method, call.path) for call in calls] == [("GET", TASKS)] * 2
    assert [call.query["page_num"] for call in calls] == [["1"], ["2"]]
    assert calls[0].query["filter.model"] == ["seedance-1-5-pro-251215"]


@pytest.mark.parametrize(
    "page",
    [
        {"total": 0, "items": []},
        {"total": 1, "items": [task("cgt-1", "other")]},
        {"total": 900, "items": [task("cgt-1", "other", age=8000), task("cgt-2", None, age=9000)]},
    ],
)
async def test_a_list_without_the_mark_proves_that_there_is_no_task(page: object) -> None:
    refs, calls = await found(video_job(), said(200, page))
    assert refs == ()
    assert len(calls) == 1


@pytest.mark.parametrize(
    "page",
    [
        {"total": 1, "items": [task("cgt-1", None)]},
        {"total": 1, "items": [{"id": "cgt-1"}]},
        # The oldest first: what is looked for may come on any page behind this one.
        {"total": 10**6, "items": [task("cgt-2", "other", age=9000), task("cgt-1", "other", age=8000)]},
    ],
)
async def test_a_list_that_does_not_show_whose_a_task_is_proves_nothing(page: object) -> None:
    assert (await found(video_job(), said(200, page)))[0] is None


@pytest.mark.parametrize(
    "answer",
    [b"", said(200, {}), said(200, {"items": [5]}), said(200, {"items": {}}), said(500, {}), said(404, {})],
)
async def test_an_unusable_list_proves_nothing(answer: bytes) -> None:
    with pytest.raises(ProviderUnreachable):
        await found(video_job(), answer)


STATUSES = st.sampled_from(["queued", "running", "succeeded", "failed", "cancelled", "expired"])
BODIES = (
    JSON
    | objects("id", "status", "content", "error", "data", "items", "total", "usage")
    | st.builds(lambda status, rest: {**rest, "status": status}, STATUSES, objects("content", "error"))
    | st.builds(
        lambda each: {"items": [each], "data": [each]},
        objects("id", "url", "error", "safety_identifier", "created_at"),
    )
)


@settings(max_examples=60, deadline=None)
@given(status=st.sampled_from([200, 302, 400, 403, 404, 429, 500, 503]), body=BODIES)
async def test_no_answer_makes_it_raise_what_the_protocol_does_not_name(status: int, body: object) -> None:
    async with answered(BytePlus, "byteplus", [said(status, body)], BASE) as (adapter, _):
        for wanted in (image_job(), video_job()):
            submission = await adapter.submit(wanted)
            assert isinstance(submission, Accepted | Done | Refused | Unknown)
        assert isinstance(await adapter.cancel(REF), CancelOutcome)
        for question in (adapter.poll(REF), adapter.find(video_job(), datetime.now(UTC))):
            try:
                await question
            except ProviderUnreachable as error:
                assert error.fault.message
