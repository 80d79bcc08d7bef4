"""What is remembered of keys, and when it may be used."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from kit.clock import FixedClock
from kit.ids import uuid7
from server.keys import store
from server.keys.states import STATE_SECONDS, KeyStates
from server.keys.store import KeyState
from server.keys.watch import TRUST_SECONDS, KeyWatch

START = datetime(2026, 1, 1, tzinfo=UTC)
URL = "postgresql://nobody@127.0.0.1:1/none"


class Database:
    """What find_key would read; each read waits until it is let go."""

    def __init__(self) -> None:
        self.reads: list[tuple[KeyState | None, asyncio.Event]] = []
        self.now: KeyState | None = None
        self.waits = False

    async def find_key(self, engine: object, public_id: str) -> KeyState | None:
        seen, gate = self.now, asyncio.Event()
        self.reads.append((seen, gate))
        if self.waits:
            await gate.wait()
        return seen


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    # A read that is overtaken by a change cannot be had from a real database on purpose.
    made = Database()
    monkeypatch.setattr(store, "find_key", made.find_key)
    return made


def state(account: UUID | None = None, *, revoked: bool = False) -> KeyState:
    return KeyState(
        id=uuid7(),
        account_id=account or uuid7(),
        hash="h",
        scopes=frozenset(),
        allowlist=(),
        expires_at=None,
        revoked_at=START if revoked else None,
        rotated_at=None,
        plan="free",
        restricted=False,
        requests_per_minute=None,
    )


def states(clock: FixedClock | None = None) -> KeyStates:
    return KeyStates(None, clock or FixedClock(START), lambda: 0.0)  # type: ignore[arg-type]


async def test_a_state_is_read_once_while_it_may_be_remembered_and_each_time_otherwise(
    database: Database,
) -> None:
    clock = FixedClock(START)
    cache = states(clock)
    for _ in range(3):
        await cache.get("a", may_remember=True)
    assert len(database.reads) == 1
    for _ in range(3):
        await cache.get("a", may_remember=False)
    assert len(database.reads) == 4
    clock.at += timedelta(seconds=STATE_SECONDS)
    await cache.get("a", may_remember=True)
    assert len(database.reads) == 5


@pytest.mark.parametrize("how", ["key", "account", "all"])
async def test_a_read_that_a_change_overtook_is_neither_remembered_nor_joined(
    database: Database, how: str
) -> None:
    account = uuid7()
    cache = states()
    database.now, database.waits = state(account), True
    before = asyncio.create_task(cache.get("a", may_remember=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    database.now = state(account, revoked=True)
    {
        "key": lambda: cache.forget("a"),
        "account": lambda: cache.forget_account(account),
        "all": cache.forget_all,
    }[how]()
    after = asyncio.create_task(cache.get("a", may_remember=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _, gate in reversed(database.reads):
        gate.set()
    assert (await before) is database.reads[0][0]
    assert (await after) is database.now
    database.waits = False
    assert (await cache.get("a", may_remember=True)) is database.now
    assert len(database.reads) == 2


async def test_an_accounts_keys_are_forgotten_together_and_others_stay(database: Database) -> None:
    cache = states()
    account = uuid7()
    database.now = state(account)
    await cache.get("a", may_remember=True)
    await cache.get("b", may_remember=True)
    database.now = state()
    await cache.get("c", may_remember=True)
    cache.forget_account(account)
    for public_id in ("a", "b", "c"):
        await cache.get(public_id, may_remember=True)
    assert len(database.reads) == 5


class Memory:
    """What was forgotten."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def forget(self, public_id: str) -> None:
        self.forgotten.append(public_id)

    def forget_account(self, account_id: UUID) -> None:
        self.forgotten.append(str(account_id))

    def forget_all(self) -> None:
        self.forgotten.append("all")


async def test_what_is_remembered_may_be_used_only_for_a_while_after_a_look_at_the_counter() -> None:
    now = 100.0
    watch = KeyWatch(URL, Memory(), lambda: now)
    assert not watch.is_current()
    watch._confirmed_at = now
    now += TRUST_SECONDS - 0.001
    assert watch.is_current()
    now += 0.001
    assert not watch.is_current()
    watch._confirmed_at = now
    watch._lost(None)
    assert not watch.is_current()


async def test_what_was_heard_of_needs_no_look_at_the_others_and_a_gap_does() -> None:
    memory = Memory()
    watch = KeyWatch(URL, memory)
    account = uuid7()
    watch._learn(5)
    watch._heard(None, 0, "", "6 key:abc")
    watch._heard(None, 0, "", f"7 account:{account}")
    watch._learn(7)
    assert memory.forgotten == ["all", "abc", str(account)]
    watch._heard(None, 0, "", "9 key:xyz")
    watch._learn(9)
    assert memory.forgotten[3:] == ["xyz", "all"]
    watch._learn(9)
    watch._heard(None, 0, "", "9 key:late")
    watch._learn(9)
    assert memory.forgotten[5:] == ["late"]
    # A database that was set back to a backup counts lower.
    watch._learn(4)
    assert memory.forgotten[6:] == ["all"]
