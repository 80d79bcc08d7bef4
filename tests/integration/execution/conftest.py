"""A region whose providers do what a test tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.integration.execution.fakes import Fakes, serving_fakes
from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_stack


@pytest.fixture
async def fakes() -> AsyncIterator[Fakes]:
    """The providers."""
    async with serving_fakes() as fakes:
        yield fakes


@pytest.fixture
def changes() -> dict[str, object]:
    """Settings that a module wants otherwise."""
    return {}


@pytest.fixture
async def stack(
    database: TestDatabase, fakes: Fakes, tmp_path: Path, changes: dict[str, object]
) -> AsyncIterator[Stack]:
    """A running region on the module's database."""
    settings = {
        "openai_base_url": f"{fakes.url}/openai/v1",
        "openai_key": SecretStr("sk-test"),
        "drain_seconds": 0.0,
        **changes,
    }
    async with running_stack(database, fakes.url, tmp_path, **settings) as stack:
        yield stack


@pytest.fixture
async def customer(stack: Stack) -> Customer:
    """A customer with $100 and a full-access key."""
    return await stack.customer()
