"""Deadlines reach the database, and a server that is full says so at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2_grpc
from babysea_sdk import default_service_config
from gateway.main import serving
from kit.settings import Settings
from server.keys.creation import create_key
from server.runtime.context import RpcContext
from server.runtime.database import system_transaction
from server.runtime.dependencies import Dependencies
from server.runtime.health import ACCEPTING
from server.runtime.lifecycle import RunningServer, serve
from server.runtime.service_identity import SERVICE_PREFIX, make_token
from server.services import Service
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for

# In this database only: the run's other processes share the cluster.
_SLEEPING = (
    "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active'"
    " and pid <> pg_backend_pid() and datname = current_database()"
)


class SlowKeys(key_service_pb2_grpc.KeyServiceServicer):
    """GetCallerKey asks the database for something that takes ten minutes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def GetCallerKey(  # noqa: N802
        self, request: pb.GetCallerKeyRequest, context: RpcContext
    ) -> pb.GetCallerKeyResponse:
        async with system_transaction(self._engine) as connection:
            # Without the limit that every connection has, so that nothing but the call's own end can end it.
            await connection.execute(text("set local statement_timeout = 0"))
            await connection.execute(text("select pg_sleep(600)"))
        raise AssertionError("nobody waits that long")


def slow_keys(shared: Dependencies) -> Service:
    servicer = SlowKeys(shared.databases.app)  # type: ignore[abstract]

    def register(server: grpc.aio.Server) -> None:
        key_service_pb2_grpc.add_KeyServiceServicer_to_server(servicer, server)

    return Service("babysea.keys.v1.KeyService", register)


@dataclass(frozen=True)
class Slow:
    """A server whose database is slow for one method, and what its caller needs."""

    server: RunningServer
    region: TestRegion
    stub: Any
    metadata: tuple[tuple[str, str], ...]
    token_file: Path

    async def sleeping(self, wanted: int) -> None:
        """Waits until that many statements of the method run in the database."""
        connection = await self.region.connect()
        try:
            async with asyncio.timeout(60):
                while await connection.fetchval(_SLEEPING) != wanted:
                    await asyncio.sleep(0.02)
        finally:
            await connection.close()


@pytest.fixture
async def slow(database: TestDatabase, region: TestRegion, tmp_path: Path) -> AsyncIterator[Slow]:
    """Such a server."""
    token = tmp_path / "service.token"
    make_token(token, SERVICE_PREFIX)
    settings = settings_for(database, services="keys", service_token_file=token, drain_seconds=0)
    async with serve(settings, services={"keys": slow_keys}) as server:
        shared = server.shared
        _, secret = await create_key(
            shared.databases.app,
            shared.hasher,
            shared.clock,
            "us",
            account_id=await region.new_account(),
            name="test",
            preset="full_access",
            scopes=[],
            allowlist=[],
            expires_at=None,
        )
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = key_service_pb2_grpc.KeyServiceStub(channel)
            yield Slow(server, region, stub, (("authorization", f"Bearer {secret}"),), token)


async def test_when_the_deadline_of_a_call_passes_its_statement_ends_in_the_database(slow: Slow) -> None:
    call = slow.stub.GetCallerKey(pb.GetCallerKeyRequest(), metadata=slow.metadata, timeout=3)
    await slow.sleeping(1)
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await call
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await slow.sleeping(0)


async def test_when_a_caller_goes_away_its_statement_ends_in_the_database(slow: Slow) -> None:
    call = slow.stub.GetCallerKey(pb.GetCallerKeyRequest(), metadata=slow.metadata, timeout=25)
    await slow.sleeping(1)
    call.cancel()
    await slow.sleeping(0)


async def test_the_gateway_gives_a_region_less_time_than_clients_wait_and_the_statement_ends_with_it(
    slow: Slow,
) -> None:
    async with _gateway(slow.server.address, slow.token_file, dict(slow.metadata)) as client:
        answer = asyncio.ensure_future(client.get("/v1/status"))
        await slow.sleeping(1)
        reply = await answer
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "BSE5003")
    await slow.sleeping(0)


async def test_a_full_server_sheds_a_call_as_a_retryable_503_with_every_header(
    database: TestDatabase, region: TestRegion
) -> None:
    settings = settings_for(database, services="keys", max_concurrent_rpcs=1, drain_seconds=0)
    async with (
        serve(settings) as server,
        # The gateway itself watches whether the server drains, and that is the one call that is let in.
        _gateway(server.address, None, {"authorization": "Bearer bye_us_x"}) as client,
    ):
        reply = await client.get("/v1/status")
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["retryable"]) == (503, "BSE5002", True)
    assert "details" not in error
    assert "retry-after" not in reply.headers
    for header in ("x-request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"):
        assert reply.headers[header]


async def test_a_server_that_drains_says_so_to_those_who_balance_and_ends_their_watch(
    database: TestDatabase,
) -> None:
    settings = settings_for(database, services="keys", drain_seconds=5)
    running = serve(settings)
    server = await running.__aenter__()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=ACCEPTING))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        ending = asyncio.ensure_future(running.__aexit__(None, None, None))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        # What is asked now is still answered: those who balance need a moment to go elsewhere.
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=ACCEPTING))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await watch.read() is grpc.aio.EOF
        await ending


def test_the_channel_balances_by_the_health_that_the_server_keeps() -> None:
    assert json.loads(default_service_config())["healthCheckConfig"] == {"serviceName": ACCEPTING}


@asynccontextmanager
async def _gateway(
    address: str, token_file: Path | None, headers: dict[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        gateway_listen="us=127.0.0.1:0",
        gateway_upstreams=f"us={address}",
        gateway_service_tokens="" if token_file is None else f"us={token_file}",
        drain_seconds=0,
    )
    async with (
        serving(settings) as gateway,
        httpx.AsyncClient(
            base_url=gateway.urls["us"], headers=headers, trust_env=False, timeout=30
        ) as client,
    ):
        yield client
