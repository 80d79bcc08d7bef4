"""A region with a gateway before it, an account with a key, and a member of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import httpx

from babysea.keys.v1.key_service_pb2_grpc import KeyServiceStub
from babysea.logs.v1 import log_service_pb2_grpc
from gateway.main import serving
from kit.ids import uuid7
from server.accounts.sessions import new_token, token_hash
from server.keys.creation import create_key
from server.runtime.lifecycle import RunningServer, serve
from server.runtime.service_identity import make_token
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, open_region, settings_for

AGENT = "logs-test/1.0"
ADDRESS = "127.0.0.1"


@dataclass
class World:
    """What the tests touch."""

    region: TestRegion
    server: RunningServer
    channel: grpc.aio.Channel
    rest: httpx.AsyncClient
    """Speaks to the gateway; without a credential."""
    service_token: str
    operator_token: str

    @property
    def logs(self) -> log_service_pb2_grpc.LogServiceAsyncStub:
        """The log service."""
        return log_service_pb2_grpc.LogServiceStub(self.channel)

    @property
    def keys(self) -> Any:
        """The key service."""
        return KeyServiceStub(self.channel)

    async def tenant(self, *, credit: int = 100_000_000) -> Tenant:
        """An account with money, a full-access key and an owner."""
        account_id = await self.region.new_account(credit=credit)
        key_id, secret = await self.new_key(account_id)
        person_id, session = await self.new_member(account_id)
        return Tenant(self, account_id, key_id, secret, person_id, session)

    async def new_key(self, account_id: UUID, preset: str = "full_access") -> tuple[UUID, str]:
        """A key of an account, and its text."""
        shared = self.server.shared
        record, secret = await create_key(
            shared.databases.app,
            shared.hasher,
            shared.clock,
            "us",
            account_id=account_id,
            name="a key",
            preset=preset,
            scopes=[],
            allowlist=[],
            expires_at=None,
        )
        return record.id, secret

    async def new_member(self, account_id: UUID, role: str = "owner") -> tuple[UUID, str]:
        """A member of an account, and the token of a session of theirs."""
        person_id, token, now = uuid7(), new_token("us"), datetime.now(UTC)
        connection = await self.region.connect()
        try:
            await connection.execute(
                "insert into accounts.person (id, email_hash, email_ct, name_ct) values ($1, $2, '', '')",
                person_id,
                person_id.bytes,
            )
            await connection.execute(
                "insert into accounts.membership (account_id, person_id, role) values ($1, $2, $3)",
                account_id,
                person_id,
                role,
            )
            await connection.execute(
                "insert into accounts.session (id, person_id, token_hash, created_at, last_seen_at, expires_at)"
                " values ($1, $2, $3, $4, $4, $5)",
                uuid7(),
                person_id,
                token_hash(self.server.shared.envelope, token),
                now,
                now + timedelta(days=1),
            )
        finally:
            await connection.close()
        return person_id, token

    async def rows(self, account_id: UUID, at_least: int = 1) -> list[asyncpg.Record]:
        """The account's log rows, oldest first, once there are so many."""
        connection = await self.region.connect()
        try:
            async with asyncio.timeout(20):
                while True:
                    rows = await connection.fetch(
                        "select * from logs.request where account_id = $1 order by at, id", account_id
                    )
                    if len(rows) >= at_least:
                        return list(rows)
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Rows that the superuser sees."""
        connection = await self.region.connect()
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()


@dataclass
class Tenant:
    """An account, its program and its owner."""

    world: World
    account_id: UUID
    key_id: UUID
    secret: str
    person_id: UUID
    session: str

    @property
    def program(self) -> dict[str, str]:
        """Headers of a REST request with the key."""
        return {"authorization": f"Bearer {self.secret}", "user-agent": AGENT}

    @property
    def by_key(self) -> tuple[tuple[str, str], ...]:
        """Metadata of a gRPC call with the key."""
        return (("authorization", f"Bearer {self.secret}"),)

    @property
    def by_member(self) -> tuple[tuple[str, str], ...]:
        """Metadata of a gRPC call with the owner's session."""
        return (("authorization", f"Bearer {self.session}"),)

    async def get(self, path: str) -> httpx.Response:
        """GETs a path with the key."""
        return await self.world.rest.get(path, headers=self.program)

    async def rows(self, at_least: int = 1) -> list[asyncpg.Record]:
        """The account's log rows, oldest first, once there are so many."""
        return await self.world.rows(self.account_id, at_least)


@asynccontextmanager
async def running_world(database: TestDatabase, folder: Path) -> AsyncIterator[World]:
    """Everything, stopped at the end."""
    service_token = make_token(folder / "service.token", "svc_")
    operator_token = make_token(folder / "operator.token", "op_")
    settings = settings_for(
        database,
        data_dir=folder,
        service_token_file=folder / "service.token",
        operator_token_file=folder / "operator.token",
        services="accounts,keys,ledger,routing,generation,logs",
        drain_seconds=1,
    )
    region = open_region(database)
    async with serve(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        front = settings.model_copy(
            update={
                "gateway_listen": "us=127.0.0.1:0",
                "gateway_upstreams": f"us={server.address}",
                "gateway_service_tokens": f"us={folder / 'service.token'}",
            }
        )
        async with (
            serving(front) as gateway,
            httpx.AsyncClient(base_url=gateway.urls["us"], trust_env=False, timeout=30) as rest,
        ):
            yield World(region, server, channel, rest, service_token, operator_token)
    await region.close()
