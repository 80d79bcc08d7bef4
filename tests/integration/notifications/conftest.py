"""The region's post and a mail server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.notifications.post_office import Post, PostOffice, open_post_office
from tests.support.region import TestRegion


@pytest.fixture
async def post(region: TestRegion) -> Post:
    """The region's post, with an empty queue."""
    found = Post(region)
    await found.execute("delete from notifications.letter")
    return found


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    """A mail server that takes everything until it is told otherwise."""
    async with open_post_office() as office:
        yield office
