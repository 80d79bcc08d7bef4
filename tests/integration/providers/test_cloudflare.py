"""Cloudflare's adapter: its own models and others', every shape of answer, and the codes behind a status."""

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
from server.providers.cloudflare import Cloudflare
from server.providers.protocol import (
    CallbackRefused,
    CancelOutcome,
    Done,
    FaultKind,
    Finished,
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

BASE = "/client/v4/accounts/acc123"
PICTURE = b"\xff\xd8\xffsmall"
ENCODED = base64.b64encode(PICTURE).decode()
GOOD = {"result": {"image": ENCODED}, "success": True, "errors": [], "messages": []}
URL = "https://files.example/film.mp4"
RUN = {"state": "Completed", "result": {"video": URL}, "gatewayMetadata": {"keySource": "Unified"}}


def form_job(**fields: Any) -> Job:
    return job_for("cloudflare", "bfl/flux-2-klein-9b", **fields)


def own_job() -> Job:
    """A model of Cloudflare's own that takes JSON."""
    wanted = form_job()
    path = "@cf/black-forest-labs/flux-1-schnell"
    constants = {"steps": 4}
    fields = {name: rule for name, rule in wanted.provider_model.fields.items() if name == "prompt"}
    plain = replace(wanted.provider_model, path=path, fields=fields, constants=constants)
    return replace(wanted, provider_model=plain)


def video_job(**fields: Any) -> Job:
    return job_for("cloudflare", "bytedance/seedance-2.0-fast", **fields)


async def submitted(wanted: Job, *answers: bytes) -> tuple[Submission, list[Call]]:
    async with answered(Cloudflare, "cloudflare", answers, BASE) as (adapter, seen):
        submission = await adapter.submit(wanted)
    return submission, [Call.of(each) for each in seen]


async def test_an_own_model_is_run_as_the_sdk_runs_it() -> None:
    wanted = own_job()
    submission, (call,) = await submitted(wanted, said(200, GOOD))
    assert (call.method, call.path) == ("POST", f"{BASE}/ai/run/@cf/black-forest-labs/flux-1-schnell")
    assert call.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert call.headers["content-type"] == "application/json"
    assert call.json == {"prompt": wanted.request.prompt, "steps": 4}
    assert isinstance(submission, Done)
    (output,) = submission.finished.outputs
    assert (output.url, output.content) == ("", PICTURE)


async def test_a_model_of_others_is_run_by_the_universal_route() -> None:
    files = {"input_file": ["https://files.example/a.png"]}
    wanted = video_job(ratio="16:9", resolution="720p", generate_audio=True, extras={"seed": 7}, **files)
    submission, (call,) = await submitted(wanted, said(200, RUN))
    assert (call.method, call.path) == ("POST", f"{BASE}/ai/run")
    assert call.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert set(call.json) == {"model", "input"}
    assert call.json["model"] == "bytedance/seedance-2.0-fast"
    asked = {
        "prompt": wanted.request.prompt,
        "aspect_ratio": "16:9",
        "duration": 4,
        "resolution": "720p",
        "generate_audio": True,
        "seed": 7,
        "image": "https://files.example/a.png",
    }
    assert asked.items() <= call.json["input"].items()
    assert isinstance(submission, Done)
    assert [output.url for output in submission.finished.outputs] == [URL]


async def test_the_gateway_is_told_not_to_try_again_by_itself() -> None:
    for wanted in (own_job(), video_job(), form_job()):
        _, (call,) = await submitted(wanted, said(200, GOOD))
        assert call.headers["cf-aig-max-attempts"] == "1"


async def test_a_model_that_takes_forms_gets_one_with_its_input_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PICTURE)
    wanted = form_job(input_file=["https://files.example/a.jpg"], ratio="16:9", extras={"seed": 7})
    wanted = replace(wanted, inputs=(InputFile(tmp_path / "a", "image/jpeg"),))
    submission, (call,) = await submitted(wanted, said(200, GOOD))
    assert isinstance(submission, Done)
    assert call.path == f"{BASE}/ai/run/@cf/black-forest-labs/flux-2-klein-9b"
    values = {name: content.decode() for name, file_name, _, content in call.form if file_name is None}
    assert values == {"prompt": wanted.request.prompt, "width": "1280", "height": "720", "seed": "7"}
    files = [part for part in call.form if part[1] is not None]
    assert files == [("input_image_0", "input.jpg", "image/jpeg", PICTURE)]


async def test_input_files_that_nobody_fetched_are_not_left_out_in_silence() -> None:
    wanted = form_job(input_file=["https://files.example/a.jpg"])
    submission, calls = await submitted(wanted, said(200, GOOD))
    assert isinstance(submission, NotSent)
    assert submission.fault.kind is FaultKind.UNSUPPORTED
    assert calls == []


@pytest.mark.parametrize("content_type", ["image/jpeg", "IMAGE/JPEG; q=1", "application/octet-stream"])
async def test_an_answer_that_is_the_picture_itself_is_delivered(content_type: str) -> None:
    submission, _ = await submitted(own_job(), reply("200 OK", PICTURE, f"content-type: {content_type}"))
    assert isinstance(submission, Done)
    (output,) = submission.finished.outputs
    assert output.content == PICTURE
    assert output.content_type == (None if "octet" in content_type else "image/jpeg")


@pytest.mark.parametrize(
    "body",
    [
        RUN,
        {"result": RUN, "success": True, "errors": [], "messages": []},
        {"result": {"video": URL}, "success": True},
        {"state": "Completed", "result": {"videos": [URL]}},
    ],
)
async def test_a_file_is_found_with_and_without_an_envelope(body: object) -> None:
    submission, _ = await submitted(video_job(), said(200, body))
    assert isinstance(submission, Done)
    assert [output.url for output in submission.finished.outputs] == [URL]


@pytest.mark.parametrize("image", [ENCODED, f"data:image/jpeg;base64,{ENCODED}", [ENCODED]])
async def test_base64_is_read_with_and_without_the_head_of_a_data_url(image: object) -> None:
    submission, _ = await submitted(own_job(), said(200, {"success": True, "result": {"image": image}}))
    assert isinstance(submission, Done)
    assert [output.content for output in submission.finished.outputs] == [PICTURE]
    assert submission.ref.urls == {}


async def test_files_that_were_named_can_be_asked_for_again() -> None:
    async with answered(Cloudflare, "cloudflare", [said(200, RUN)], BASE) as (adapter, seen):
        submission = await adapter.submit(video_job())
        assert isinstance(submission, Done)
        again = await adapter.poll(ProviderRef.from_json(submission.ref.to_json()))
    assert isinstance(again, Finished)
    assert again.outputs == submission.finished.outputs
    assert len(seen) == 1


async def test_files_that_were_sent_cannot_be_asked_for_again() -> None:
    async with answered(Cloudflare, "cloudflare", [said(200, GOOD)], BASE) as (adapter, _):
        submission = await adapter.submit(own_job())
        assert isinstance(submission, Done)
        assert isinstance(await adapter.poll(submission.ref), Lost)


def refusal(code: int, message: str = "AiError: secret-word") -> dict[str, object]:
    return {"success": False, "result": None, "errors": [{"code": code, "message": message}], "messages": []}


NSFW = "AiError: Input prompt contains NSFW content: secret-word"
POLICY = (FaultKind.CONTENT_POLICY, reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION)
INVALID = (FaultKind.REQUEST, reasons.ERROR_REASON_INVALID_INPUT)
ACCOUNT = (FaultKind.ACCOUNT, reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED)
FAILED = (FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR)
AWAY = (FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_UNAVAILABLE)
LIMITED = (FaultKind.THROTTLED, reasons.ERROR_REASON_PROVIDER_RATE_LIMITED)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        *((400, refusal(code), INVALID) for code in (5004, 3039, 3003, 3030, 8007)),
        (400, refusal(3030, NSFW), POLICY),
        (400, refusal(8007, NSFW), POLICY),
        (400, refusal(5007), FAILED),
        *((403, refusal(code), AWAY) for code in (5018, 5016, 3023, 3041)),
        *((405, refusal(code), FAILED) for code in (5019, 5005)),
        (404, refusal(3042), FAILED),
        (413, refusal(3006), INVALID),
        (429, refusal(3036), ACCOUNT),
        (429, refusal(3040), AWAY),
        (429, refusal(10000), LIMITED),
        (401, refusal(10000), ACCOUNT),
        (500, refusal(0), FAILED),
        (503, {}, AWAY),
        # An envelope that says success around an error.
        (200, refusal(3036), ACCOUNT),
        (200, refusal(3040), AWAY),
        (200, refusal(3003), INVALID),
        (200, refusal(3030, NSFW), POLICY),
        (200, {"success": False}, FAILED),
        (200, {"state": "Failed", "error": {"code": 1, "message": "secret-word"}, "model": "m"}, FAILED),
        (200, {"state": "Failed", "error": {"code": "x", "message": "Output was flagged as unsafe"}}, POLICY),
        (200, {"state": "Failed", "error": "secret-word"}, FAILED),
        (200, {"state": "Failed"}, FAILED),
        (200, {"success": True, "result": {"state": "Failed", "error": {"code": 3036}}}, ACCOUNT),
        (400, {"state": "Failed", "error": {"code": 2, "message": "content policy violation"}}, POLICY),
    ],
)
async def test_an_error_answer_says_whose_fault_it_was(
    status: int, body: object, expected: tuple[FaultKind, int]
) -> None:
    submission, calls = await submitted(video_job(), said(status, body))
    assert isinstance(submission, Refused)
    fault = submission.fault
    assert (fault.kind, fault.reason) == expected
    assert fault.http_status == status
    assert "secret-word" not in fault.message
    assert len(calls) == 1


@pytest.mark.parametrize("code", [3040, 1])
async def test_a_limit_says_how_long_to_wait(code: int) -> None:
    submission, _ = await submitted(video_job(), said(429, refusal(code), "retry-after: 17"))
    assert isinstance(submission, Refused)
    assert submission.fault.retry_after == 17.0


NO_FILES: list[object] = [
    [],
    {},
    {"success": True},
    {"success": True, "result": None},
    {"success": True, "result": {}},
    {"success": True, "result": {"image": ""}},
    {"success": True, "result": {"image": "???"}},
    {"success": True, "result": {"image": f"javascript:image/jpeg;base64,{ENCODED}"}},
    {"success": True, "result": {"image": "ftp://files.example/x"}},
    {"success": True, "result": {"video": [None, {}]}},
    {"state": "Running", "result": {"video": URL}},
    {"state": "Completed", "result": "video"},
]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"nonsense\r\n\r\n",
        reply("200 OK", b"not json"),
        reply("200 OK", b"", "content-type: image/png"),
        *(said(status, GOOD) for status in (408, 502, 504, 524)),
        *(said(408, refusal(code)) for code in (3007, 3008)),
        *(said(200, refusal(code)) for code in (3007, 3008)),
        *(said(200, body) for body in NO_FILES),
    ],
)
async def test_a_submit_without_a_usable_answer_is_unknown(answer: bytes) -> None:
    submission, calls = await submitted(video_job(), answer)
    assert isinstance(submission, Unknown)
    assert len(calls) == 1


async def test_a_call_that_takes_longer_than_its_time_is_unknown() -> None:
    async with silent() as url, adapter_at(url, Cloudflare, "cloudflare", call_seconds=3600) as adapter:
        submission = await adapter.submit(replace(video_job(), seconds=0.2))
    assert isinstance(submission, Unknown)


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with adapter_at(f"http://127.0.0.1:{closed_port()}", Cloudflare, "cloudflare") as adapter:
        submission = await adapter.submit(video_job())
    assert isinstance(submission, NotSent)


async def test_there_is_nothing_to_cancel_find_or_hear() -> None:
    async with answered(Cloudflare, "cloudflare", [b""]) as (adapter, seen):
        assert await adapter.cancel(ProviderRef("x", {})) is CancelOutcome.NOT_SUPPORTED
        assert await adapter.find(video_job(), datetime.now(UTC)) is None
        with pytest.raises(CallbackRefused, match="unsupported"):
            await adapter.verify_callback({}, b"", "")
    assert seen == []


BODIES = (
    JSON
    | objects("result", "success", "errors", "state", "error")
    | st.builds(lambda inner: {"result": inner}, objects("state", "result", "error", "image", "video"))
    | st.builds(lambda each: {"success": False, "errors": [each]}, objects("code", "message"))
)


@settings(max_examples=60, deadline=None)
@given(status=st.sampled_from([200, 201, 302, 400, 401, 429, 500, 503]), body=BODIES)
async def test_no_answer_makes_it_raise(status: int, body: object) -> None:
    submission, calls = await submitted(video_job(), said(status, body))
    assert len(calls) == 1
    assert isinstance(submission, Refused | Unknown if status >= 300 else Refused | Unknown | Done)
