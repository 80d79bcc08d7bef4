"""Start, health and drain of a regional server."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1.key_service_pb2_grpc import KeyServiceStub
from kit.clock import FixedClock
from kit.settings import Settings
from server.runtime.errors import StartError
from server.runtime.lifecycle import serve
from server.runtime.service_identity import OPERATOR_PREFIX, make_token
from tests.integration.keys.live import Live, bearer
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
KEYS = "babysea.keys.v1.KeyService"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def starting(settings: Settings) -> str:
    with pytest.raises(StartError) as refused:
        async with serve(settings):
            pass
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert "test-role" not in sentence
    return sentence


async def test_a_server_serves_the_services_that_were_chosen_and_reports_its_real_port(
    database: TestDatabase,
) -> None:
    settings = settings_for(database, services="keys", drain_seconds=0)
    async with serve(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        assert server.services == (KEYS,)
        assert server.port > 0
        stub = _health(channel)
        for name in ("", KEYS):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Check(health_pb2.HealthCheckRequest(service="babysea.ledger.v1.LedgerService"))


async def test_health_follows_the_database_down_and_up_again(
    database: TestDatabase, region: TestRegion
) -> None:
    settings = settings_for(database, services="keys", drain_seconds=0)
    admin = await region.connect()
    other = await _elsewhere(region)
    async with (
        serve(settings, health_seconds=0.02) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        watch = _health(channel).Watch(health_pb2.HealthCheckRequest(service=KEYS))
        assert (await watch.read()).status == SERVING
        await admin.close()
        await other.execute(f"alter database {database.name} with allow_connections false")
        await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", database.name
        )
        assert (await watch.read()).status == NOT_SERVING
        await other.execute(f"alter database {database.name} with allow_connections true")
        assert (await watch.read()).status == SERVING
    await other.close()


async def test_sigterm_says_not_serving_lets_a_running_call_end_and_exits_cleanly(
    database: TestDatabase, live: Live, tmp_path: Path
) -> None:
    made = await live.new_key(await live.region.new_account())
    operator = tmp_path / "slow.token"
    make_token(operator, OPERATOR_PREFIX)
    settings = json.dumps(
        {
            **{name: database.url(f"babysea_{role}") for name, role in _ROLES.items()},
            "vault_database_url": database.cluster.url(database.vault, "babysea_app"),
            "master_key": live.region.settings.master_key.get_secret_value(),
            "services": "keys",
            "bcrypt_cost": 4,
            "drain_seconds": 20,
        }
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.keys.slow_server", settings, str(tmp_path),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await until(lambda: (tmp_path / "address").exists() and (tmp_path / "address").read_text() != "")
        async with grpc.aio.insecure_channel((tmp_path / "address").read_text()) as channel:
            watch = _health(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == SERVING
            call = KeyServiceStub(channel).GetCallerKey(
                pb.GetCallerKeyRequest(), metadata=bearer(made.secret)
            )
            waiting = asyncio.ensure_future(_answer(call))
            await until(lambda: (tmp_path / "entered").exists())
            process.send_signal(signal.SIGTERM)
            assert (await watch.read()).status == NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
            assert not waiting.done()
            (tmp_path / "go").touch()
            assert (await waiting).key.key_id == made.key.key_id
        _, log = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()
    records = [json.loads(line) for line in log.decode().splitlines()]
    # When it hears of changes to keys is not a part of this order.
    lines = [record["message"] for record in records if record["logger"] != "babysea.keys"]
    assert lines == ["health changed", "serving", "draining", "call", "stopped"]
    assert made.secret not in log.decode()


async def test_a_server_that_cannot_start_says_what_to_do(
    database: TestDatabase, live: Live, tmp_path: Path
) -> None:
    wide = tmp_path / "wide.token"
    make_token(wide, OPERATOR_PREFIX)
    wide.chmod(0o644)
    unreachable = SecretStr("postgresql://babysea_app:test-role@127.0.0.1:1/main")
    wrong = database.url("babysea_app").replace("test-role", "not-it")
    empty = database.cluster.url("postgres", "babysea_app")
    for changes, sentence in (
        ({"services": "keys,nothing"}, 'There is no service "nothing"'),
        ({"database_url": SecretStr("")}, "BABYSEA_DATABASE_URL is not set"),
        ({"database_url": SecretStr("nonsense")}, "is not a PostgreSQL URL"),
        ({"database_url": unreachable}, "Cannot reach the database at 127.0.0.1:1"),
        ({"database_url": SecretStr(wrong)}, "refuses the user or password of BABYSEA_DATABASE_URL"),
        ({"database_url": SecretStr(database.url("babysea_app") + "x")}, "There is no database"),
        ({"database_url": SecretStr(empty)}, "run: babysea migrate"),
        ({"master_key": SecretStr("short")}, "BABYSEA_MASTER_KEY must be 32 random bytes"),
        ({"grpc_listen": live.server.address}, "Cannot listen on"),
        ({"grpc_listen": "0.0.0.0:0"}, "loopback only"),
        ({"operator_token_file": wide}, "chmod 600"),
        ({"service_token_file": tmp_path / "absent"}, "Cannot read the token file"),
    ):
        settings = settings_for(database, **{"services": "keys", **changes})
        assert sentence in await starting(settings)


async def test_more_calls_than_the_server_takes_are_shed_and_not_queued(
    database: TestDatabase, region: TestRegion, clock: FixedClock
) -> None:
    settings = settings_for(database, services="keys", max_concurrent_rpcs=1, drain_seconds=0)
    async with serve(settings, clock=clock) as server, grpc.aio.insecure_channel(server.address) as channel:
        watch = _health(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as shed:
            await KeyServiceStub(channel).GetCallerKey(pb.GetCallerKeyRequest())
        assert shed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        watch.cancel()


_ROLES = {
    "database_url": "app",
    "admitter_database_url": "admitter",
    "worker_database_url": "worker",
    "logs_database_url": "logger",
}


async def _answer(call: Awaitable[pb.GetCallerKeyResponse]) -> pb.GetCallerKeyResponse:
    return await call


def _health(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


async def _elsewhere(region: TestRegion) -> asyncpg.Connection:
    return await asyncpg.connect(region.database.cluster.url("postgres"))
