"""A whole stack with two servers and two workers in one region, as a person starts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.scheduling import once

SERVERS = ("us server 1", "us server 2")


@pytest.fixture(scope="session")
def twin(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """The stack of the run; at its end nothing of it is left."""
    once(request.config, "twin")
    with deployed("--servers", "2", "--workers", "2") as found:
        yield found
