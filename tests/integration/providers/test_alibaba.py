"""Alibaba Cloud's adapter: what it sends is what the official SDK sends, and every answer has one meaning."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.alibaba import Alibaba
from server.providers.protocol import (
    Accepted,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    FaultKind,
    Finished,
    Lost,
    NotSent,
    Pending,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from tests.integration.providers.canned import closed_port, reply
from tests.integration.providers.native import HTML, NO_USABLE_ANSWER, Provider, catalog, says, sent, silent

ALIBABA = Provider("alibabacloud", Alibaba, below="/api/v1")
VIDEO, OLD_IMAGE, TASK_IMAGE, AT_ONCE = "wan/3.0-video", "wan/2.2-t2i", "wan/2.6-t2i", "qwen/image-2"
FIRST, LAST = "https://8.8.8.8/first.png", "https://8.8.8.8/last.png"
REF = ProviderRef("ds-task-1", {})
CREATED = says({"output": {"task_status": "PENDING", "task_id": "ds-task-1"}, "request_id": "r-1"})
FILE = "https://f.example/a.png"


def task(status: str, **output: Any) -> bytes:
    """What a task looks like."""
    return says({"request_id": "r-2", "output": {"task_id": "ds-task-1", "task_status": status, **output}})


async def test_a_video_request_is_the_sdks() -> None:
    job = ALIBABA.job(
        VIDEO,
        "a cube",
        duration=5,
        resolution="720p",
        ratio="16:9",
        generate_audio=True,
        input_file=[FIRST],
        extras={"seed": 7, "enhance_prompt": True},
    )
    submission, request = await ALIBABA.submitted(job, CREATED)
    assert submission == Accepted(REF)
    assert (request.method, request.path) == (
        "POST",
        "/api/v1/services/aigc/video-generation/video-synthesis",
    )
    assert request.headers["authorization"] == "Bearer very-secret-key"
    assert request.headers["x-dashscope-async"] == "enable"
    assert request.body["model"] == "wan3.0-video"
    assert request.body["input"] == {"prompt": "a cube", "media": [{"type": "first_frame", "url": FIRST}]}
    wanted = {
        "audio": True,
        "duration": 5,
        "seed": 7,
        "prompt_extend": True,
        "resolution": "720P",
        "ratio": "16:9",
    }
    assert wanted.items() <= request.body["parameters"].items()


async def test_a_last_frame_is_one_more_medium() -> None:
    job = ALIBABA.job(VIDEO, input_file=[FIRST], input_file_last_content=LAST)
    _, request = await ALIBABA.submitted(job, CREATED)
    assert request.body["input"]["media"] == [
        {"type": "first_frame", "url": FIRST},
        {"type": "last_frame", "url": LAST},
    ]


async def test_a_request_of_the_older_image_models_is_the_sdks() -> None:
    job = ALIBABA.job(OLD_IMAGE, "a cube", ratio="1:1", extras={"seed": 7}, outputs=2, output_number=2)
    _, request = await ALIBABA.submitted(job, CREATED)
    assert request.path == "/api/v1/services/aigc/text2image/image-synthesis"
    assert request.headers["x-dashscope-async"] == "enable"
    assert request.body["input"] == {"prompt": "a cube"}
    assert {"size": "1024*1024", "n": 2, "seed": 7}.items() <= request.body["parameters"].items()


async def test_a_request_of_a_message_model_that_makes_tasks_is_the_sdks() -> None:
    _, request = await ALIBABA.submitted(ALIBABA.job(TASK_IMAGE, "a cube"), CREATED)
    assert request.path == "/api/v1/services/aigc/image-generation/generation"
    assert request.headers["x-dashscope-async"] == "enable"
    assert request.body["input"] == {"messages": [{"role": "user", "content": [{"text": "a cube"}]}]}


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (
            TASK_IMAGE,
            {
                "1:1": "1280*1280",
                "16:9": "1696*960",
                "9:16": "960*1696",
                "4:3": "1472*1104",
                "3:4": "1104*1472",
            },
        ),
        (
            OLD_IMAGE,
            {
                "1:1": "1024*1024",
                "16:9": "1280*720",
                "9:16": "720*1280",
                "4:3": "1152*864",
                "3:4": "864*1152",
            },
        ),
    ],
)
async def test_a_ratio_is_a_size_that_alibabas_page_names(model: str, sizes: dict[str, str]) -> None:
    assert set(catalog().model(model).ratios) == set(sizes)
    for ratio, size in sizes.items():
        _, request = await ALIBABA.submitted(ALIBABA.job(model, ratio=ratio), CREATED)
        assert request.body["parameters"]["size"] == size


async def test_a_model_that_answers_at_once_is_done_with_its_pictures() -> None:
    picture = {"message": {"role": "assistant", "content": [{"text": "here"}, {"image": FILE}]}}
    job = ALIBABA.job(AT_ONCE, "a cube", input_file=[FIRST])
    submission, request = await ALIBABA.submitted(job, says({"output": {"choices": [picture, picture]}}))
    assert isinstance(submission, Done)
    assert [output.url for output in submission.finished.outputs] == [FILE, FILE]
    assert request.path == "/api/v1/services/aigc/multimodal-generation/generation"
    assert "x-dashscope-async" not in request.headers
    assert request.body["input"]["messages"][0]["content"] == [{"image": FIRST}, {"text": "a cube"}]


@pytest.mark.parametrize("model", [VIDEO, AT_ONCE])
@pytest.mark.parametrize("answer", NO_USABLE_ANSWER)
async def test_a_submit_without_a_usable_answer_is_unknown(model: str, answer: bytes) -> None:
    submission, _ = await ALIBABA.submitted(ALIBABA.job(model), answer)
    assert isinstance(submission, Unknown)


async def test_a_call_that_answers_at_once_has_the_jobs_own_time() -> None:
    job = replace(ALIBABA.job(AT_ONCE), seconds=0.2)
    async with silent() as url, ALIBABA.at(url, call_seconds=600.0) as adapter, asyncio.timeout(60):
        assert isinstance(await adapter.submit(job), Unknown)


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with ALIBABA.at(f"http://127.0.0.1:{closed_port()}") as adapter:
        assert isinstance(await adapter.submit(ALIBABA.job(VIDEO)), NotSent)
        assert await adapter.cancel(REF) is CancelOutcome.FAILED
        with pytest.raises(ProviderUnreachable):
            await adapter.poll(REF)


CODES = pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidParameter", FaultKind.REQUEST),
        ("InvalidURL", FaultKind.REQUEST),
        ("DataInspectionFailed", FaultKind.CONTENT_POLICY),
        ("data_inspection_failed", FaultKind.CONTENT_POLICY),
        ("InvalidParameter.DataInspection", FaultKind.PROVIDER),
        ("Arrearage", FaultKind.ACCOUNT),
        ("InvalidApiKey", FaultKind.ACCOUNT),
        ("Workspace.AccessDenied", FaultKind.ACCOUNT),
        ("AccessDenied", FaultKind.PROVIDER),
        ("AccessDenied.Unpurchased", FaultKind.PROVIDER),
        ("Model.AccessDenied", FaultKind.PROVIDER),
        ("CommodityNotPurchased", FaultKind.ACCOUNT),
        ("PrepaidBillOverdue", FaultKind.ACCOUNT),
        ("PostpaidBillOverdue", FaultKind.ACCOUNT),
        ("ModelNotFound", FaultKind.PROVIDER),
        ("Model.NotExist", FaultKind.PROVIDER),
        ("Throttling", FaultKind.THROTTLED),
        ("Throttling.RateQuota", FaultKind.THROTTLED),
        ("Throttling.AllocationQuota", FaultKind.THROTTLED),
        ("InternalError", FaultKind.PROVIDER),
        ("InternalError.Algo", FaultKind.PROVIDER),
        ("ServiceUnavailable", FaultKind.PROVIDER),
    ],
)


@CODES
@pytest.mark.parametrize("status", [200, 400, 429, 500])
async def test_an_error_code_counts_for_more_than_the_status(code: str, kind: FaultKind, status: int) -> None:
    answer = says(
        {"code": code, "message": "secret-word", "request_id": "r"}, f"{status} X", "retry-after: 4"
    )
    submission, _ = await ALIBABA.submitted(ALIBABA.job(VIDEO), answer)
    assert isinstance(submission, Refused)
    assert (submission.fault.kind, submission.fault.http_status) == (kind, status)
    assert "secret-word" not in submission.fault.message
    if kind is FaultKind.THROTTLED:
        assert submission.fault.retry_after == 4.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FaultKind.REQUEST),
        (401, FaultKind.ACCOUNT),
        (403, FaultKind.ACCOUNT),
        (404, FaultKind.PROVIDER),
        (429, FaultKind.THROTTLED),
        (500, FaultKind.PROVIDER),
        (503, FaultKind.PROVIDER),
    ],
)
async def test_without_a_known_code_the_status_says_the_kind(status: int, kind: FaultKind) -> None:
    # A 403 without an object is a filter's.
    bodies: tuple[object, ...] = ({"code": "BrandNew"}, *(([], "text") if status != 403 else ()))
    for body in bodies:
        submission, _ = await ALIBABA.submitted(ALIBABA.job(VIDEO), says(body, f"{status} X"))
        assert isinstance(submission, Refused)
        assert submission.fault.kind is kind


@CODES
async def test_a_failed_task_says_whose_fault_it_was(code: str, kind: FaultKind) -> None:
    progress, _ = await ALIBABA.polled(REF, task("FAILED", code=code, message="secret-word"))
    assert isinstance(progress, Failed)
    assert progress.fault.kind is kind
    assert "secret-word" not in progress.fault.message


@pytest.mark.parametrize("status", ["PENDING", "SUSPENDED", "RUNNING"])
async def test_a_task_on_its_way_is_pending(status: str) -> None:
    progress, (request,) = await ALIBABA.polled(REF, task(status))
    assert isinstance(progress, Pending)
    assert (request.method, request.path) == ("GET", "/api/v1/tasks/ds-task-1")


@pytest.mark.parametrize(
    ("output", "urls"),
    [
        ({"video_url": FILE}, [FILE]),
        ({"results": [{"url": FILE, "orig_prompt": "x"}, {"url": FILE}]}, [FILE, FILE]),
        ({"results": [{"url": FILE}, {"code": "DataInspectionFailed", "message": "no"}]}, [FILE]),
        ({"choices": [{"message": {"content": [{"image": FILE, "type": "image"}]}}]}, [FILE]),
        (
            {"choices": [{"message": {"content": [{"text": "x", "type": "text"}, {"image": FILE}]}}] * 2},
            [FILE] * 2,
        ),
    ],
)
async def test_a_task_that_succeeded_has_its_files(output: dict[str, Any], urls: list[str]) -> None:
    progress, _ = await ALIBABA.polled(REF, task("SUCCEEDED", **output))
    assert isinstance(progress, Finished)
    assert [each.url for each in progress.outputs] == urls
    assert progress.cost_micros is None


async def test_the_run_time_is_the_difference_of_two_moments_in_one_unnamed_zone() -> None:
    times = {"scheduled_time": "2026-11-16 00:25:59.900", "end_time": "2026-11-16 00:26:35.400"}
    progress, _ = await ALIBABA.polled(REF, task("SUCCEEDED", video_url=FILE, **times))
    assert isinstance(progress, Finished)
    assert progress.run_seconds == pytest.approx(35.5)
    mixed = {"scheduled_time": "2026-11-16T00:25:59Z", "end_time": "2026-11-16 00:26:35.400"}
    for odd in ({}, mixed, {"scheduled_time": 5, "end_time": "x"}):
        progress, _ = await ALIBABA.polled(REF, task("SUCCEEDED", video_url=FILE, **odd))
        assert isinstance(progress, Finished)
        assert progress.run_seconds is None


@pytest.mark.parametrize(
    "output",
    [
        {},
        {"video_url": None},
        {"video_url": "file:///etc/passwd"},
        {"results": []},
        {"results": "x"},
        {"results": [{"url": FILE}, {}]},
        {"results": [{"url": FILE}, 5]},
        {"choices": []},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": "x"}}]},
        {"choices": [{"message": {"content": [{"image": 5}]}}]},
    ],
)
async def test_a_success_without_usable_files_is_a_failure(output: dict[str, Any]) -> None:
    progress, _ = await ALIBABA.polled(REF, task("SUCCEEDED", **output))
    assert isinstance(progress, Failed)
    assert progress.fault.reason == reasons.ERROR_REASON_PROVIDER_INVALID_RESPONSE


async def test_a_batch_of_which_every_picture_was_refused_is_a_refusal() -> None:
    refused = {"code": "DataInspectionFailed", "message": "no"}
    progress, _ = await ALIBABA.polled(REF, task("SUCCEEDED", results=[refused, refused]))
    assert isinstance(progress, Failed)
    assert progress.fault.kind is FaultKind.CONTENT_POLICY


async def test_a_task_is_canceled_or_not_known_any_more() -> None:
    progress, _ = await ALIBABA.polled(REF, task("CANCELED"))
    assert isinstance(progress, CanceledUpstream)
    for answer in (task("UNKNOWN"), says({"code": "TaskNotFound"}, "404 Not Found")):
        progress, _ = await ALIBABA.polled(REF, answer)
        assert isinstance(progress, Lost)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        reply("200 OK", b"{}"),
        reply("200 OK", b"[]"),
        reply("200 OK", b'{"output": "x"}'),
        reply("200 OK", b'{"output": {"task_status": 7}}'),
        reply("200 OK", b'{"output": {"task_status": "DANCING"}}'),
        reply("200 OK", b'{"code": "Throttling", "message": "x"}'),
        reply("401 Unauthorized", b"{}"),
        reply("429 Too Many Requests", b'{"code": "Throttling.RateQuota"}'),
        reply("502 Bad Gateway", HTML),
    ],
)
async def test_an_unusable_answer_to_a_poll_keeps_the_job(answer: bytes) -> None:
    with pytest.raises(ProviderUnreachable):
        await ALIBABA.polled(REF, answer)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (says({"request_id": "r"}), CancelOutcome.SENT_CONFIRMED),
        (reply("200 OK", HTML), CancelOutcome.SENT_UNCONFIRMED),
        (says({"code": "TaskNotFound"}, "404 Not Found"), CancelOutcome.ALREADY_FINAL),
        (says({"code": "Throttling.RateQuota"}, "429 X"), CancelOutcome.FAILED),
        (says({}, "500 X"), CancelOutcome.FAILED),
        (b"", CancelOutcome.FAILED),
    ],
)
async def test_a_cancel_is_asked_for_once(answer: bytes, outcome: CancelOutcome) -> None:
    async with ALIBABA.answering(answer) as (adapter, seen):
        assert await adapter.cancel(REF) is outcome
    (request,) = [sent(each) for each in seen]
    assert (request.method, request.path) == ("POST", "/api/v1/tasks/ds-task-1/cancel")


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (task("RUNNING"), CancelOutcome.FAILED),
        (task("SUCCEEDED"), CancelOutcome.ALREADY_FINAL),
        (task("FAILED"), CancelOutcome.ALREADY_FINAL),
        (task("CANCELED"), CancelOutcome.ALREADY_FINAL),
        (task("DANCING"), CancelOutcome.FAILED),
        (b"", CancelOutcome.FAILED),
    ],
)
async def test_what_cannot_be_canceled_any_more_has_ended_or_runs(
    status: int, state: bytes, outcome: CancelOutcome
) -> None:
    too_late = says({"code": "UnsupportedOperation", "message": "not pending"}, f"{status} X")
    async with ALIBABA.answering(too_late, state) as (adapter, _):
        assert await adapter.cancel(REF) is outcome


async def test_alibaba_sends_no_reports_that_could_be_checked() -> None:
    async with ALIBABA.answering(b"") as (adapter, _):
        with pytest.raises(CallbackRefused, match="unsupported"):
            await adapter.verify_callback({}, b"{}", "")
