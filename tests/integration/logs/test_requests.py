"""What the request log keeps of calls by REST and by gRPC."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import grpc
import pytest

from babysea.generation.v1 import generation_pb2, generation_service_pb2, generation_service_pb2_grpc
from babysea.keys.v1 import key_service_pb2
from kit.ids import uuid7
from kit.rpc import BEGAN, CLIENT_ADDRESS, QUERY, REFUSED, ROUTE, SERVICE_TOKEN
from server.runtime.interceptors.authentication import REQUEST_ID
from tests.integration.logs.world import ADDRESS, AGENT, Tenant, World

IMAGE = "/v1/generate/image/bfl/flux-schnell"
PROMPT = "a walrus that nobody may read about"


async def test_a_rest_request_is_one_row_with_its_route_and_outcome(tenant: Tenant) -> None:
    answer = await tenant.get("/v1/content/list?limit=5&offset=1&note=private%20words")
    (row,) = await tenant.rows()
    assert (row["surface"], row["method"], row["route"]) == ("rest", "GET", "/v1/content/list")
    assert row["query"] == "limit=5&offset=1"
    assert (row["status"], row["bse_code"], row["replayed"]) == (200, None, False)
    assert (row["key_id"], row["person_id"]) == (tenant.key_id, None)
    assert (row["request_id"], row["user_agent"]) == (answer.json()["request_id"], AGENT)
    assert row["ended_at"] >= row["at"]


async def test_a_grpc_call_is_one_row_with_its_method(world: World, tenant: Tenant) -> None:
    call = world.keys.GetCallerKey(key_service_pb2.GetCallerKeyRequest(), metadata=tenant.by_key)
    await call
    (row,) = await tenant.rows()
    assert (row["surface"], row["method"]) == ("grpc", "CALL")
    assert row["route"] == "babysea.keys.v1.KeyService/GetCallerKey"
    assert (row["status"], row["bse_code"], row["key_id"]) == (200, None, tenant.key_id)
    assert row["user_agent"].startswith("grpc-python")
    assert row["request_id"] is None


async def test_a_refused_request_of_a_known_key_is_logged_with_its_code(world: World, tenant: Tenant) -> None:
    _, monitor = await world.new_key(tenant.account_id, "monitor_only")
    refused = await world.rest.get("/v1/status", headers={"authorization": f"Bearer {monitor}"})
    assert refused.status_code == 403
    (row,) = await tenant.rows()
    assert (row["status"], row["bse_code"], row["route"]) == (403, "BSE1003", "/v1/status")


async def test_a_request_of_an_unknown_key_is_nobodys_and_not_logged(world: World, tenant: Tenant) -> None:
    unknown = tenant.secret[:-8] + "AAAAAAAA"
    for wrong in (unknown, "bye_us_nothing"):
        answer = await world.rest.get("/v1/status", headers={"authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401
    await tenant.get("/v1/status")
    rows = await tenant.rows()
    assert [row["status"] for row in rows] == [200]
    assert len(await world.fetch("select 1 from logs.request where status = 401")) == 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/content/list?limit=x", 400, "BSE2001"),
        ("/v1/content/not-an-id", 404, "BSE2012"),
        ("/v1/content/0231e6ab-cf0c-4c4e-83b9-f907df188e8e", 404, "BSE2012"),
        ("/v1/estimate/no/such-model", 404, "BSE2011"),
        ("/v1/estimate/bfl/flux-schnell?count=-1", 400, "BSE2001"),
    ],
)
async def test_a_refusal_is_logged_with_the_code_that_the_client_read(
    tenant: Tenant, path: str, status: int, code: str
) -> None:
    answer = await tenant.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    (row,) = await tenant.rows()
    assert (row["status"], row["bse_code"]) == (status, code)


async def test_a_body_that_the_gateway_refuses_is_logged_with_its_code(world: World, tenant: Tenant) -> None:
    for body, status, code in (
        (b'{"generation_prompt": 5}', 400, "BSE2001"),
        (b"x" * 200_000, 413, "BSE2010"),
    ):
        answer = await world.rest.post(IMAGE, content=body, headers=tenant.program)
        assert answer.status_code == status
        row = (await tenant.rows(1 if status == 400 else 2))[-1]
        assert (row["status"], row["bse_code"]) == (status, code)
        assert row["route"] == "/v1/generate/image/{model_identifier}"


async def test_a_replay_is_marked(world: World, tenant: Tenant) -> None:
    headers = {**tenant.program, "idempotency-key": "once"}
    for _ in range(2):
        answer = await world.rest.post(IMAGE, json={"generation_prompt": PROMPT}, headers=headers)
        assert answer.status_code == 200
    first, second = await tenant.rows(2)
    assert (first["replayed"], second["replayed"]) == (False, True)


async def test_several_calls_for_one_rest_request_are_one_row_with_the_last_outcome(
    world: World, tenant: Tenant
) -> None:
    began = datetime.now(UTC)
    told = (
        *tenant.by_key,
        (SERVICE_TOKEN, world.service_token),
        (REQUEST_ID, "req_twice"),
        (ROUTE, "GET /v1/content/{generation_id}"),
        (BEGAN, str(round(began.timestamp() * 1000))),
    )
    generations = generation_service_pb2_grpc.GenerationServiceStub(world.channel)
    missing = generation_service_pb2.GetGenerationRequest(generation_id=str(uuid7()))
    with pytest.raises(grpc.aio.AioRpcError):
        await generations.GetGeneration(missing, metadata=told)
    await tenant.rows()
    await world.keys.GetCallerKey(key_service_pb2.GetCallerKeyRequest(), metadata=told)
    async with asyncio.timeout(10):
        while (await tenant.rows())[0]["status"] != 200:
            await asyncio.sleep(0.05)
    (row,) = await tenant.rows()
    assert (row["request_id"], row["bse_code"]) == ("req_twice", None)
    (day,) = await world.fetch("select * from logs.usage_daily where account_id = $1", tenant.account_id)
    assert (day["requests"], day["success"], day["client_errors"]) == (1, 1, 0)
    assert day["error_codes"] == "{}"
    (used,) = await world.fetch("select * from logs.key_daily where account_id = $1", tenant.account_id)
    assert (used["requests"], used["errors"]) == (1, 0)


async def test_a_customer_cannot_name_a_route_an_address_or_a_code(world: World, tenant: Tenant) -> None:
    lies = (
        *tenant.by_key,
        (ROUTE, "GET /v1/lies"),
        (QUERY, "limit=1"),
        (BEGAN, "1"),
        (REFUSED, "BSE5001"),
        (REQUEST_ID, "req_lie"),
        (CLIENT_ADDRESS, "203.0.113.9"),
    )
    generations = generation_service_pb2_grpc.GenerationServiceStub(world.channel)
    malformed = generation_service_pb2.GetGenerationRequest(generation_id="x")
    with pytest.raises(grpc.aio.AioRpcError):
        await generations.GetGeneration(malformed, metadata=lies)
    (row,) = await tenant.rows()
    assert (row["surface"], row["query"], row["request_id"]) == ("grpc", "", None)
    assert (row["status"], row["bse_code"]) == (400, "BSE2001")
    envelope = world.server.shared.envelope
    assert row["address_hash"] == envelope.keyed_hash("client_address", ADDRESS.encode())


async def test_a_members_call_is_logged_under_the_account_with_the_person(
    world: World, tenant: Tenant
) -> None:
    request = key_service_pb2.ListKeysRequest(account_id=str(tenant.account_id))
    await world.keys.ListKeys(request, metadata=tenant.by_member)
    (row,) = await tenant.rows()
    assert (row["key_id"], row["person_id"]) == (None, tenant.person_id)
    assert row["route"] == "babysea.keys.v1.KeyService/ListKeys"
    assert await world.fetch("select 1 from logs.usage_daily where account_id = $1", tenant.account_id) == []


async def test_a_member_without_the_permission_is_logged_and_a_stranger_is_not(
    world: World, tenant: Tenant
) -> None:
    person_id, session = await world.new_member(tenant.account_id, "member")
    other = await world.tenant()
    request = key_service_pb2.CreateKeyRequest(
        account_id=str(tenant.account_id), name="mine", preset="read_only"
    )
    for token in (other.session, session):
        with pytest.raises(grpc.aio.AioRpcError):
            await world.keys.CreateKey(request, metadata=(("authorization", f"Bearer {token}"),))
    (row,) = await tenant.rows()
    assert (row["status"], row["bse_code"], row["person_id"]) == (403, "BSE1003", person_id)
    assert await world.fetch("select 1 from logs.request where person_id = $1", other.person_id) == []


async def test_nothing_that_a_customer_wrote_and_no_address_or_key_is_in_the_log(
    world: World, tenant: Tenant
) -> None:
    body = {"generation_prompt": PROMPT, "generation_input_file": ["https://example.com/secret.png"]}
    await world.rest.post(IMAGE, json=body, headers=tenant.program)
    await world.rest.post(
        f"{IMAGE}?limit={PROMPT}", json={"generation_prompt": PROMPT}, headers=tenant.program
    )
    generations = generation_service_pb2_grpc.GenerationServiceStub(world.channel)
    request = generation_service_pb2.CreateGenerationRequest(
        request_id=str(uuid7()),
        model_identifier="bfl/flux-schnell",
        media=generation_pb2.MEDIA_IMAGE,
        prompt=PROMPT,
    )
    await generations.CreateGeneration(request, metadata=tenant.by_key)
    await tenant.rows(3)
    tables = await world.fetch("select r::text as text from logs.request r")
    tables += await world.fetch("select r::text as text from logs.usage_daily r")
    tables += await world.fetch("select r::text as text from logs.activity r")
    everything = "\n".join(row["text"] for row in tables)
    for needle in (PROMPT, "walrus", "secret.png", tenant.secret, tenant.secret[-20:], ADDRESS):
        assert needle not in everything, needle
