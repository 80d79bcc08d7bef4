"""Runway's adapter: what it sends is what the official SDK sends, and every answer has one meaning."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.protocol import (
    Accepted,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
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
from server.providers.runway import Runway
from tests.integration.providers.canned import closed_port, reply
from tests.integration.providers.native import HTML, NO_USABLE_ANSWER, Provider, says, sent

RUNWAY = Provider("runway", Runway)
TASK = "7f0c6b3e-0000-4000-8000-000000000001"
REF = ProviderRef(TASK, {})
PICTURE = "https://8.8.8.8/a.png"
CREATED = says({"id": TASK, "estimatedCost": {"credits": 8}})
NO_CONTENT = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"


async def test_a_text_to_image_request_is_the_sdks() -> None:
    job = RUNWAY.job("runway/gen-4-image", ratio="16:9", input_file=[PICTURE], extras={"seed": 7})
    submission, request = await RUNWAY.submitted(job, CREATED)
    assert submission == Accepted(ProviderRef(TASK, {}, cost_micros=80_000))
    assert (request.method, request.path) == ("POST", "/v1/text_to_image")
    assert request.headers["authorization"] == "Bearer very-secret-key"
    assert request.headers["x-runway-version"] == "2024-11-06"
    assert request.body == {
        "model": "gen4_image",
        "promptText": "a red cube",
        "ratio": "1920:1080",
        "referenceImages": [{"uri": PICTURE}],
        "seed": 7,
    }


@pytest.mark.parametrize("model", ["runway/gen-4-image", "runway/gen-4.5"])
@pytest.mark.parametrize(
    ("extras", "said"),
    [({}, None), ({"moderation": False}, None), ({"moderation": True}, {"publicFigureThreshold": "auto"})],
)
async def test_nothing_is_said_of_moderation_unless_it_is_asked_for(
    model: str, extras: dict[str, bool], said: dict[str, str] | None
) -> None:
    job = RUNWAY.job(model, extras=extras)
    _, request = await RUNWAY.submitted(job, CREATED)
    assert job.request.extras["moderation"] is bool(extras.get("moderation"))
    assert request.body.get("contentModeration") == said


async def test_a_text_to_video_request_is_the_sdks() -> None:
    _, request = await RUNWAY.submitted(RUNWAY.job("runway/gen-4.5", duration=5, ratio="16:9"), CREATED)
    assert (request.method, request.path) == ("POST", "/v1/text_to_video")
    assert request.body["model"] == "gen4.5"
    assert request.body["ratio"] == "1280:720"
    assert request.body["duration"] == 5
    assert "promptImage" not in request.body


async def test_an_image_to_video_request_is_the_sdks() -> None:
    job = RUNWAY.job("runway/gen-4.5", duration=5, input_file=[PICTURE])
    _, request = await RUNWAY.submitted(job, CREATED)
    assert (request.method, request.path) == ("POST", "/v1/image_to_video")
    assert request.body["promptImage"] == PICTURE
    assert request.body["promptText"] == "a red cube"


@pytest.mark.parametrize(
    ("estimate", "micros"),
    [({"credits": 8}, 80_000), ({"credits": 0.5}, 5_000), ({"credits": "8"}, None), ({}, None), (8, None)],
)
async def test_what_a_task_will_cost_is_kept_with_it(estimate: object, micros: int | None) -> None:
    submission, _ = await RUNWAY.submitted(
        RUNWAY.job("runway/gen-4.5", duration=5), says({"id": TASK, "estimatedCost": estimate})
    )
    assert submission == Accepted(ProviderRef(TASK, {}, cost_micros=micros))


@pytest.mark.parametrize("answer", NO_USABLE_ANSWER)
async def test_a_submit_without_a_usable_answer_is_unknown(answer: bytes) -> None:
    submission, _ = await RUNWAY.submitted(RUNWAY.job("runway/gen-4-image"), answer)
    assert isinstance(submission, Unknown)


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with RUNWAY.at(f"http://127.0.0.1:{closed_port()}") as adapter:
        assert isinstance(await adapter.submit(RUNWAY.job("runway/gen-4-image")), NotSent)
        with pytest.raises(ProviderUnreachable):
            await adapter.poll(REF)
        assert await adapter.cancel(REF) is CancelOutcome.FAILED


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, "promptText is too long", FaultKind.REQUEST),
        (400, "You do not have enough credits to run this task.", FaultKind.ACCOUNT),
        (400, 'promptText: "not enough credits" is too short', FaultKind.REQUEST),
        (400, "The request was rejected by content moderation", FaultKind.CONTENT_POLICY),
        (401, "Invalid API key", FaultKind.ACCOUNT),
        (404, "not found", FaultKind.PROVIDER),
        (405, "not allowed", FaultKind.PROVIDER),
        (429, "Too many requests", FaultKind.THROTTLED),
        (429, "You have reached your daily task limit.", FaultKind.ACCOUNT),
        (500, "oops", FaultKind.PROVIDER),
        (503, "later", FaultKind.PROVIDER),
    ],
)
async def test_an_error_answer_to_a_submit_has_one_kind(status: int, said: str, kind: FaultKind) -> None:
    answer = says({"error": said}, f"{status} X", "retry-after: 3")
    submission, _ = await RUNWAY.submitted(RUNWAY.job("runway/gen-4-image"), answer)
    assert isinstance(submission, Refused)
    assert (submission.fault.kind, submission.fault.http_status) == (kind, status)
    assert said not in submission.fault.message
    if kind is FaultKind.THROTTLED:
        assert submission.fault.retry_after == 3.0


@pytest.mark.parametrize("status", ["PENDING", "THROTTLED", "RUNNING"])
async def test_a_task_on_its_way_is_asked_again_after_five_seconds_at_the_earliest(status: str) -> None:
    progress, (request,) = await RUNWAY.polled(REF, says({"id": TASK, "status": status, "progress": 0.4}))
    assert isinstance(progress, Pending)
    assert progress.retry_after >= 5
    assert (request.method, request.path) == ("GET", f"/v1/tasks/{TASK}")
    assert request.headers["x-runway-version"] == "2024-11-06"


async def test_a_task_that_succeeded_has_its_files_and_its_cost() -> None:
    body = {
        "id": TASK,
        "status": "SUCCEEDED",
        "output": ["https://f.example/v.mp4"],
        "cost": {"credits": 12.5},
    }
    progress, _ = await RUNWAY.polled(REF, says(body))
    assert isinstance(progress, Finished)
    assert [output.url for output in progress.outputs] == ["https://f.example/v.mp4"]
    assert progress.cost_micros == 125_000


@pytest.mark.parametrize("cost", [None, {}, {"credits": "8"}, {"credits": -1}, {"credits": True}, [8]])
async def test_a_cost_that_is_no_number_of_credits_is_not_known(cost: object) -> None:
    body = {"status": "SUCCEEDED", "output": ["https://f.example/v.mp4"], "cost": cost}
    progress, _ = await RUNWAY.polled(REF, says(body))
    assert isinstance(progress, Finished)
    assert progress.cost_micros is None


@pytest.mark.parametrize("output", [None, [], "https://f.example/v.mp4", ["x"], [None], {"a": 1}])
async def test_a_success_without_files_is_a_failure(output: object) -> None:
    progress, _ = await RUNWAY.polled(REF, says({"status": "SUCCEEDED", "output": output}))
    assert isinstance(progress, Failed)
    assert progress.fault.reason == reasons.ERROR_REASON_PROVIDER_INVALID_RESPONSE


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SAFETY.INPUT.TEXT", FaultKind.CONTENT_POLICY),
        ("SAFETY.OUTPUT.VIDEO", FaultKind.CONTENT_POLICY),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", FaultKind.CONTENT_POLICY),
        ("INTERNAL", FaultKind.PROVIDER),
        ("INTERNAL.BAD_OUTPUT.CODE01", FaultKind.PROVIDER),
        ("ASSET.INVALID", FaultKind.REQUEST),
        ("", FaultKind.PROVIDER),
        ("NEW.CODE", FaultKind.PROVIDER),
    ],
)
async def test_a_failure_code_says_whose_fault_it_was(code: str, kind: FaultKind) -> None:
    body = {"status": "FAILED", "failure": "secret-word", "failureCode": code}
    progress, _ = await RUNWAY.polled(REF, says(body))
    assert isinstance(progress, Failed)
    assert progress.fault.kind is kind
    assert "secret-word" not in progress.fault.message


async def test_a_canceled_task_is_canceled_and_a_deleted_one_lost() -> None:
    progress, _ = await RUNWAY.polled(REF, says({"status": "CANCELLED"}))
    assert isinstance(progress, CanceledUpstream)
    progress, _ = await RUNWAY.polled(REF, says({"error": "not found"}, "404 Not Found"))
    assert isinstance(progress, Lost)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        reply("200 OK", b"{}"),
        reply("200 OK", b"[]"),
        reply("200 OK", b'{"status": 7}'),
        reply("200 OK", b'{"status": "DANCING"}'),
        reply("401 Unauthorized", b"{}"),
        reply("429 Too Many Requests", b"{}"),
        reply("502 Bad Gateway", HTML),
    ],
)
async def test_an_unusable_answer_to_a_poll_keeps_the_job(answer: bytes) -> None:
    with pytest.raises(ProviderUnreachable):
        await RUNWAY.polled(REF, answer)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("PENDING", CancelOutcome.SENT_CONFIRMED),
        ("THROTTLED", CancelOutcome.SENT_CONFIRMED),
        ("RUNNING", CancelOutcome.SENT_UNCONFIRMED),
    ],
)
async def test_a_task_that_has_not_ended_is_read_and_then_deleted(
    status: str, outcome: CancelOutcome
) -> None:
    async with RUNWAY.answering(says({"status": status}), NO_CONTENT) as (adapter, seen):
        assert await adapter.cancel(REF) is outcome
    requests = [sent(each) for each in seen]
    assert [request.method for request in requests] == ["GET", "DELETE"]
    assert {request.path for request in requests} == {f"/v1/tasks/{TASK}"}
    assert requests[1].headers["x-runway-version"] == "2024-11-06"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (says({"status": "SUCCEEDED"}), CancelOutcome.ALREADY_FINAL),
        (says({"status": "FAILED"}), CancelOutcome.ALREADY_FINAL),
        (says({"status": "CANCELLED"}), CancelOutcome.ALREADY_FINAL),
        (says({}, "404 Not Found"), CancelOutcome.ALREADY_FINAL),
        (says({"status": "DANCING"}), CancelOutcome.FAILED),
        (says({"status": "PENDING"}, "500 X"), CancelOutcome.FAILED),
        (reply("200 OK", HTML), CancelOutcome.FAILED),
        (b"", CancelOutcome.FAILED),
    ],
)
async def test_nothing_is_deleted_that_may_have_ended(answer: bytes, outcome: CancelOutcome) -> None:
    async with RUNWAY.answering(answer) as (adapter, seen):
        assert await adapter.cancel(REF) is outcome
    assert [sent(each).method for each in seen] == ["GET"]


@pytest.mark.parametrize(
    ("deleted", "outcome"),
    [
        (says({}, "404 Not Found"), CancelOutcome.ALREADY_FINAL),
        (says({}, "500 X"), CancelOutcome.FAILED),
        (b"", CancelOutcome.FAILED),
    ],
)
async def test_a_delete_that_does_not_get_through_stops_nothing(
    deleted: bytes, outcome: CancelOutcome
) -> None:
    async with RUNWAY.answering(says({"status": "PENDING"}), deleted) as (adapter, _):
        assert await adapter.cancel(REF) is outcome


async def test_runway_has_neither_a_list_nor_reports() -> None:
    async with RUNWAY.answering(b"") as (adapter, seen):
        job = RUNWAY.job("runway/gen-4-image")
        assert await adapter.find(job, datetime.now(UTC)) is None
        with pytest.raises(CallbackRefused, match="unsupported"):
            await adapter.verify_callback({}, b"{}", "")
    assert seen == []
