"""What only time or size can show. Run with `-m slow`."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from server.ledger.auditing import audit_round
from server.ledger.reconciliation import reconcile
from tests.integration.admission.calling import Ask, End, admit, begin, cancel, record, settle
from tests.integration.ledger.verbs import capture, grant, overdue, release, reserve
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HUNT_SECONDS = 60.0
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"
SETTLED = 1_000_000
MOST_MILLIS = 5.0


class Hunt:
    """Callers that do everything at once to few accounts, in every order."""

    def __init__(self, region: TestRegion, accounts: list[UUID], until: float) -> None:
        self.region = region
        self.accounts = accounts
        self.until = until
        self.holds: list[UUID] = []
        self.generations: list[tuple[UUID, UUID]] = []
        self.words: Counter[str] = Counter()

    async def verbs(self, seed: int) -> None:
        """Reserve, capture, release, grant, and settle in groups of any order."""
        dice = random.Random(seed)
        connection = await self.region.connect("babysea_worker")
        try:
            while time.monotonic() < self.until:
                pool = self.holds[-40:]
                match dice.randrange(6):
                    case 0 | 1:
                        hold = uuid4()
                        word = await reserve(
                            self.region, dice.choice(self.accounts), hold, dice.randrange(1, 9)
                        )
                        if word == "held":
                            self.holds.append(hold)
                    case 2 if pool:
                        word = await capture(self.region, dice.choice(pool), 1)
                    case 3 if pool:
                        word = await release(self.region, dice.choice(pool))
                    case 4:
                        key = f"{seed} {dice.randrange(10**9)}"
                        word = await grant(self.region, dice.choice(self.accounts), 3, key)
                    case _:
                        some = dice.sample(pool, min(len(pool), 8))
                        await connection.fetch(
                            "select word from ledger.settle_many($1::uuid[], $2::bigint[])",
                            some,
                            [dice.randrange(2) for _ in some],
                        )
                        word = "settled many"
                self.words[word] += 1
        finally:
            await connection.close()

    async def generations_too(self, seed: int) -> None:
        """Admissions, attempts, settlements and cancels of batches in any order."""
        dice = random.Random(seed)
        admitter, worker = (
            await self.region.connect("babysea_admitter"),
            await self.region.connect("babysea_worker"),
        )
        try:
            while time.monotonic() < self.until:
                asks = [Ask(dice.choice(self.accounts)) for _ in range(dice.randrange(1, 9))]
                for ask, (word, _, _) in zip(asks, await admit(admitter, *asks), strict=True):
                    self.words[f"admit {word}"] += 1
                    if word == "held":
                        self.generations.append((ask.account, ask.id))
                some = dice.sample(self.generations[-60:], min(len(self.generations), 6))
                if dice.random() < 0.4:
                    await cancel(admitter, *some)
                    continue
                for _, id_ in some:
                    attempt = uuid4()
                    if await begin(worker, id_, 0, attempt, dice.randrange(1, 10**9)) == "begun":
                        await record(worker, id_, 0, attempt, "discarded", cost=dice.randrange(3))
                ends = [End(id_, state="failed", capture=0) for _, id_ in some]
                self.words.update(f"settle {word}" for word in await settle(admitter, *ends))
        finally:
            await admitter.close()
            await worker.close()

    async def background(self) -> None:
        """Reconciler and audit beside it."""
        zero = timedelta(0)
        while time.monotonic() < self.until:
            await overdue(self.region, *self.holds[-10:], *(id_ for _, id_ in self.generations[-10:]))
            self.words.update(await reconcile(self.region.databases.worker, zero, zero))
            done = await audit_round(self.region.databases.worker)
            assert done is not None
            assert done.findings == ()
            self.words["audit"] += 1


async def test_a_minute_of_everything_at_once_ends_without_a_deadlock(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    before = await superuser.fetchval(DEADLOCKS)
    accounts = [await region.new_account(credit=10**9) for _ in range(2)]
    hunt = Hunt(region, accounts, time.monotonic() + HUNT_SECONDS)
    await asyncio.gather(
        *(hunt.verbs(seed) for seed in range(5)),
        *(hunt.generations_too(seed) for seed in range(4)),
        hunt.background(),
    )
    # The statistics of a backend reach the view within a second of its last transaction.
    await asyncio.sleep(1.5)
    assert await superuser.fetchval(DEADLOCKS) - before == 0
    assert hunt.words["held"] > 100
    assert hunt.words["error"] == 0
    print(sum(hunt.words.values()), dict(hunt.words))
    await assert_money_is_clean(region)


async def test_the_sweep_takes_milliseconds_beside_a_million_settled_holds(
    region: TestRegion, superuser: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=10**6)
    holds = [uuid4() for _ in range(100)]
    for hold in holds:
        assert await reserve(region, account, hold, 5) == "held"
    await overdue(region, *holds)
    await superuser.execute(
        "insert into ledger.hold (id, account_id, amount, captured, state, fingerprint, expires_at, created_at, settled_at)"
        " select gen_random_uuid(), $1, 5, 5, 'captured', 'f', now() - interval '1 day', now(), now() from generate_series(1, $2::int)",
        account,
        SETTLED,
        timeout=300,
    )
    await superuser.execute("analyze ledger.hold")
    # Inside the function: what its own statement does, as its settings make it.
    plan = "\n".join(
        row[0]
        for row in await superuser.fetch(
            "explain (analyze, buffers) select h.id from ledger.hold h where h.state = 'held' and h.expires_at <= clock_timestamp()"
            " order by h.expires_at limit 200"
        )
    )
    assert "hold_open" in plan
    assert "Seq Scan" not in plan
    connection = await region.connect("babysea_worker")
    try:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            found = await connection.fetch("select * from ledger.overdue_holds(200)")
            took.append((time.perf_counter() - began) * 1000)
            assert {row[0] for row in found} >= set(holds)
    finally:
        await connection.close()
    print(f"sweep: best {min(took):.2f} ms, median {sorted(took)[10]:.2f} ms")
    assert min(took) < MOST_MILLIS
    await superuser.execute(
        "delete from ledger.hold where fingerprint = 'f' and state = 'captured'", timeout=300
    )
