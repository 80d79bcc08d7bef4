"""A superuser's connection and an account with money."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from tests.support.region import TestRegion


@pytest.fixture
async def superuser(region: TestRegion) -> AsyncIterator[asyncpg.Connection]:
    """A connection that may do anything."""
    connection = await region.connect()
    yield connection
    await connection.close()


@pytest.fixture
async def account(region: TestRegion) -> UUID:
    """An account with ten dollars."""
    return await region.new_account(credit=10_000_000)
