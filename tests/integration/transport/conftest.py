"""A real server that serves customers over TLS and everybody else over mTLS, with a throw-away authority."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from babysea.keys.v1 import key_service_pb2 as keys
from babysea_sdk import Identity, InternalClient, TlsFiles
from kit.ids import uuid7
from kit.settings import Settings
from server.runtime.lifecycle import RunningServer, serve
from tests.support.authority import Authority, uri
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for


@dataclass(frozen=True)
class Secured:
    """The server, and how to reach it."""

    server: RunningServer
    settings: Settings
    authority: Authority
    gateway: TlsFiles
    operator: TlsFiles
    region: TestRegion

    def internal(self, tls: TlsFiles, identity: Identity | None = None) -> InternalClient:
        """A client of the port for certificates."""
        return InternalClient(self.server.mutual_address, tls=tls, region="us", identity=identity)

    def public(self, identity: Identity | None = None, tls: TlsFiles | None = None) -> InternalClient:
        """A client of the port for everybody; without a certificate unless one is given."""
        files = tls or TlsFiles(self.authority.file)
        return InternalClient(self.server.address, tls=files, region="us", identity=identity)

    async def new_key(self, *allowlist: str) -> str:
        """A customer's API key."""
        account = await self.region.new_account(credit=1_000_000)
        async with self.internal(self.operator) as operator:
            request = keys.CreateKeyRequest(
                account_id=str(account), name=str(uuid7()), preset="full_access", allowlist=list(allowlist)
            )
            return (await operator.keys.create_key(request)).secret


@pytest.fixture
async def secured(database: TestDatabase, region: TestRegion, tmp_path: Path) -> AsyncIterator[Secured]:
    """A server of region us."""
    authority = Authority(tmp_path / "authority")
    files = authority.server()
    settings = settings_for(
        database,
        grpc_tls_certificate_file=files.certificate,
        grpc_tls_key_file=files.key,
        grpc_tls_client_ca_file=authority.file,
        services="accounts,keys,ledger",
        drain_seconds=1,
    )
    gateway = authority.client(uri("us", "gateway"), name="gateway")
    operator = authority.client(uri("us", "operator/ada"), name="operator")
    async with serve(settings) as server:
        yield Secured(server, settings, authority, gateway, operator, region)
