"""A Valkey for the tests of shared limits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.valkey import RunningValkey


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningValkey]:
    """A running Valkey; ended at the end, whatever the test made of it."""
    made = RunningValkey.at(tmp_path / "valkey")
    await made.start()
    yield made
    with contextlib.suppress(ProcessLookupError):
        made.kill()
