"""Reports to the caller, checked the way each provider documents it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
import uvicorn
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.integration.sandbox.driving import BFL_HEADERS, FAL_HEADERS, REPLICATE_HEADERS, Sandbox


@dataclass
class Ear:
    """Something that listens for reports."""

    url: str = ""
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses to answer with, in turn; then 200."""

    async def take(self, request: Request) -> Response:
        self.heard.append((dict(request.headers), await request.body()))
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    async def reports(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        """The first `count` reports, as soon as they are there."""
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                await asyncio.sleep(0.02)
        return self.heard


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    listening = Ear()
    app = Starlette(routes=[Route("/{path:path}", listening.take, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    listening.url = f"http://127.0.0.1:{port}/hook"
    yield listening
    server.should_exit = True
    await serving


async def _replicate(box: Sandbox, ear: Ear, prompt: str = "x", **more: object) -> str:
    answer = await box.http.post(
        "/replicate/v1/models/black-forest-labs/flux-schnell/predictions",
        json={"input": {"prompt": prompt}, "webhook": ear.url, **more},
        headers=REPLICATE_HEADERS,
    )
    return str(answer.json()["id"])


async def _fal(box: Sandbox, ear: Ear, prompt: str = "x") -> str:
    path = f"/fal/fal-ai/flux/schnell?fal_webhook={ear.url}"
    answer = await box.http.post(path, json={"prompt": prompt}, headers=FAL_HEADERS)
    return str(answer.json()["request_id"])


async def _bfl(box: Sandbox, ear: Ear, prompt: str = "x") -> str:
    body = {"prompt": prompt, "webhook_url": ear.url, "webhook_secret": "our secret"}
    return str((await box.http.post("/v1/flux-2-pro", json=body, headers=BFL_HEADERS)).json()["id"])


async def _is_replicates(box: Sandbox, headers: dict[str, str], body: bytes) -> bool:
    key = (await box.http.get("/replicate/v1/webhooks/default/secret", headers=REPLICATE_HEADERS)).json()[
        "key"
    ]
    secret = base64.b64decode(key.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split(" ")


async def _is_fals(box: Sandbox, headers: dict[str, str], body: bytes) -> bool:
    (key,) = (await box.http.get("/fal/.well-known/jwks.json")).json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    marks = [headers[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp")]
    message = "\n".join([*marks, hashlib.sha256(body).hexdigest()])
    try:
        public.verify(bytes.fromhex(headers["x-fal-webhook-signature"]), message.encode())
    except InvalidSignature:
        return False
    return True


def _is_bfls(headers: dict[str, str], body: bytes) -> bool:
    digest = hmac.new(b"our secret", body, hashlib.sha256).hexdigest()
    return headers["x-bfl-signature"] == f"sha256={digest}"


def _body(report: tuple[dict[str, str], bytes]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report[1])
    return found


async def test_replicate_reports_start_and_end_with_its_signature(box: Sandbox, ear: Ear) -> None:
    job_id = await _replicate(box, ear, "[[slow=4000]]", webhook_events_filter=["start", "completed"])
    box.clock.advance(2)
    await ear.reports(1)
    box.clock.advance(3)
    reports = await ear.reports(2)
    assert [_body(report)["status"] for report in reports] == ["processing", "succeeded"]
    assert _body(reports[1]) == await box.prediction(job_id)
    assert [await _is_replicates(box, *report) for report in reports] == [True, True]


async def test_replicate_reports_only_the_events_asked_for(box: Sandbox, ear: Ear) -> None:
    await _replicate(box, ear, webhook_events_filter=["completed"])
    box.clock.advance(10)
    assert _body((await ear.reports(1))[0])["status"] == "succeeded"
    await _replicate(box, ear, "[[fail]]", webhook_events_filter=["completed"])
    box.clock.advance(10)
    assert _body((await ear.reports(2))[1])["status"] == "failed"


async def test_fal_reports_the_result_with_its_signature(box: Sandbox, ear: Ear) -> None:
    request_id = await _fal(box, ear)
    box.clock.advance(10)
    (report,) = await ear.reports(1)
    body = _body(report)
    assert (body["request_id"], body["status"]) == (request_id, "OK")
    assert body["payload"]["images"][0]["url"].startswith("http")
    assert await _is_fals(box, *report)


async def test_fal_reports_an_error_with_what_the_result_would_say(box: Sandbox, ear: Ear) -> None:
    await _fal(box, ear, "[[moderate]]")
    box.clock.advance(10)
    body = _body((await ear.reports(1))[0])
    assert (body["status"], body["payload"]["detail"][0]["type"]) == ("ERROR", "content_policy_violation")


async def test_bfl_signs_with_the_secret_of_the_request(box: Sandbox, ear: Ear) -> None:
    job_id = await _bfl(box, ear)
    box.clock.advance(10)
    (report,) = await ear.reports(1)
    assert (_body(report)["id"], _body(report)["status"]) == (job_id, "Ready")
    assert _is_bfls(*report)
    assert b"our secret" not in report[1]


async def test_byteplus_reports_every_change_unsigned(box: Sandbox, ear: Ear) -> None:
    task_id = (await box.byteplus_film("[[slow=4000]]", callback_url=ear.url)).json()["id"]
    box.clock.advance(2)
    await ear.reports(1)
    box.clock.advance(3)
    reports = await ear.reports(2)
    assert [_body(report)["status"] for report in reports] == ["running", "succeeded"]
    assert _body(reports[1]) == await box.byteplus_task(task_id)


async def test_a_report_that_is_not_taken_is_sent_again_with_the_same_id(box: Sandbox, ear: Ear) -> None:
    ear.answers = [500, 503]
    await _replicate(box, ear, webhook_events_filter=["completed"])
    box.clock.advance(10)
    reports = await ear.reports(3)
    assert len({headers["webhook-id"] for headers, _ in reports}) == 1
    assert len({body for _, body in reports}) == 1
    attempts = (await box.http.get("/_sandbox/callbacks")).json()["attempts"]
    assert [attempt["status"] for attempt in attempts][:2] == [500, 503]
    assert ear.url not in json.dumps(attempts)


async def test_reports_can_stay_away_or_come_twice(box: Sandbox, ear: Ear) -> None:
    await _fal(box, ear, "[[callback=none]]")
    await _fal(box, ear, "[[callback=twice]]")
    box.clock.advance(10)
    first, second = await ear.reports(2)
    assert first[1] == second[1]
    await asyncio.sleep(0.3)
    assert len(ear.heard) == 2


async def test_a_forged_report_claims_success_while_the_job_runs(box: Sandbox, ear: Ear) -> None:
    for provider in ("replicate", "fal", "bfl"):
        await box.knobs(provider, callbacks="forged")
    await _replicate(box, ear, "[[slow=60000]]")
    await _fal(box, ear, "[[slow=60000]]")
    job_id = await _bfl(box, ear, "[[slow=60000]]")
    box.clock.advance(20)
    reports = await ear.reports(3)
    replicates = next(report for report in reports if "webhook-id" in report[0])
    fals = next(report for report in reports if "x-fal-webhook-signature" in report[0])
    bfls = next(report for report in reports if "x-bfl-signature" in report[0])
    assert _body(replicates)["status"] == "succeeded"
    assert _body(fals)["status"] == "OK"
    assert _body(bfls)["status"] == "Ready"
    assert (await box.bfl_result(job_id))["status"] == "Pending"
    assert not await _is_replicates(box, *replicates)
    assert not await _is_fals(box, *fals)
    assert not _is_bfls(*bfls)


async def test_a_stale_report_is_signed_well_an_hour_ago(box: Sandbox, ear: Ear) -> None:
    await box.knobs("replicate", callbacks="stale")
    await _replicate(box, ear, webhook_events_filter=["completed"])
    box.clock.advance(10)
    (report,) = await ear.reports(1)
    assert await _is_replicates(box, *report)
    assert box.clock() - int(report[0]["webhook-timestamp"]) >= 3_600


async def test_a_stale_report_of_bfl_says_so_in_its_body(box: Sandbox, ear: Ear) -> None:
    await _bfl(box, ear, "[[callback=stale]]")
    box.clock.advance(10)
    (report,) = await ear.reports(1)
    assert _is_bfls(*report)
    assert box.clock() - datetime.fromisoformat(_body(report)["timestamp"]).timestamp() >= 3_599


async def test_reordered_reports_say_the_end_before_the_start(box: Sandbox, ear: Ear) -> None:
    await _replicate(box, ear, "[[callback=reordered]]")
    box.clock.advance(10)
    reports = await ear.reports(2)
    assert [_body(report)["status"] for report in reports] == ["succeeded", "processing"]


async def test_nobody_outside_this_machine_is_called(box: Sandbox, ear: Ear) -> None:
    ear.url = "https://ctl.example/hook"
    await _fal(box, ear)
    box.clock.advance(10)
    attempts = (await box.http.get("/_sandbox/callbacks")).json()["attempts"]
    assert [(attempt["event"], attempt["status"]) for attempt in attempts] == [("refused_address", None)]
