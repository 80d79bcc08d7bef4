"""A real server with identity on a real database, and people who call it over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit.clock import FixedClock
from kit.settings import Settings
from server.runtime.lifecycle import serve
from server.runtime.service_identity import OPERATOR_PREFIX, SERVICE_PREFIX, make_token
from tests.integration.identity.people import People
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for


@pytest.fixture
def clock() -> FixedClock:
    """The servers' clock: it stands still until a test moves it."""
    return FixedClock(datetime.now(UTC))


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    """Settings of a server with identity, whose passwords cost little."""
    service, operator = tmp_path / "service.token", tmp_path / "operator.token"
    make_token(service, SERVICE_PREFIX)
    make_token(operator, OPERATOR_PREFIX)
    return settings_for(
        database,
        service_token_file=service,
        operator_token_file=operator,
        services="accounts,identity",
        argon2_memory_kib=64,
        argon2_passes=1,
        drain_seconds=1,
    )


@pytest.fixture
async def people(settings: Settings, region: TestRegion, clock: FixedClock) -> AsyncIterator[People]:
    """A server of region us, and people who call it."""
    async with (
        serve(settings, clock=clock) as server,
        People.open(server.address, region, clock, settings) as client,
    ):
        yield client
