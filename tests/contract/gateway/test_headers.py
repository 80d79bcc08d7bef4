"""What stands beside the bodies, on every reply."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from gateway.limits import FAILURES
from tests.contract.gateway.conftest import IMAGE, PROMPT, World, running
from tests.contract.gateway.fake_region import FILE_TOKEN, KEY, TOKEN

ALWAYS = {
    "x-request-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "server-timing",
    "traceparent",
    "access-control-allow-origin",
    "access-control-expose-headers",
}


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/v1/status", None, 200),
        ("POST", IMAGE, json.dumps(PROMPT), 200),
        ("POST", IMAGE, "{", 400),
        ("POST", IMAGE, "x" * 200_000, 413),
        ("GET", "/v1/content/none", None, 404),
        ("GET", "/v1/unknown", None, 404),
        ("GET", IMAGE, None, 405),
        ("GET", f"/files/{FILE_TOKEN}?expires=1&signature=wrong", None, 404),
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
        ("HEAD", "/healthz", None, 200),
        ("GET", "/openapi.json", None, 200),
    ],
)
async def test_every_reply_has_the_headers_of_the_contract(
    world: World, method: str, path: str, content: str | None, status: int
) -> None:
    reply = await world.client.request(method, path, content=content)
    assert reply.status_code == status, reply.text
    assert set(reply.headers) >= ALWAYS
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", reply.headers["traceparent"])
    assert re.match(r"gateway;dur=\d+\.\d", reply.headers["server-timing"])


async def test_a_regional_reply_passes_on_the_limits_and_timings_of_the_account(world: World) -> None:
    for reply in (await world.client.get("/v1/status"), await world.client.get("/v1/content/none")):
        assert reply.headers["x-ratelimit-limit"] == "60"
        assert reply.headers["x-ratelimit-remaining"] == "59"
        assert reply.headers["x-ratelimit-reset"] == "1800000000"
        assert "server;dur=1.5, database;dur=0.8" in reply.headers["server-timing"]


async def test_a_reply_without_a_region_shows_the_limit_before_authentication(world: World) -> None:
    reply = await world.client.get("/v1/unknown")
    assert reply.headers["x-ratelimit-limit"] == "30"
    assert reply.headers["x-ratelimit-remaining"] == "30"
    assert int(reply.headers["x-ratelimit-reset"]) == int(world.clock.now().timestamp()) + 50


async def test_the_thirty_first_failure_is_limited_until_the_minute_ends(world: World) -> None:
    wrong = {"authorization": "Bearer bye_us_wrong"}
    for attempt in range(FAILURES):
        reply = await world.client.get("/v1/status", headers=wrong)
        assert reply.json()["error"]["code"] == "BSE1002"
        assert reply.headers["x-ratelimit-remaining"] == str(FAILURES - 1 - attempt)
    reply = await world.client.get("/v1/status")
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "BSE1006")
    assert reply.json()["error"]["details"] == {"retry_after_seconds": 50, "limit": 30}
    assert reply.headers["retry-after"] == "50"
    assert reply.headers["x-ratelimit-remaining"] == "0"
    world.clock.at = world.clock.at.replace(minute=3, second=0)
    assert (await world.client.get("/v1/status")).status_code == 200


async def test_failures_in_one_region_do_not_limit_another(world: World) -> None:
    for _ in range(FAILURES):
        await world.client.get("/v1/status", headers={"authorization": "none"})
    assert (await world.client.get("/v1/status")).status_code == 429
    assert (await world.client.get(world.urls["eu"] + "/v1/status")).status_code == 200


async def test_the_region_learns_the_caller_and_nothing_else(world: World) -> None:
    headers = {
        "user-agent": "ü" + "agent-" * 100,
        "x-forwarded-for": "203.0.113.9",
        "x-babysea-service": "forged",
        "x-babysea-client-address": "203.0.113.9",
        "cookie": "secret",
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    reply = await world.client.get("/v1/status", headers=raw)
    seen = world.us.metadata("GetCallerKey")
    assert seen["authorization"] == KEY
    assert seen["x-babysea-service"] == TOKEN
    assert seen["x-babysea-client-address"] == "127.0.0.1"
    assert seen["x-babysea-request-id"] == reply.json()["request_id"]
    assert seen["x-babysea-user-agent"] == ("agent-" * 100)[:200]
    ours = {"authorization", "traceparent"}
    assert {name for name in seen if not name.startswith(("x-babysea-", "grpc-"))} <= ours | {"user-agent"}
    assert "cookie" not in seen


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.1, 198.51.100.2, 10.0.0.1", "198.51.100.2"),
        ("198.51.100.2:4711, 10.0.0.1", "198.51.100.2"),
        ("[2001:db8::1]:443, 10.0.0.1", "2001:db8::1"),
        ("::ffff:198.51.100.2, 10.0.0.1", "198.51.100.2"),
        ("10.0.0.1", "127.0.0.1"),
        ("nonsense, 10.0.0.1", "127.0.0.1"),
    ],
)
async def test_the_address_is_taken_from_as_many_hops_as_are_trusted(
    tmp_path: Path, forwarded: str, address: str
) -> None:
    async with running(tmp_path, trusted_hops=2) as world:
        await world.client.get("/v1/status", headers={"x-forwarded-for": forwarded})
        assert world.us.metadata("GetCallerKey")["x-babysea-client-address"] == address


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("api.us.babysea.ai", "us"),
        ("api.eu.babysea.ai", "eu"),
        ("API.EU.BABYSEA.AI:443", "eu"),
        ("acme.api.eu.babysea.ai", "eu"),
        ("api.eu.localhost:8080", "eu"),
        ("api.eu.example.com", "us"),
        ("example.com", "us"),
    ],
)
async def test_a_host_that_names_a_region_wins_over_the_port(world: World, host: str, region: str) -> None:
    assert (await world.client.get("/v1/status", headers={"host": host})).status_code == 200
    assert [one.name for one in (world.us, world.eu) if one.seen] == [region]


async def test_each_port_belongs_to_its_region(world: World) -> None:
    assert (await world.client.get(world.urls["eu"] + "/v1/status")).status_code == 200
    assert [one.name for one in (world.us, world.eu) if one.seen] == ["eu"]


async def test_a_host_of_a_region_that_is_not_served_reaches_no_other_region(world: World) -> None:
    reply = await world.client.get("/v1/status", headers={"host": "api.jp.babysea.ai"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "BSE2017")
    assert not world.us.seen
    assert not world.eu.seen


async def test_a_changed_token_file_is_used_at_once(world: World, tmp_path: Path) -> None:
    await world.client.get("/v1/status")
    (tmp_path / "service.token").write_text("another token")
    await world.client.get("/v1/status")
    assert world.us.metadata("GetCallerKey")["x-babysea-service"] == "another token"
    (tmp_path / "service.token").unlink()
    assert (await world.client.get("/v1/status")).json()["error"]["code"] == "BSE5002"


async def test_a_browser_may_ask_first(world: World) -> None:
    headers = {
        "origin": "https://example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, idempotency-key, x-babysea-sdk-name",
    }
    reply = await world.client.options(IMAGE, headers=headers)
    allowed = reply.headers["access-control-allow-headers"].lower()
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in reply.headers
    for name in ("authorization", "content-type", "idempotency-key", "x-babysea-sdk-runtime-version"):
        assert name in allowed
    exposed = reply.headers["access-control-expose-headers"].lower()
    for name in ("x-ratelimit-remaining", "retry-after", "idempotency-replayed", "x-request-id"):
        assert name in exposed


def spans_of(folder: Path, trace_id: str) -> list[dict[str, object]]:
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.force_flush()
    lines = [line for file in folder.rglob("*.jsonl") for line in file.read_text().splitlines()]
    return [span for span in map(json.loads, lines) if span["trace_id"] == trace_id]


async def test_one_trace_covers_the_request_and_the_call_and_shows_no_content(
    world: World, spans: Path
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    reply = await world.client.post(IMAGE, json=PROMPT, headers={"traceparent": parent})
    trace_id = parent.split("-")[1]
    assert reply.headers["traceparent"].split("-")[1] == trace_id
    found = {str(span["name"]): span for span in spans_of(spans, trace_id)}
    outer = found["POST /v1/generate/image/{model_identifier}"]
    inner = found["babysea.generation.v1.GenerationService/CreateGeneration"]
    assert outer["parent_id"] == "b7ad6b7169203331"
    assert inner["parent_id"] == outer["span_id"]
    assert world.us.metadata("CreateGeneration")["traceparent"].split("-")[2] == inner["span_id"]
    everything = json.dumps(list(found.values()))
    assert '"babysea.region": "us"' in everything
    for secret in (PROMPT["generation_prompt"], KEY, "127.0.0.1", TOKEN):
        assert secret not in everything


async def test_a_malformed_traceparent_begins_a_new_trace(world: World) -> None:
    reply = await world.client.get("/v1/status", headers={"traceparent": "00-zz-yy-01"})
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-03", reply.headers["traceparent"])


async def test_probes_are_not_traced(world: World, spans: Path) -> None:
    reply: httpx.Response = await world.client.get("/readyz")
    trace_id, _, flags = reply.headers["traceparent"].split("-")[1:]
    assert flags == "00"
    assert spans_of(spans, trace_id) == []
