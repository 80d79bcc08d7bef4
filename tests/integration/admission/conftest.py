"""Connections of the roles that admit and work."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.region import TestRegion


@pytest.fixture
async def admitter(region: TestRegion) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the role that admits, settles and cancels."""
    connection = await region.connect("babysea_admitter")
    yield connection
    await connection.close()


@pytest.fixture
async def worker(region: TestRegion) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the role that works."""
    connection = await region.connect("babysea_worker")
    yield connection
    await connection.close()


@pytest.fixture
async def superuser(region: TestRegion) -> AsyncIterator[asyncpg.Connection]:
    """A connection that sees everything."""
    connection = await region.connect()
    yield connection
    await connection.close()
