"""admit_many against a sequential model: random batches, one answer after the other."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.admission.calling import (
    Ask,
    End,
    admit,
    assert_events_are_whole,
    begin_all,
    cancel,
    mark,
    settle,
    written,
)
from tests.integration.admission.model import Account, Model
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

BATCHES = 30
BAD_AMOUNTS = (0, -5, 2**62, -(2**63), None)
SIZES = (1, 1, 2, 8, 24)
ANSWERED = {"held", "replayed", "already_held", "already_captured", "already_released", "key_conflict"}


class Play:
    """One seeded game of the database against the model."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.model = Model()
        self.accounts: list[UUID] = []
        self.api_keys: list[UUID] = []
        self.asked: list[Ask] = []

    async def prepare(self, region: TestRegion, superuser: asyncpg.Connection) -> None:
        """Accounts of every sort, with usable and useless API keys."""
        for n in range(6):
            credit, limit, frozen, line = (
                self.random.randrange(1, 60_000),
                self.random.choice([3, 40, 10**6]),
                n == 4,
                (n == 3) * 900,
            )
            account = await region.new_account(credit=credit, in_flight=limit)
            await superuser.execute(
                "update ledger.account set frozen = $2, credit_line = $3, residency = $4 where id = $1",
                account,
                frozen,
                line,
                "strict" if n == 5 else "best_effort",
            )
            self.accounts.append(account)
            self.model.accounts[account] = Account(credit, limit, frozen, line, strict=n == 5, version=1)
            for revoked in (False, True):
                key = uuid4()
                await superuser.execute(
                    "insert into keys.api_key (id, account_id, public_id, hash, name, scopes, revoked_at)"
                    " values ($1, $2, $3, 'hash', 'test', '{}', case when $4 then now() - interval '1 s' end)",
                    key,
                    account,
                    key.hex[:12],
                    revoked,
                )
                self.api_keys.append(key)
                if not revoked:
                    self.model.active_keys[key] = account

    def batch(self) -> list[Ask]:
        """Requests; one id goes with one request only, for its owner derives it from account and request."""
        asks: list[Ask] = []
        taken: dict[UUID, tuple[UUID, bytes | None]] = {}
        for _ in range(self.random.choice(SIZES)):
            ask = self._ask(asks)
            if taken.setdefault(ask.id, (ask.account, ask.key)) == (ask.account, ask.key):
                asks.append(ask)
        self.asked.extend(asks)
        return asks

    def _ask(self, before: list[Ask]) -> Ask:
        dice = self.random
        chance = dice.random()
        if before and chance < 0.1:
            copy = dice.choice(before)
            return copy if copy.key is None else replace(copy, id=uuid4())
        if self.asked and chance < 0.2:
            return dice.choice(self.asked)
        account = uuid4() if chance > 0.98 else dice.choice(self.accounts)
        amount = dice.choice(BAD_AMOUNTS) if dice.random() < 0.04 else dice.randrange(1, 4_000)
        key = b"key %d" % dice.randrange(40) if dice.random() < 0.5 else None
        api_key = dice.choice([*self.api_keys, uuid4()]) if dice.random() < 0.2 else None
        # Requests under one key are mostly the same, as from a customer who retries.
        fingerprint = mark(key, dice.random() < 0.9) if key else mark(amount)
        used = dice.choice(self.asked).id if self.asked and dice.random() < 0.03 else uuid4()
        resident = dice.choice(["fal", "replicate,fal", "", None])
        return Ask(account, amount, used, key, api_key, fingerprint, resident)

    async def interlude(
        self, admitter: asyncpg.Connection, worker: asyncpg.Connection, superuser: asyncpg.Connection
    ) -> None:
        """What happens between admissions: ends, grants and keys that expire."""
        held = [id_ for id_, hold in self.model.holds.items() if hold.state == "held"]
        for id_ in self.random.sample(held, min(4, len(held))):
            hold = self.model.holds[id_]
            match self.random.randrange(3):
                case 0:
                    assert await cancel(admitter, (hold.account, id_)) == [("canceled", False)]
                    self.model.end(id_, 0)
                case 1:
                    assert await settle(admitter, End(id_, 0, state="failed")) == ["settled"]
                    self.model.end(id_, 0)
                case _:
                    capture = self.random.randrange(1, hold.amount + 1)
                    await begin_all(worker, id_)
                    assert await settle(admitter, End(id_, capture)) == ["settled"]
                    self.model.end(id_, capture)
        account = self.random.choice(self.accounts)
        word = await worker.fetchval("select ledger.grant_credit($1, 700, $2)", account, uuid4().hex)
        assert word == "granted"
        self.model.grant(account, 700)
        if self.model.claims:
            owner, key = self.random.choice(list(self.model.claims))
            del self.model.claims[owner, key]
            await superuser.execute(
                "update generation.claim set expires_at = now() - interval '1 s' where account_id = $1 and key = $2",
                owner,
                key,
            )


@pytest.mark.parametrize("seed", range(20))
async def test_random_batches_are_answered_like_single_requests_in_order(
    region: TestRegion,
    admitter: asyncpg.Connection,
    worker: asyncpg.Connection,
    superuser: asyncpg.Connection,
    seed: int,
) -> None:
    play = Play(seed)
    await play.prepare(region, superuser)
    for _ in range(BATCHES):
        asks = play.batch()
        expected = play.model.admit(asks)
        got = await admit(admitter, *asks)
        for ask, answer, right in zip(asks, got, expected, strict=True):
            assert answer[0] == right[0], ask
            if answer[0] in ANSWERED:
                assert answer[1] == right[1], ask
            assert answer[2] == right[2], ask
        if play.random.random() < 0.4:
            await play.interlude(admitter, worker, superuser)
    for account, known in play.model.accounts.items():
        row = await superuser.fetchrow(
            "select posted, held, open_holds, version from ledger.account where id = $1", account
        )
        assert row is not None
        assert tuple(row) == (known.posted, known.held, known.open_holds, known.version)
        holds = sum(hold.account == account for hold in play.model.holds.values())
        counts = await written(region, account)
        assert (counts["ledger.hold"], counts["generation.generation"]) == (holds, holds)
        assert (counts["ledger.transfer"], counts["runtime.job"]) == (known.version, known.open_holds)
    if seed == 19:
        await assert_events_are_whole(region)
        await assert_money_is_clean(region)
