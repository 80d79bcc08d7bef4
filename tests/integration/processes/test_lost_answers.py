"""Answers lost between the commit and the gateway, on creates without an Idempotency-Key: one generation, one hold.

Two servers as processes of their own, each behind a way on which chosen answers are lost, and a real gateway.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest

from gateway.main import serving
from kit.clock import SystemClock
from kit.settings import Settings
from server.keys.creation import create_key
from server.keys.hashing import KeyHasher
from server.runtime.encryption import MasterKey
from server.runtime.service_identity import SERVICE_PREFIX, make_token
from tests.integration.keys.server_process import server_process
from tests.support.lossy_proxy import Fate, Fates, lossy
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for

pytestmark = pytest.mark.timeout(240)

PATH = "/v1/generate/image/bfl/flux-schnell"
WORDS = "an answer on its way"
ASKED = 3
"""How often the gateway asks at most."""


@dataclass
class Place:
    """A customer, the way to two servers, and a look at the database behind them."""

    client: httpx.AsyncClient
    fates: Fates
    admin: asyncpg.Connection
    account_id: UUID

    async def written(self) -> tuple[int, int]:
        """Generations and holds of the customer."""
        row = await self.admin.fetchrow(
            "select (select count(*) from generation.generation where account_id = $1),"
            " (select count(*) from ledger.hold where account_id = $1 and state = 'held')",
            self.account_id,
        )
        assert row is not None
        return row[0], row[1]

    async def post(self) -> httpx.Response:
        """One create that names itself by nothing."""
        return await self.client.post(PATH, json={"generation_prompt": WORDS})

    async def insist(self) -> httpx.Response:
        """As the published clients do: repeats what is called retryable, and nothing else."""
        for _ in range(20):
            reply = await self.post()
            if reply.status_code == 200 or not reply.json()["error"]["retryable"]:
                return reply
        raise AssertionError(reply.text)


@pytest.fixture
async def place(database: TestDatabase, region: TestRegion, tmp_path: Path) -> AsyncIterator[Place]:
    token = tmp_path / "service.token"
    make_token(token, SERVICE_PREFIX)
    settings = settings_for(database, service_token_file=token, drain_seconds=0, log_level="error")
    account = await region.new_account(credit=100_000_000)
    key = await new_key(region, account)
    fates = Fates(WORDS.encode())
    async with AsyncExitStack() as closing:
        ways = []
        for name in ("one", "other"):
            address = await closing.enter_async_context(server_process(settings, tmp_path / name))
            ways.append(await closing.enter_async_context(lossy(address, fates)))
        gateway = await closing.enter_async_context(
            serving(
                Settings(
                    gateway_listen="us=127.0.0.1:0",
                    gateway_upstreams=f"us={';'.join(ways)}",
                    gateway_service_tokens=f"us={token}",
                    drain_seconds=0,
                )
            )
        )
        headers = {"Authorization": f"Bearer {key}"}
        client = await closing.enter_async_context(
            httpx.AsyncClient(base_url=gateway.urls["us"], headers=headers, trust_env=False, timeout=30)
        )
        admin = await region.connect()
        closing.push_async_callback(admin.close)
        yield Place(client, fates, admin, account)


async def new_key(region: TestRegion, account_id: UUID) -> str:
    """A full-access key."""
    settings = region.settings
    master = MasterKey(settings.master_key.get_secret_value())
    _, secret = await create_key(
        region.databases.app,
        KeyHasher(master.derived("api_key_pepper"), settings.bcrypt_cost),
        SystemClock(),
        "us",
        account_id=account_id,
        name="test",
        preset="full_access",
        scopes=[],
        allowlist=[],
        expires_at=None,
    )
    return secret


async def test_the_answer_lost_after_the_commit_is_given_by_the_other_server_from_the_record(
    place: Place,
) -> None:
    place.fates.coming.append("lose answer")
    reply = await place.post()
    assert reply.status_code == 200, reply.text
    # The gateway asked twice; what the customer holds is what the first, unheard call made.
    assert place.fates.met == ["lose answer", "pass"]
    made = await place.admin.fetch(
        "select g.id from generation.generation g join ledger.hold h on h.id = g.id where g.account_id = $1",
        place.account_id,
    )
    assert [str(row["id"]) for row in made] == [reply.json()["data"]["generation_id"]]
    assert await place.written() == (1, 1)


async def test_an_answer_lost_every_time_is_told_as_perhaps_done_and_not_to_be_repeated(place: Place) -> None:
    place.fates.coming.extend(["lose answer"] * ASKED)
    reply = await place.insist()
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["retryable"]) == (503, "BSE5002", False)
    assert error["message"].startswith("The generation may have been accepted.")
    assert place.fates.met == ["lose answer"] * ASKED
    assert await place.written() == (1, 1)


async def test_no_mixture_of_lost_messages_ever_makes_a_second_generation_or_hold(place: Place) -> None:
    kinds: tuple[Fate, ...] = ("pass", "lose request", "lose answer")
    mixtures = [*product(kinds, repeat=ASKED), *product(kinds, repeat=ASKED)]
    random.Random(3).shuffle(mixtures)
    outcomes: Counter[str] = Counter()
    for mixture in mixtures:
        before = await place.written()
        place.fates.coming.clear()
        place.fates.coming.extend(mixture)
        place.fates.met.clear()
        reply = await place.insist()
        after = await place.written()
        committed = {"pass", "lose answer"} & set(place.fates.met)
        made = (after[0] - before[0], after[1] - before[1])
        assert made == ((1, 1) if committed else (0, 0)), (mixture, place.fates.met, reply.text)
        assert reply.status_code == 200 or not reply.json()["error"]["retryable"]
        outcomes["answered" if reply.status_code == 200 else "may have been accepted"] += 1
    assert sum(outcomes.values()) == 54
    # Only a create that was never heard out may end without an answer.
    assert outcomes["may have been accepted"] == 2 * 2**ASKED


async def test_creates_beside_one_that_loses_its_connection_are_each_made_once(place: Place) -> None:
    place.fates.coming.extend(["lose answer", "pass"] * 10)
    replies = await asyncio.gather(*(place.insist() for _ in range(20)))
    made, held = await place.written()
    answered = [reply.json()["data"]["generation_id"] for reply in replies if reply.status_code == 200]
    assert len(set(answered)) == len(answered)
    assert made == held
    # A cut connection takes calls of others with it; those whose answer never came may be there or not.
    assert len(answered) <= made <= len(replies)
