"""The adapter of Black Forest Labs: where its key may go, what its statuses mean, and what a task costs."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from babysea.common.v1 import error_reason_pb2 as reasons
from kit.settings import Region, Settings
from server.providers.bfl import BlackForestLabs
from server.providers.protocol import (
    Accepted,
    CancelOutcome,
    Failed,
    FaultKind,
    Finished,
    InputFile,
    Lost,
    NotSent,
    Pending,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from server.providers.registry import open_providers
from tests.integration.providers.canned import canned, closed_port, reply
from tests.integration.providers.native import HTML, NO_USABLE_ANSWER, Provider, catalog, says, sent

BFL = Provider("bfl", BlackForestLabs, scheme="", header="x-key")
IMAGE, VIDEO, ULTRA = "bfl/flux-2-pro", "bfl/flux-3-video", "bfl/flux-1.1-pro-ultra"
REF = ProviderRef("bfl-1", {})
FIRST, LAST = "https://8.8.8.8/first.png", "https://8.8.8.8/last.png"


async def test_an_image_request_has_the_sdks_method_path_and_key() -> None:
    job = BFL.job(IMAGE, ratio="1:1", input_file=[FIRST, LAST], extras={"seed": 42})
    submission, request = await BFL.submitted(job, says({"id": "bfl-1", "cost": 3}))
    assert isinstance(submission, Accepted)
    assert (request.method, request.path) == ("POST", "/v1/flux-2-pro")
    assert request.headers["x-key"] == "very-secret-key"
    assert "authorization" not in request.headers
    assert request.body["prompt"] == "a red cube"
    assert request.body["seed"] == 42
    assert (request.body["input_image"], request.body["input_image_2"]) == (FIRST, LAST)
    assert {"width", "height"} <= set(request.body)
    assert "webhook_url" not in request.body


async def test_a_video_without_pictures_is_made_from_text() -> None:
    _, request = await BFL.submitted(BFL.job(VIDEO), says({"id": "bfl-1"}))
    assert request.path == "/v1/flux-3-video"
    assert request.body["mode"] == "t2v"
    assert "keyframes" not in request.body


@pytest.mark.parametrize(
    ("fields", "frames"),
    [
        ({"input_file": [FIRST]}, [FIRST]),
        ({"input_file": [FIRST], "input_file_last_content": LAST}, [FIRST, LAST]),
    ],
)
async def test_pictures_become_the_keyframes_of_a_video(fields: dict[str, Any], frames: list[str]) -> None:
    _, request = await BFL.submitted(BFL.job(VIDEO, **fields), says({"id": "bfl-1"}))
    assert (request.body["mode"], request.body["keyframes"]) == ("i2v", frames)


async def test_the_picture_of_an_image_prompt_goes_along_in_base64(tmp_path: Path) -> None:
    path = tmp_path / "in.jpg"
    Image.new("RGB", (64, 64), "red").save(path)
    file = InputFile(path, "image/jpeg", 64, 64, url=FIRST)
    job = replace(BFL.job(ULTRA, input_file=[FIRST]), inputs=(file,))
    submission, request = await BFL.submitted(job, says({"id": "bfl-1"}))
    assert isinstance(submission, Accepted)
    assert request.path == "/v1/flux-pro-1.1-ultra"
    assert base64.b64decode(request.body["image_prompt"], validate=True) == path.read_bytes()
    assert FIRST not in str(request.body)


async def test_without_a_picture_there_is_no_image_prompt() -> None:
    _, request = await BFL.submitted(BFL.job(ULTRA), says({"id": "bfl-1"}))
    assert "image_prompt" not in request.body


async def test_a_picture_that_is_not_at_hand_is_not_sent_and_the_next_provider_may_be_asked(
    tmp_path: Path,
) -> None:
    without = BFL.job(ULTRA, input_file=[FIRST])
    gone = replace(without, inputs=(InputFile(tmp_path / "gone.png", "image/png", 64, 64, url=FIRST),))
    async with BFL.answering(says({"id": "bfl-1"})) as (adapter, seen):
        for job in (without, gone):
            submission = await adapter.submit(job)
            assert isinstance(submission, NotSent)
            assert submission.fault.kind is FaultKind.UNSUPPORTED
    assert seen == []


async def test_a_callback_is_asked_for_with_the_attempts_own_secret() -> None:
    job = replace(BFL.job(IMAGE), callback_url="https://here.example/cb", callback_secret="s3cret")
    answer = says({"id": "bfl-1", "status": "Pending", "webhook_url": "https://here.example/cb", "cost": 3})
    submission, request = await BFL.submitted(job, answer)
    assert request.body["webhook_url"] == "https://here.example/cb"
    assert request.body["webhook_secret"] == "s3cret"
    assert submission == Accepted(ProviderRef("bfl-1", {}, cost_micros=30_000))


@pytest.mark.parametrize(
    ("cost", "micros"),
    [(3, 30_000), (1.4, 14_000), (0, 0), (None, None), ("3", None), (True, None), (-1, None)],
)
async def test_the_credits_of_the_answer_are_kept_until_the_end(cost: object, micros: int | None) -> None:
    submission, _ = await BFL.submitted(BFL.job(IMAGE), says({"id": "bfl-1", "cost": cost}))
    assert isinstance(submission, Accepted)
    ref = ProviderRef.from_json(submission.ref.to_json())
    ready = says({"id": "bfl-1", "status": "Ready", "result": {"sample": "https://f.example/a.jpg"}})
    progress, _ = await BFL.polled(ref, ready)
    assert isinstance(progress, Finished)
    assert [output.url for output in progress.outputs] == ["https://f.example/a.jpg"]
    assert progress.cost_micros == micros


@pytest.mark.parametrize("answer", NO_USABLE_ANSWER)
async def test_a_submit_without_a_usable_answer_is_unknown(answer: bytes) -> None:
    submission, _ = await BFL.submitted(BFL.job(IMAGE), answer)
    assert isinstance(submission, Unknown)


@pytest.mark.parametrize(
    "polling_url",
    [
        "https://evil.example/v1/get_result?id=bfl-1",
        "http://127.0.0.1:1/v1/get_result?id=bfl-1",
        "http://169.254.169.254/latest/meta-data",
        "//evil.example/x",
        "http://[",
        "/v1/get_result?id=bfl-1",
        "",
        5,
        ["https://api.bfl.ai/x"],
    ],
)
async def test_a_task_that_is_to_be_polled_elsewhere_is_unknown(polling_url: object) -> None:
    answer = says({"id": "bfl-1", "polling_url": polling_url})
    submission, _ = await BFL.submitted(BFL.job(IMAGE), answer)
    assert isinstance(submission, Unknown)
    assert submission.fault.reason == reasons.ERROR_REASON_PROVIDER_INVALID_RESPONSE


async def test_a_stored_url_elsewhere_never_gets_our_key() -> None:
    async with canned(says({"status": "Ready"})) as (url, seen), BFL.at("http://127.0.0.1:9") as adapter:
        with pytest.raises(ProviderUnreachable):
            await adapter.poll(ProviderRef("bfl-1", {"poll": f"{url}/v1/get_result?id=bfl-1"}))
    assert seen == []


async def test_a_task_is_polled_at_the_url_that_its_answer_named() -> None:
    pending = says({"id": "bfl-1", "status": "Pending"})
    async with canned(pending) as (url, seen), BFL.at(url) as adapter:
        await adapter.poll(ProviderRef("bfl-1", {"poll": f"{url}/v1/get_result?id=bfl-1&shard=2"}))
    (request,) = [sent(each) for each in seen]
    assert (request.method, request.path) == ("GET", "/v1/get_result?id=bfl-1&shard=2")
    assert request.headers["x-key"] == "very-secret-key"


@pytest.mark.parametrize(
    ("base", "url", "usable"),
    [
        ("https://api.eu.bfl.ai", "https://api.eu.bfl.ai/v1/get_result?id=1", True),
        ("https://api.eu.bfl.ai", "https://api.eu2.bfl.ai/v1/get_result?id=1", True),
        ("https://api.eu.bfl.ai", "https://api.bfl.ai/v1/get_result?id=1", False),
        ("https://api.eu.bfl.ai", "https://api.us1.bfl.ai/v1/get_result?id=1", False),
        ("https://api.us.bfl.ai", "https://api.eu.bfl.ai/v1/get_result?id=1", False),
        ("https://api.bfl.ai", "https://api.us1.bfl.ai/v1/get_result?id=1", True),
        ("https://api.eu.bfl.ai", "https://us.bfl.ai/v1/get_result?id=1", False),
        ("https://api.eu.bfl.ai", "https://bfl.ai/v1/get_result?id=1", False),
        ("https://api.bfl.ai", "https://us.bfl.ai/v1/get_result?id=1", False),
        ("https://api.eu.bfl.ai", "http://api.eu.bfl.ai/v1/get_result?id=1", False),
        ("https://api.eu.bfl.ai", "https://api.eu.bfl.ai.evil.example/v1/get_result?id=1", False),
        ("https://api.eu.bfl.ai", "https://user@api.eu.bfl.ai/v1/get_result?id=1", False),
        ("https://api.eu.bfl.ai", "https://api.eu.bfl.ai:8443/v1/get_result?id=1", False),
    ],
)
async def test_a_region_polls_its_own_hosts_and_the_global_host_all(
    base: str, url: str, usable: bool
) -> None:
    async with BFL.at(base, own_domain="bfl.ai") as adapter:
        assert isinstance(adapter, BlackForestLabs)
        assert adapter._is_pollable(url) is usable


@pytest.mark.parametrize(
    ("base", "asked"),
    [
        ("https://api.eu.bfl.ai", "v1/get_result?id=bfl-1"),
        ("https://api.bfl.ai", "https://api.bfl.ai/v1/get_result?id=1"),
    ],
)
async def test_the_task_of_a_region_is_not_asked_for_at_the_global_host(base: str, asked: str) -> None:
    async with BFL.at(base, own_domain="bfl.ai") as adapter:
        assert isinstance(adapter, BlackForestLabs)
        named = ProviderRef("bfl-1", {"poll": "https://api.bfl.ai/v1/get_result?id=1"})
        assert adapter._polling_url(named) == asked


@pytest.mark.parametrize(
    ("region", "address", "starts"),
    [
        ("us", "https://api.us.bfl.ai/", True),
        ("us", "", True),
        ("us", "https://api.bfl.ai", False),
        ("us", "https://api.eu.bfl.ai", False),
        ("jp", "https://api.us.bfl.ai", True),
    ],
)
def test_production_calls_no_other_address_than_the_one_whose_region_is_guaranteed(
    region: Region, address: str, starts: bool
) -> None:
    settings = Settings(region=region, bfl_key=SecretStr("k"), bfl_base_url=address)
    open_providers(settings, catalog())
    produces = settings.model_copy(update={"mode": "production"})
    if starts:
        open_providers(produces, catalog())
        return
    with pytest.raises(
        ValueError, match=f"bfl is not the catalog's, whose residency in {region} is guaranteed"
    ):
        open_providers(produces, catalog())


@pytest.mark.parametrize(
    ("base", "reports"),
    [
        ("https://api.bfl.ai", False),
        ("https://api.us.bfl.ai", True),
        ("https://api.eu1.bfl.ai", True),
        ("http://127.0.0.1:8090/bfl", True),
    ],
)
async def test_no_report_is_asked_for_where_a_task_must_be_polled_at_the_url_of_its_answer(
    base: str, reports: bool
) -> None:
    async with BFL.at(base, own_domain="bfl.ai") as adapter:
        assert adapter.capabilities == replace(catalog().provider("bfl"), callbacks=reports)


@pytest.mark.parametrize(("region", "reports"), [("us", True), ("eu", True), ("jp", False)])
async def test_what_the_executor_is_told_about_reports_follows_from_the_regions_host(
    region: Region, reports: bool
) -> None:
    providers = open_providers(Settings(region=region, bfl_key=SecretStr("k")), catalog())
    try:
        assert providers.adapters["bfl"].capabilities.callbacks is reports
    finally:
        await providers.aclose()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FaultKind.REQUEST),
        (401, FaultKind.ACCOUNT),
        (402, FaultKind.ACCOUNT),
        (403, FaultKind.ACCOUNT),
        (404, FaultKind.PROVIDER),
        (422, FaultKind.REQUEST),
        (429, FaultKind.THROTTLED),
        (500, FaultKind.PROVIDER),
        (503, FaultKind.PROVIDER),
    ],
)
async def test_an_error_answer_to_a_submit_has_one_kind(status: int, kind: FaultKind) -> None:
    answer = says({"detail": [{"loc": ["body"], "msg": "secret-word"}]}, f"{status} X", "retry-after: 2")
    submission, _ = await BFL.submitted(BFL.job(IMAGE), answer)
    assert isinstance(submission, Refused)
    assert (submission.fault.kind, submission.fault.http_status) == (kind, status)
    assert "secret-word" not in submission.fault.message


async def test_a_request_that_is_moderated_at_once_is_refused_by_policy() -> None:
    submission, _ = await BFL.submitted(BFL.job(IMAGE), says({"detail": "Request moderated"}, "400 X"))
    assert isinstance(submission, Refused)
    assert submission.fault.kind is FaultKind.CONTENT_POLICY


async def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    async with BFL.at(f"http://127.0.0.1:{closed_port()}") as adapter:
        assert isinstance(await adapter.submit(BFL.job(IMAGE)), NotSent)
        with pytest.raises(ProviderUnreachable):
            await adapter.poll(REF)


@pytest.mark.parametrize("status", ["Pending", "Reasoning", "Generating"])
async def test_a_task_on_its_way_is_pending(status: str) -> None:
    progress, (request,) = await BFL.polled(REF, says({"id": "bfl-1", "status": status, "result": None}))
    assert isinstance(progress, Pending)
    assert progress.retry_after == catalog().provider("bfl").min_poll_seconds
    assert (request.method, request.path) == ("GET", "/v1/get_result?id=bfl-1")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("Error", FaultKind.PROVIDER),
        ("Request Moderated", FaultKind.CONTENT_POLICY),
        ("Content Moderated", FaultKind.CONTENT_POLICY),
    ],
)
async def test_a_task_that_failed_says_whose_fault_it_was(status: str, kind: FaultKind) -> None:
    progress, _ = await BFL.polled(REF, says({"status": status, "details": {"reason": "secret-word"}}))
    assert isinstance(progress, Failed)
    assert progress.fault.kind is kind
    assert "secret-word" not in progress.fault.message


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_a_task_that_is_not_found_is_lost(status: str) -> None:
    progress, _ = await BFL.polled(REF, says({"id": "bfl-1", "status": "Task not found"}, status))
    assert isinstance(progress, Lost)


@pytest.mark.parametrize(
    "result", [None, {}, "x", {"sample": None}, {"sample": "ftp://x"}, {"sample": ["https://x"]}]
)
async def test_a_task_that_is_ready_without_a_file_is_a_failure(result: object) -> None:
    progress, _ = await BFL.polled(REF, says({"status": "Ready", "result": result}))
    assert isinstance(progress, Failed)
    assert progress.fault.reason == reasons.ERROR_REASON_PROVIDER_INVALID_RESPONSE


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        reply("200 OK", b"{}"),
        reply("200 OK", b"[]"),
        reply("200 OK", b'{"status": 7}'),
        reply("200 OK", b'{"status": "completed"}'),
        reply("401 Unauthorized", b"{}"),
        reply("429 Too Many Requests", b"{}"),
        reply("502 Bad Gateway", HTML),
    ],
)
async def test_an_unusable_answer_to_a_poll_keeps_the_job(answer: bytes) -> None:
    with pytest.raises(ProviderUnreachable):
        await BFL.polled(REF, answer)


async def test_black_forest_labs_can_neither_cancel_nor_list() -> None:
    async with BFL.answering(b"") as (adapter, seen):
        assert await adapter.cancel(REF) is CancelOutcome.NOT_SUPPORTED
        assert await adapter.find(BFL.job(IMAGE), datetime.now(UTC)) is None
    assert seen == []
