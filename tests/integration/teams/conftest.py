"""A real server with every service on a real database, and people who call it over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from kit.clock import FixedClock
from server.runtime.lifecycle import serve
from server.runtime.service_identity import OPERATOR_PREFIX, SERVICE_PREFIX, make_token
from tests.integration.teams.live import Live, Team
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for


@pytest.fixture
def clock() -> FixedClock:
    """The server's clock: it stands still until a test moves it."""
    return FixedClock(datetime.now(UTC))


@pytest.fixture
async def live(
    database: TestDatabase, region: TestRegion, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[Live]:
    """A server of region us with all its services, and a client of it."""
    service, operator = tmp_path / "service.token", tmp_path / "operator.token"
    make_token(service, SERVICE_PREFIX)
    make_token(operator, OPERATOR_PREFIX)
    settings = settings_for(
        database,
        data_dir=tmp_path,
        service_token_file=service,
        operator_token_file=operator,
        argon2_memory_kib=64,
        argon2_passes=1,
        drain_seconds=1,
    )
    async with (
        serve(settings, clock=clock) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield Live(server, region, settings, clock, channel)


@pytest.fixture
async def team(live: Live) -> Team:
    """A team with somebody of each role."""
    return await live.team()
