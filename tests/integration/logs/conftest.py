"""A running region with a gateway for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.logs.world import Tenant, World, running_world
from tests.support.postgres import TestDatabase


@pytest.fixture
async def world(database: TestDatabase, tmp_path: Path) -> AsyncIterator[World]:
    """A server and a gateway on the module's database."""
    async with running_world(database, tmp_path) as made:
        yield made


@pytest.fixture
async def tenant(world: World) -> Tenant:
    """An account with money, a key and an owner."""
    return await world.tenant()
