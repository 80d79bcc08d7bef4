"""A real server with the consent service, and people who are signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from babysea.privacy.v1.consent_service_pb2_grpc import ConsentServiceStub
from kit.ids import uuid7
from kit.rpc import SERVICE_TOKEN
from server.accounts.sessions import new_token, token_hash
from server.runtime.lifecycle import RunningServer, serve
from server.runtime.service_identity import OPERATOR_PREFIX, SERVICE_PREFIX, make_token
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    id: UUID
    metadata: Metadata


@dataclass(frozen=True)
class Privacy:
    """A client of a running server."""

    server: RunningServer
    region: TestRegion
    consents: Any
    service: Metadata
    """The gateway's identity, for a customer at 203.0.113.7."""

    async def person(self) -> Person:
        """A new person with a session."""
        person_id, token, now = uuid7(), new_token("us"), datetime.now(UTC)
        envelope, admin = self.region.envelope, await self.region.connect()
        try:
            await admin.execute(
                "insert into accounts.person (id, email_hash, email_ct, name_ct) values ($1, $2, '', '')",
                person_id,
                person_id.bytes,
            )
            await admin.execute(
                "insert into accounts.session (id, person_id, token_hash, created_at, last_seen_at, expires_at)"
                " values ($1, $2, $3, $4, $4, $5)",
                uuid7(),
                person_id,
                token_hash(envelope, token),
                now,
                now + timedelta(days=1),
            )
        finally:
            await admin.close()
        return Person(person_id, (("authorization", f"Bearer {token}"),))


@pytest.fixture
async def privacy(database: TestDatabase, region: TestRegion, tmp_path: Path) -> AsyncIterator[Privacy]:
    """A server of region us with the consent service, and a client of it."""
    service, operator = tmp_path / "service.token", tmp_path / "operator.token"
    token = make_token(service, SERVICE_PREFIX)
    make_token(operator, OPERATOR_PREFIX)
    settings = settings_for(
        database,
        service_token_file=service,
        operator_token_file=operator,
        services="consent,keys",
        drain_seconds=1,
    )
    async with serve(settings) as server, grpc.aio.insecure_channel(server.address) as channel:
        metadata = ((SERVICE_TOKEN, token), ("x-babysea-client-address", "203.0.113.7"))
        yield Privacy(server, region, ConsentServiceStub(channel), metadata)
