"""The ledger against a model in memory: the same words and the same balances, whatever the order of calls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from server.ledger import upkeep_store
from server.ledger.reconciliation import GRACE, STUCK
from tests.integration.ledger.verbs import capture, grant, overdue, release, reserve
from tests.support.chain import broken_chains
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, open_region

MOST = 10**12
AMOUNTS = st.sampled_from([1, 2, 3, 5, 8, 13, 40, 0, -1, MOST, MOST + 1, 2**63 - 1])
FINGERPRINTS = st.sampled_from([b"one", b"another"])
KEYS = st.sampled_from(["a", "b", "c", "d"])


@dataclass
class Purse:
    """An account as the model knows it."""

    posted: int = 0
    held: int = 0
    open_holds: int = 0
    version: int = 0
    limit: int = 4


@dataclass
class Hold:
    """A hold as the model knows it."""

    account: UUID
    amount: int
    fingerprint: bytes
    state: str = "held"
    captured: int = 0
    overdue: bool = False


class LedgerMachine(RuleBasedStateMachine):
    """Plays every verb on two accounts of a real database, and on dictionaries."""

    runner: asyncio.Runner
    region: TestRegion
    watcher: asyncpg.Connection

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.purses: dict[UUID, Purse] = {}
        self.known: dict[UUID, Hold] = {}
        self.grants: dict[tuple[UUID, str], int] = {}
        self.accounts: list[UUID] = []

    @initialize()
    def open(self) -> None:
        """Two accounts, the first with some money."""
        for credit in (100, 0):
            account = self.runner.run(self.region.new_account(credit=credit, in_flight=4))
            self.accounts.append(account)
            self.purses[account] = Purse(posted=credit, version=bool(credit))

    @rule(who=st.integers(0, 1), amount=AMOUNTS, key=KEYS)
    def grant(self, who: int, amount: int, key: str) -> None:
        """Adds money."""
        account = self.accounts[who]
        purse, known = self.purses[account], self.grants.get((account, key))
        if not 1 <= amount <= MOST:
            expected = "bad_amount"
        elif known is not None:
            expected = "already_granted" if known == amount else "conflict"
        else:
            expected = "granted"
            self.grants[account, key] = amount
            purse.posted += amount
            purse.version += 1
        assert self.runner.run(grant(self.region, account, amount, key)) == expected

    @rule(unknown=st.uuids(version=4), amount=AMOUNTS)
    def settle_unknown(self, unknown: UUID, amount: int) -> None:
        """Settles an id that no hold has."""
        if unknown not in self.known:
            self.capture(unknown, amount)
            self.release(unknown)
            self.reconcile(unknown)

    @rule(target=holds, who=st.sampled_from([0, 0, 0, 1]), amount=st.sampled_from([1, 2, 3, 5, 8]))
    def reserve_some(self, who: int, amount: int) -> object:
        """Sets a little money aside under a new id."""
        return self.reserve_anew(who, amount, b"one")

    @rule(target=holds, who=st.integers(0, 1), amount=AMOUNTS, fingerprint=FINGERPRINTS)
    def reserve_anew(self, who: int, amount: int, fingerprint: bytes) -> object:
        """Sets money aside under a new id."""
        hold = uuid4()
        word = self._reserve(self.accounts[who], hold, amount, fingerprint)
        return hold if word == "held" else multiple()

    @rule(hold=holds, who=st.integers(0, 1), amount=AMOUNTS, fingerprint=FINGERPRINTS)
    def reserve_again(self, hold: UUID, who: int, amount: int, fingerprint: bytes) -> None:
        """Sets money aside under an id that may be known."""
        self._reserve(self.accounts[who], hold, amount, fingerprint)

    @rule(hold=holds)
    def repeat(self, hold: UUID) -> None:
        """Sends the very same reserve once more."""
        if hold in self.known:
            known = self.known[hold]
            self._reserve(known.account, hold, known.amount, known.fingerprint)

    @rule(hold=holds, amount=AMOUNTS)
    def capture(self, hold: UUID, amount: int) -> None:
        """Takes held money, all or a part."""
        known = self.known.get(hold)
        if amount < 1:
            expected = "bad_amount"
        elif known is None:
            expected = "unknown_hold"
        elif known.state == "captured":
            expected = "already_captured" if amount == known.captured else "conflict"
        elif known.state == "released":
            expected = "already_released"
        elif amount > known.amount:
            expected = "bad_amount"
        else:
            expected = "captured"
            self._settle(known, amount)
        assert self.runner.run(capture(self.region, hold, amount)) == expected

    @rule(hold=holds, rest=st.integers(0, 1))
    def capture_most(self, hold: UUID, rest: int) -> None:
        """Takes all of a hold, or all but one."""
        self.capture(hold, self.known[hold].amount - rest)

    @rule(hold=holds)
    def release(self, hold: UUID) -> None:
        """Returns held money."""
        known = self.known.get(hold)
        if known is None:
            expected = "unknown_hold"
        elif known.state == "held":
            expected = "released"
            self._settle(known, 0)
        else:
            expected = f"already_{known.state}"
        assert self.runner.run(release(self.region, hold)) == expected

    @rule(hold=holds)
    def expire(self, hold: UUID) -> None:
        """Time passes for one hold."""
        if hold in self.known:
            self.known[hold].overdue = True
            self.runner.run(overdue(self.region, hold))

    @rule(hold=holds)
    def reconcile(self, hold: UUID) -> None:
        """The reconciler looks at a hold."""
        known = self.known.get(hold)
        if known is None or known.state != "held":
            expected = "settled"
        elif not known.overdue:
            expected = "not_due"
        else:
            expected = "released"
            self._settle(known, 0)
        word = self.runner.run(upkeep_store.reconcile_hold(self.region.databases.worker, hold, GRACE, STUCK))
        assert word == expected

    @invariant()
    def balances_agree(self) -> None:
        """Posted, held, open holds and the length of the chain are the model's; each hold's state is, too."""
        rows = self.runner.run(
            self.watcher.fetch(
                "select id, posted, held, open_holds, version from ledger.account where id = any ($1::uuid[])",
                self.accounts,
            )
        )
        found = {row["id"]: tuple(row)[1:] for row in rows}
        assert found == {
            account: (purse.posted, purse.held, purse.open_holds, purse.version)
            for account, purse in self.purses.items()
        }
        states = self.runner.run(
            self.watcher.fetch(
                "select id, account_id, amount, state::text, captured from ledger.hold where account_id = any ($1::uuid[])",
                self.accounts,
            )
        )
        assert {row["id"]: tuple(row)[1:] for row in states} == {
            id_: (hold.account, hold.amount, hold.state, hold.captured) for id_, hold in self.known.items()
        }

    def teardown(self) -> None:
        """Both audits of the whole database find nothing."""
        assert self.runner.run(self.region.audit()) == []
        assert self.runner.run(broken_chains(self.watcher)) == []

    def _reserve(self, account: UUID, hold: UUID, amount: int, fingerprint: bytes) -> str:
        purse, known = self.purses[account], self.known.get(hold)
        if not 1 <= amount <= MOST:
            expected = "bad_amount"
        elif known is not None:
            same = (known.account, known.amount, known.fingerprint) == (account, amount, fingerprint)
            expected = f"already_{known.state}" if same else "conflict"
        elif purse.open_holds >= purse.limit:
            expected = "concurrency_limit"
        elif purse.posted - purse.held < amount:
            expected = "insufficient"
        else:
            expected = "held"
            self.known[hold] = Hold(account, amount, fingerprint)
            purse.held += amount
            purse.open_holds += 1
            purse.version += 1
        word = self.runner.run(reserve(self.region, account, hold, amount, fingerprint))
        assert word == expected
        return word

    def _settle(self, hold: Hold, amount: int) -> None:
        purse = self.purses[hold.account]
        hold.state, hold.captured = ("captured", amount) if amount else ("released", 0)
        purse.posted -= amount
        purse.held -= hold.amount
        purse.open_holds -= 1
        purse.version += 1


def test_the_ledger_says_and_does_what_the_model_says_and_does(database: TestDatabase) -> None:
    with asyncio.Runner() as runner:

        async def connect() -> tuple[TestRegion, asyncpg.Connection]:
            region = open_region(database)
            return region, await region.connect()

        region, watcher = runner.run(connect())

        class Machine(LedgerMachine):
            pass

        Machine.runner, Machine.region, Machine.watcher = runner, region, watcher
        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=30,
                    stateful_step_count=40,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(watcher.close())
            runner.run(region.close())
