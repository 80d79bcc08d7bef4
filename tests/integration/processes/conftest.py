"""A whole stack with two servers and two workers in one region, as a person starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment, deployed

SERVERS = ("us server 1", "us server 2")


@pytest.fixture(scope="session")
def twin() -> Iterator[Deployment]:
    """The stack of the run; at its end nothing of it is left."""
    with deployed("--servers", "2", "--workers", "2") as found:
        yield found
