"""Errors: the envelope, the codes, the fields, and nothing that was not meant for a client."""

from __future__ import annotations

import logging
from typing import Any

import grpc
import pytest

from babysea.common.v1 import error_reason_pb2
from gateway.v1 import account
from tests.contract.gateway.conftest import IMAGE, PROMPT, VIDEO, World
from tests.contract.gateway.fake_region import GENERATION_ID, failing

E = error_reason_pb2


@pytest.mark.parametrize(
    ("reason", "status", "code", "retryable"),
    [
        (E.ERROR_REASON_INSUFFICIENT_CREDITS, 402, "BSE1004", False),
        (E.ERROR_REASON_IP_NOT_ALLOWED, 403, "BSE1007", False),
        (E.ERROR_REASON_INSUFFICIENT_PERMISSIONS, 403, "BSE1003", False),
        (E.ERROR_REASON_MODEL_NOT_FOUND, 404, "BSE2011", False),
        (E.ERROR_REASON_MODEL_TYPE_MISMATCH, 400, "BSE2014", False),
        (E.ERROR_REASON_IDEMPOTENCY_KEY_CONFLICT, 409, "BSE2015", False),
        (E.ERROR_REASON_IDEMPOTENCY_IN_PROGRESS, 409, "BSE2016", False),
        (E.ERROR_REASON_RESIDENCY_UNSATISFIABLE, 422, "BSE3004", False),
        (E.ERROR_REASON_CONCURRENCY_LIMIT_EXCEEDED, 429, "BSE1009", True),
        (E.ERROR_REASON_SERVICE_UNAVAILABLE, 503, "BSE5002", True),
        (E.ERROR_REASON_INTERNAL_ERROR, 500, "BSE5001", False),
    ],
)
async def test_a_regional_reason_becomes_its_public_code(
    world: World, reason: error_reason_pb2.ErrorReason.ValueType, status: int, code: str, retryable: bool
) -> None:
    world.us.hooks["CreateGeneration"] = failing(reason)
    reply = await world.create()
    body = reply.json()
    assert (reply.status_code, body["status"], body["error"]["code"]) == (status, "error", code)
    assert body["error"]["retryable"] is retryable
    assert body["request_id"] == reply.headers["x-request-id"]
    assert set(body) == {"status", "request_id", "error"}


async def test_a_rate_limit_carries_whole_numbers_and_all_four_headers(world: World) -> None:
    world.us.hooks["GetAccount"] = failing(
        E.ERROR_REASON_RATE_LIMIT_EXCEEDED, retry_after_seconds="17", limit="60"
    )
    reply = await world.client.get("/v1/user/account")
    assert reply.status_code == 429
    assert reply.json()["error"]["details"] == {"retry_after_seconds": 17, "limit": 60}
    assert reply.headers["retry-after"] == "17"
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(reply.headers)


@pytest.mark.parametrize(
    ("internal", "public"),
    [
        ("ratio", "generation_ratio"),
        ("extras.guidance_scale", "generation_guidance_scale"),
        ("input_file[2]", "generation_input_file"),
        ("idempotency_key", "Idempotency-Key"),
        ("model_identifier", "model_identifier"),
    ],
)
async def test_a_refused_field_has_its_public_name(world: World, internal: str, public: str) -> None:
    world.us.hooks["CreateGeneration"] = failing(E.ERROR_REASON_INVALID_INPUT, field=internal)
    assert (await world.create()).json()["error"]["details"] == {"field": public}


async def test_a_rule_of_the_contract_is_reported_under_the_public_name(world: World) -> None:
    error = (await world.create(generation_ratio="1" * 21)).json()["error"]
    assert error["details"] == {"field": "generation_ratio"}
    assert error["message"] == "generation_ratio breaks a rule."


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/content/list?limit=-1", "limit"),
        ("/v1/content/list?limit=many", "limit"),
        ("/v1/content/list?offset=-1", "offset"),
        ("/v1/content/list?offset=1&offset=2", "offset"),
        ("/v1/content/list?limit=", "limit"),
        ("/v1/content/list?limit=%D9%A3", "limit"),
        ("/v1/estimate/a/b?count=-1", "count"),
        ("/v1/estimate/a/b?count=1.5", "count"),
        ("/v1/estimate/a/b?duration=NaN", "duration"),
        ("/v1/estimate/a/b?duration=-5", "duration"),
        ("/v1/estimate/a/b?audio=yes", "audio"),
        ("/v1/estimate/a/b?resolution=%00", "resolution"),
    ],
)
async def test_nonsense_in_a_query_is_refused_by_name(world: World, path: str, field: str) -> None:
    reply = await world.client.get(path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BSE2001")
    assert reply.json()["error"]["details"] == {"field": field}


@pytest.mark.parametrize(
    ("method", "start", "end", "call"),
    [
        ("GET", "/v1/content/", "", "GetGeneration"),
        ("POST", "/v1/content/generation/cancel/", "", "CancelGeneration"),
        ("DELETE", "/v1/content/", "", "DeleteGeneration"),
        ("GET", "/v1/content/", "/timeline", "GetTimeline"),
    ],
)
async def test_malformed_foreign_and_random_ids_give_identical_answers(
    world: World, method: str, start: str, end: str, call: str
) -> None:
    world.us.hooks[call] = failing(E.ERROR_REASON_GENERATION_NOT_FOUND)
    ids = ["01935000-0000-7000-8000-0000000000ff", "nonsense", "%00", "x" * 3000, GENERATION_ID.upper() + "0"]
    bodies = []
    for generation_id in ids:
        reply = await world.client.request(method, start + generation_id + end)
        assert reply.status_code == 404
        bodies.append({key: value for key, value in reply.json().items() if key != "request_id"})
    assert bodies[0]["error"]["code"] == "BSE2012"
    assert all(body == bodies[0] for body in bodies)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/unknown", 404, "BSE2017"),
        ("GET", "/", 404, "BSE2017"),
        ("GET", "/v1/status/", 404, "BSE2017"),
        ("GET", "/v1/usage", 404, "BSE2017"),
        ("GET", "/docs", 404, "BSE2017"),
        ("GET", IMAGE, 405, "BSE2019"),
        ("POST", "/v1/status", 405, "BSE2019"),
        ("PUT", f"/v1/content/{GENERATION_ID}", 405, "BSE2019"),
        ("OPTIONS", "/v1/status", 405, "BSE2019"),
    ],
)
async def test_unknown_paths_and_methods_answer_in_the_envelope(
    world: World, method: str, path: str, status: int, code: str
) -> None:
    reply = await world.client.request(method, path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert reply.json()["error"]["retryable"] is False


@pytest.mark.parametrize("authorization", [None, "", "Basic dXNlcg==", "Bearer", "bye_us_fake"])
async def test_without_a_bearer_key_the_region_is_not_asked(world: World, authorization: str | None) -> None:
    world.client.headers.pop("authorization")
    headers = {} if authorization is None else {"authorization": authorization}
    reply = await world.client.get("/v1/status", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "BSE1001")
    assert world.us.seen == []


@pytest.mark.parametrize("token", [b"\xff\xfe", b"a b", b"x" * 501])
async def test_a_key_that_can_be_none_is_wrong_without_asking_the_region(world: World, token: bytes) -> None:
    reply = await world.client.get("/v1/status", headers={b"authorization": b"Bearer " + token})
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "BSE1002")
    assert world.us.seen == []


async def test_a_wrong_key_learns_nothing_about_its_request(world: World) -> None:
    headers = {"authorization": "Bearer bye_us_wrong"}
    for body in (b"{", b"{}", b'{"generation_prompt": 1}'):
        reply = await world.client.post(IMAGE, content=body, headers=headers)
        assert reply.json()["error"]["code"] == "BSE1002"
    assert world.us.admitted == {}


async def test_a_rate_limit_comes_before_the_judgement_of_the_body(world: World) -> None:
    reply = await world.client.post(IMAGE, content=b"{")
    assert reply.json()["error"]["code"] == "BSE2001"
    assert reply.headers["x-ratelimit-limit"] == "60"
    assert world.us.admitted == {}


async def test_a_crashing_handler_shows_and_logs_no_text_of_the_exception(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(*_: Any) -> None:
        raise RuntimeError("postgres://user:password@host/")

    monkeypatch.setattr(account, "success", crash)
    with caplog.at_level(logging.INFO):
        reply = await world.client.get("/v1/status")
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "BSE5001")
    assert "password" not in reply.text
    assert reply.headers["x-request-id"] == reply.json()["request_id"]
    assert "password" not in " ".join(record.getMessage() for record in caplog.records)


async def test_a_crash_of_the_region_shows_no_text_of_its_exception(world: World) -> None:
    async def crash(_request: Any, _context: Any) -> None:
        raise RuntimeError("postgres://user:password@host/")

    world.us.hooks["GetCallerKey"] = crash
    reply = await world.client.get("/v1/status")
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "BSE5001")
    assert "password" not in reply.text


async def test_a_region_that_is_away_is_503_and_worth_a_retry(world: World) -> None:
    await world.us_server.stop(None)
    for reply in (await world.client.get("/v1/status"), await world.create()):
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "BSE5002")
        assert reply.json()["error"]["retryable"] is True
    assert (await world.client.get("/readyz")).status_code == 503


async def test_shedding_by_the_region_is_503_and_worth_a_retry(world: World) -> None:
    async def shed(_request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")

    world.us.hooks["CreateGeneration"] = shed
    reply = await world.create()
    assert (reply.status_code, reply.json()["error"]["retryable"]) == (503, True)
    assert len(world.us.requests("CreateGeneration")) == 1


async def test_the_image_route_refuses_a_duration_and_the_video_route_misses_it(world: World) -> None:
    image = await world.create(generation_duration=5)
    video = await world.client.post(VIDEO, json=PROMPT)
    for reply in (image, video):
        assert reply.json()["error"]["code"] == "BSE2001"
        assert reply.json()["error"]["details"] == {"field": "generation_duration"}
