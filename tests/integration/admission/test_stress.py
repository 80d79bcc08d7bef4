"""Everything that moves money at once, and backends that die in the middle of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.admission.calling import (
    Ask,
    End,
    admit,
    assert_events_are_whole,
    begin,
    cancel,
    fact,
    record,
    settle,
)
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

SECONDS = 5.0
# What a call may hear when its backend is terminated; the last but one is the driver's when that happens mid-answer.
LOST = (
    asyncpg.AdminShutdownError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
OURS = (
    "select count(*) from pg_stat_activity where datname = current_database() and usename like 'babysea_%er'"
)


class Storm:
    """Many clients on few accounts."""

    def __init__(self, region: TestRegion, accounts: list[UUID], seed: int, deadly: bool) -> None:
        self.region = region
        self.accounts = accounts
        self.seed = seed
        self.deadly = deadly
        self.live: list[Ask] = []
        self.begun: set[UUID] = set()
        self.words: Counter[str] = Counter()
        self.lost = 0
        self.end = asyncio.get_running_loop().time() + SECONDS

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return asyncio.get_running_loop().time() < self.end

    async def client(self, kind: str, number: int) -> None:
        """Repeats one kind of call until the time is over, over a new connection whenever its backend was killed."""
        dice = random.Random(f"{self.seed} {kind} {number}")
        role = "babysea_worker" if kind in {"grant", "work"} else "babysea_admitter"
        connection = await self.region.connect(role)
        try:
            while self.goes_on:
                try:
                    self.words.update(await getattr(self, kind)(connection, dice))
                except LOST:
                    if not self.deadly:
                        raise
                    self.lost += 1
                    connection.terminate()
                    connection = await self.region.connect(role)
        finally:
            connection.terminate()

    async def admit(self, connection: asyncpg.Connection, dice: random.Random) -> list[str]:
        """New requests, repeated keys, and retries of ids that may be running elsewhere."""
        asks: dict[UUID, Ask] = {}
        for _ in range(dice.choice((1, 4, 16, 48))):
            chance = dice.random()
            if chance < 0.2 and self.live:
                ask = dice.choice(self.live[-200:])
            elif chance < 0.5:
                key = b"%d" % dice.randrange(2_000)
                ask = Ask(dice.choice(self.accounts), 500, key=key, fingerprint=key)
            else:
                ask = Ask(dice.choice(self.accounts), dice.randrange(1, 900))
                self.live.append(ask)
            asks.setdefault(ask.id, ask)
        return [word for word, _, _ in await admit(connection, *asks.values())]

    async def settle(self, connection: asyncpg.Connection, dice: random.Random) -> list[str]:
        """Batches of successes and failures, some of them stale, twice or unknown."""
        ends = []
        for id_ in (*self._some(dice), uuid4()):
            if id_ in self.begun and dice.random() < 0.7:
                ends.append(End(id_, 1))
            else:
                ends.append(End(id_, 0, token=dice.choice((0, 0, 0, 1)), state="failed"))
        return [f"settle {word}" for word in await settle(connection, *ends)]

    async def cancel(self, connection: asyncpg.Connection, dice: random.Random) -> list[str]:
        """Batches of cancels."""
        wanted = set(self._some(dice))
        pairs = [(ask.account, ask.id) for ask in self.live[-800:] if ask.id in wanted]
        return [f"cancel {word}" for word, _ in await cancel(connection, *pairs)]

    async def grant(self, connection: asyncpg.Connection, dice: random.Random) -> list[str]:
        """Grants, some of them repeated."""
        key, account = f"grant {dice.randrange(300)}", dice.choice(self.accounts)
        return [
            f"grant {await connection.fetchval('select ledger.grant_credit($1, 5000, $2)', account, key)}"
        ]

    async def work(self, connection: asyncpg.Connection, dice: random.Random) -> list[str]:
        """Attempts: a first one that stays open for a success, and others that fail."""
        words = []
        for id_ in self._some(dice)[:6]:
            first = dice.random() < 0.7
            attempt = id_ if first else uuid4()
            with suppress(asyncpg.UniqueViolationError):
                words.append(f"begin {await begin(connection, id_, 0, attempt, 1 if first else 2)}")
                if first and words[-1] == "begin begun":
                    self.begun.add(id_)
            outcome = "accepted" if first else "failed"
            words.append(f"record {await record(connection, id_, 0, attempt, outcome, job_id=str(attempt))}")
        return words

    def _some(self, dice: random.Random) -> list[UUID]:
        if not self.live:
            return [uuid4()]
        return [dice.choice(self.live[-800:]).id for _ in range(12)]

    async def kill(self) -> None:
        """Terminates a random busy backend every few milliseconds."""
        superuser = await self.region.connect()
        while self.goes_on:
            await superuser.execute(
                "select pg_terminate_backend(pid) from (select pid from pg_stat_activity where datname = current_database()"
                " and usename in ('babysea_admitter', 'babysea_worker') and state = 'active' order by random() limit 1) s"
            )
            await asyncio.sleep(0.05)
        await superuser.close()


@pytest.mark.parametrize(("seed", "deadly"), [(1, False), (2, True)])
async def test_money_survives_a_storm(region: TestRegion, seed: int, deadly: bool) -> None:
    dice = random.Random(seed)
    accounts = [
        await region.new_account(
            credit=dice.choice((20_000, 10**6, 10**9)), in_flight=dice.choice((20, 200, 10**6))
        )
        for _ in range(6)
    ]
    before = await fact(region, DEADLOCKS)
    storm = Storm(region, accounts, seed, deadly)
    clients = {"admit": 5, "settle": 3, "cancel": 2, "work": 2, "grant": 1}
    async with asyncio.TaskGroup() as group:
        for kind, count in clients.items():
            for number in range(count):
                group.create_task(storm.client(kind, number))
        if deadly:
            group.create_task(storm.kill())
    async with asyncio.timeout(20):
        while await fact(region, OURS):
            await asyncio.sleep(0.05)
    assert await fact(region, DEADLOCKS) == before
    for word in (
        "held",
        "already_held",
        "replayed",
        "settle settled",
        "cancel canceled",
        "begin begun",
        "grant granted",
    ):
        assert storm.words[word] > 0, storm.words
    assert (storm.lost > 0) == deadly
    captured = "select count(*) from ledger.transfer where kind = 'c' and account_id = any($1::uuid[])"
    assert int(str(await fact(region, captured, accounts))) > 0
    await assert_events_are_whole(region)
    await assert_money_is_clean(region)
