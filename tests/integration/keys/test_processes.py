"""Two servers as processes of their own on one database: what one ends, the other refuses within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest

from babysea.accounts.v1.account_service_pb2 import GetBillingRequest
from babysea.accounts.v1.account_service_pb2_grpc import AccountServiceStub
from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1.key_service_pb2_grpc import KeyServiceStub
from kit.rpc import CLIENT_ADDRESS, SERVICE_TOKEN, error_of
from server.keys.watch import APPLICATION
from server.runtime.service_identity import OPERATOR_PREFIX, SERVICE_PREFIX, make_token, read_token
from tests.integration.keys.live import Metadata, bearer
from tests.integration.keys.server_process import server_process
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for

ROUNDS = 50
BOUND_SECONDS = 1.0
_KILL = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = $2"


class Server:
    """Stubs of one server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.keys: Any = KeyServiceStub(channel)
        self.accounts: Any = AccountServiceStub(channel)


@dataclass
class Pair:
    """Two servers and the database under them."""

    one: Server
    other: Server
    operator: Metadata
    service: Metadata
    admin: asyncpg.Connection
    database: str

    async def new_key(self, account: UUID) -> pb.CreateKeyResponse:
        """A key that both servers have seen at work."""
        request = pb.CreateKeyRequest(account_id=str(account), name="n", preset="full_access")
        made: pb.CreateKeyResponse = await self.one.keys.CreateKey(request, metadata=self.operator)
        for server in (self.one, self.other):
            assert await self.refused_by(server, made) == ""
        return made

    async def refused_by(self, server: Server, made: pb.CreateKeyResponse) -> str:
        """Why a server refuses a key; empty when it does not."""
        # An address per key, as refusals are limited per address.
        address = str(IPv4Address(0x0A00_0000 + UUID(made.key.key_id).int % 0x00FF_FFFF))
        metadata = (*bearer(made.secret), *self.service, (CLIENT_ADDRESS, address))
        try:
            # Its handler never looks at the key's row, so the answer is that of authentication alone.
            await server.accounts.GetBilling(GetBillingRequest(), metadata=metadata)
        except grpc.aio.AioRpcError as failed:
            return error_of(failed).spec.name
        return ""

    async def listeners(self) -> int:
        """Connections on which servers hear of changes."""
        return int(
            await self.admin.fetchval(
                "select count(*) from pg_stat_activity where datname = $1 and application_name = $2",
                self.database,
                APPLICATION,
            )
        )

    async def kill_listeners(self) -> int:
        """Ends those connections."""
        return len(await self.admin.fetch(_KILL, self.database, APPLICATION))


@pytest.fixture
async def pair(database: TestDatabase, region: TestRegion, tmp_path: Path) -> AsyncIterator[Pair]:
    service, token = tmp_path / "service.token", tmp_path / "operator.token"
    make_token(service, SERVICE_PREFIX)
    make_token(token, OPERATOR_PREFIX)
    settings = settings_for(
        database,
        service_token_file=service,
        operator_token_file=token,
        services="keys,accounts",
        drain_seconds=0,
        log_level="error",
    )
    admin = await region.connect()
    async with (
        server_process(settings, tmp_path / "one") as one,
        server_process(settings, tmp_path / "other") as other,
        grpc.aio.insecure_channel(one) as channel,
        grpc.aio.insecure_channel(other) as other_channel,
    ):
        yield Pair(
            Server(channel),
            Server(other_channel),
            bearer(read_token(token)),
            ((SERVICE_TOKEN, read_token(service)),),
            admin,
            database.name,
        )
    await admin.close()


async def test_a_key_revoked_through_one_process_is_refused_by_the_other_within_a_second(
    pair: Pair, region: TestRegion
) -> None:
    seconds = [await _ended_by("RevokeKey", pair, await _busy_account(region)) for _ in range(ROUNDS)]
    print(f"\nrevoked elsewhere, {ROUNDS} times: max {max(seconds) * 1000:.0f} ms")
    assert max(seconds) < BOUND_SECONDS


async def test_it_is_refused_within_a_second_also_when_the_listening_connections_were_killed_just_before(
    pair: Pair, region: TestRegion
) -> None:
    seconds, killed = [], 0
    for _ in range(ROUNDS):
        account = await _busy_account(region)
        while await pair.listeners() < 2:
            await asyncio.sleep(0.01)
        made = await pair.new_key(account)
        killed += await pair.kill_listeners()
        seconds.append(await _end("RevokeKey", pair, made))
    print(f"\nrevoked elsewhere, {killed} listeners killed, {ROUNDS} times: max {max(seconds) * 1000:.0f} ms")
    assert killed == 2 * ROUNDS
    assert max(seconds) < BOUND_SECONDS


async def test_a_change_whose_notification_was_lost_is_noticed_within_a_second(
    pair: Pair, region: TestRegion
) -> None:
    seconds = []
    for _ in range(10):
        made = await pair.new_key(await _busy_account(region))
        # Without triggers nobody is notified; the counter is all that is left.
        async with pair.admin.transaction():
            await pair.admin.execute("set local session_replication_role = replica")
            await pair.admin.execute(
                "update keys.api_key set revoked_at = now() where id = $1", made.key.key_id
            )
            await pair.admin.execute("update keys.change_counter set changes = changes + 1")
        seconds.append(await _until_refused(pair, made))
    assert await pair.listeners() == 2
    print(f"\nnotification lost, 10 times: max {max(seconds) * 1000:.0f} ms")
    assert max(seconds) < BOUND_SECONDS


async def test_a_deleted_key_is_refused_by_the_other_within_a_second(pair: Pair, region: TestRegion) -> None:
    seconds = [await _ended_by("DeleteKey", pair, await _busy_account(region)) for _ in range(10)]
    print(f"\ndeleted elsewhere, 10 times: max {max(seconds) * 1000:.0f} ms")
    assert max(seconds) < BOUND_SECONDS


async def test_an_account_restricted_or_given_another_limit_is_noticed_within_a_second(
    pair: Pair, region: TestRegion
) -> None:
    account = await _busy_account(region)
    made = await pair.new_key(account)
    await pair.admin.execute("update accounts.account set requests_per_minute = 1 where id = $1", account)
    began = time.monotonic()
    while await pair.refused_by(pair.other, made) != "RATE_LIMIT_EXCEEDED":
        assert time.monotonic() - began < BOUND_SECONDS


async def _busy_account(region: TestRegion) -> UUID:
    # A plan limits requests a minute, and these tests ask without a pause.
    account = await region.new_account()
    connection = await region.connect()
    await connection.execute(
        "update accounts.account set requests_per_minute = 1000000 where id = $1", account
    )
    await connection.close()
    return account


async def _ended_by(method: str, pair: Pair, account: UUID) -> float:
    return await _end(method, pair, await pair.new_key(account))


async def _end(method: str, pair: Pair, made: pb.CreateKeyResponse) -> float:
    call = getattr(pair.one.keys, method)
    request = getattr(pb, f"{method}Request")(account_id=made.key.account_id, key_id=made.key.key_id)
    await call(request, metadata=pair.operator)
    return await _until_refused(pair, made)


async def _until_refused(pair: Pair, made: pb.CreateKeyResponse) -> float:
    """Seconds until the other server refuses a key."""
    began = time.monotonic()
    while True:
        reason = await pair.refused_by(pair.other, made)
        if reason == "AUTHENTICATION_FAILED":
            return time.monotonic() - began
        assert reason == ""
        assert time.monotonic() - began < 30
