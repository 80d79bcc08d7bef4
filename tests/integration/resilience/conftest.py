"""A whole region for tests of what happens when a part of it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_sandbox, running_stack


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    """A sandbox for the module."""
    with running_sandbox() as url:
        yield url


@pytest.fixture
async def stack(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A running region on the module's database."""
    async with running_stack(database, sandbox_url, tmp_path) as stack:
        yield stack


@pytest.fixture
async def customer(stack: Stack) -> Customer:
    """A customer with $100 and a full-access key."""
    return await stack.customer()
