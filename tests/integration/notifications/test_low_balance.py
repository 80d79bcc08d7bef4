"""Low-balance alerts: one per crossing, armed again by money, told by the channels that the account has chosen."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from kit.ids import uuid7
from server.notifications.low_balance import LowBalance, in_credits
from tests.integration.notifications.post_office import Post, PostOffice, bodies

HALF = 500_000


@pytest.fixture
async def alerts(post: Post) -> Alerts:
    """Alerts of the region, with nothing seen yet."""
    await post.execute("delete from notifications.alert_look")
    return Alerts(post)


class Alerts:
    """Accounts with owners and thresholds."""

    def __init__(self, post: Post) -> None:
        self.post = post

    def looker(self, every: timedelta = timedelta(hours=1), batch: int = 50) -> LowBalance:
        """Looks when it is told to."""
        region = self.post.region
        return LowBalance(region.databases.worker, region.envelope, every=every, batch=batch)

    async def account(
        self, owner: UUID, *thresholds: int, credit: int = 1_000_000, channels: str = "true, true, false"
    ) -> UUID:
        """An account of a person with exactly these thresholds."""
        account_id = await self.post.region.new_account(credit=credit)
        await self.post.execute(
            "insert into accounts.membership (account_id, person_id, role) values ($1, $2, 'owner')",
            account_id,
            owner,
        )
        await self.post.execute(
            "update accounts.account set primary_owner = $2 where id = $1", account_id, owner
        )
        await self.post.execute("delete from accounts.alert_threshold where account_id = $1", account_id)
        for threshold in thresholds:
            await self.post.execute(
                "insert into accounts.alert_threshold (account_id, threshold_micros, armed, crossing)"
                " values ($1, $2, true, 0)",
                account_id,
                threshold,
            )
        await self.post.execute("delete from accounts.alert_channels where account_id = $1", account_id)
        await self.post.execute(
            f"insert into accounts.alert_channels (account_id, in_app, email, webhook) values ($1, {channels})",
            account_id,
        )
        return account_id

    async def hold(self, account_id: UUID, amount: int) -> UUID:
        """Sets money aside, as the ledger does for another service of ours; it writes no event."""
        hold_id = uuid7()
        word = await self.post.execute(
            "select ledger.reserve($1, $2, $3, now() + interval '1 hour', '')", account_id, hold_id, amount
        )
        assert word == "held"
        return hold_id

    async def event(self, account_id: UUID) -> None:
        """An event of the account, as every generation writes one."""
        await self.post.execute(
            "insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at)"
            " values ($1, $1, 0, 'test', clock_timestamp())",
            account_id,
        )

    async def spend(self, account_id: UUID, amount: int) -> None:
        """Takes money for good."""
        hold_id = await self.hold(account_id, amount)
        await self.post.execute(
            "select ledger.settle_many(array[$1::uuid], array[$2::bigint])", hold_id, amount
        )
        await self.event(account_id)

    async def grant(self, account_id: UUID, amount: int) -> None:
        """Adds money, which writes an event."""
        word = await self.post.execute(
            "select ledger.grant_credit($1, $2, $3)", account_id, amount, str(uuid7())
        )
        assert word == "granted"

    async def told(self, person: UUID) -> list[tuple[int, int]]:
        """Threshold and balance of what the person was told in the app."""
        connection = await self.post.region.connect()
        try:
            rows = await connection.fetch(
                "select (data->>'threshold_micros')::bigint, (data->>'balance_micros')::bigint"
                " from notifications.inbox where person_id = $1 order by created_at, id",
                person,
            )
            return [(row[0], row[1]) for row in rows]
        finally:
            await connection.close()

    async def letters(self, account_id: UUID) -> int:
        """Letters about an account."""
        return int(
            await self.post.execute(
                "select count(*) from notifications.letter where account_id = $1", account_id
            )
        )


async def test_a_crossing_is_told_once_and_again_only_after_money_came(
    alerts: Alerts, post: Post, office: PostOffice
) -> None:
    owner = await post.person("owner@example.org")
    account = await alerts.account(owner, HALF)
    looker = alerts.looker()
    assert await looker.work() == 0
    await alerts.spend(account, 500_000)
    assert await looker.work() == 0, "at the threshold is not below it"
    await alerts.spend(account, 1)
    for _ in range(3):
        await looker.work()
    assert await alerts.told(owner) == [(HALF, 499_999)]
    await alerts.spend(account, 1000)
    await looker.work()
    assert await alerts.letters(account) == 1
    await alerts.grant(account, 1001)
    await looker.work()
    assert len(await alerts.told(owner)) == 1
    await alerts.spend(account, 100_000)
    await looker.work()
    assert await alerts.told(owner) == [(HALF, 499_999), (HALF, 400_000)]
    await post.sender(office).work()
    assert [to for to, _ in office.received] == ["owner@example.org"] * 2
    texts = [
        bodies(message)[0] for _, message in office.received
    ]  # in any order: letters go out side by side
    for left in ("0.499", "0.400"):
        assert [f"Test has {left} credits left" in text for text in texts].count(True) == 1
    assert all("threshold of 0.500" in text for text in texts)


async def test_an_account_that_never_had_money_does_not_run_out_of_it(alerts: Alerts, post: Post) -> None:
    owner = await post.person("fresh@example.org")
    account = await alerts.account(owner, HALF, credit=0)
    for every in (timedelta(0), timedelta(hours=1)):
        await alerts.looker(every).work()
    assert await alerts.told(owner) == []
    await alerts.grant(account, 100)
    await alerts.looker().work()
    assert await alerts.told(owner) == [(HALF, 100)]


async def test_a_new_account_has_the_default_threshold_and_channels(alerts: Alerts, post: Post) -> None:
    account = await post.region.new_account(credit=1)
    found = await post.execute(
        "select array_agg(threshold_micros) from accounts.alert_threshold where account_id = $1", account
    )
    assert found == [HALF]


async def test_money_that_is_set_aside_counts_as_spent(alerts: Alerts, post: Post) -> None:
    owner = await post.person("held@example.org")
    account = await alerts.account(owner, HALF)
    looker = alerts.looker()
    await looker.work()
    await alerts.hold(account, 600_000)
    await alerts.event(account)
    await looker.work()
    assert await alerts.told(owner) == [(HALF, 400_000)]


async def test_several_thresholds_at_once_are_several_notices_and_one_letter(
    alerts: Alerts, post: Post
) -> None:
    owner = await post.person("several@example.org")
    account = await alerts.account(owner, 100_000, 300_000, HALF)
    looker = alerts.looker()
    await looker.work()
    await alerts.spend(account, 750_000)
    await looker.work()
    assert sorted(await alerts.told(owner)) == [(300_000, 250_000), (HALF, 250_000)]
    assert await alerts.letters(account) == 1


@pytest.mark.parametrize(
    ("channels", "told", "letters"), [("false, true, false", 0, 1), ("true, false, false", 1, 0)]
)
async def test_an_account_chooses_its_channels(
    alerts: Alerts, post: Post, channels: str, told: int, letters: int
) -> None:
    owner = await post.person(f"channels{told}@example.org")
    account = await alerts.account(owner, HALF, credit=1, channels=channels)
    await alerts.looker().work()
    assert (len(await alerts.told(owner)), await alerts.letters(account)) == (told, letters)


async def test_what_no_event_told_is_found_by_the_next_round(alerts: Alerts, post: Post) -> None:
    owner = await post.person("round@example.org")
    account = await alerts.account(owner, HALF)
    await alerts.looker().work()
    await alerts.hold(account, 600_000)
    await post.execute("delete from events.event")
    assert await alerts.looker().work() == 0
    assert await alerts.looker(timedelta(0)).work() == 1
    assert await alerts.told(owner) == [(HALF, 400_000)]


async def test_many_workers_tell_each_crossing_once(alerts: Alerts, post: Post) -> None:
    owner = await post.person("workers@example.org")
    accounts = [await alerts.account(owner, HALF, credit=1) for _ in range(12)]
    lookers = [alerts.looker(batch=5) for _ in range(4)]
    for _ in range(4):
        await asyncio.gather(*(looker.work() for looker in lookers))
    assert len(await alerts.told(owner)) == len(accounts)
    assert [await alerts.letters(account) for account in accounts] == [1] * len(accounts)


async def test_an_account_that_cannot_be_read_is_told_in_the_app_and_stops_no_other(
    alerts: Alerts, post: Post
) -> None:
    owner = await post.person("unreadable@example.org")
    erased, other = (
        await alerts.account(owner, HALF, credit=1),
        await alerts.account(owner, HALF, credit=2),
    )
    await post.region.envelope.destroy_data_key(erased)
    await alerts.looker().work()
    assert sorted(await alerts.told(owner)) == [(HALF, 1), (HALF, 2)]
    assert (await alerts.letters(erased), await alerts.letters(other)) == (0, 1)


def test_credits_are_never_shown_as_more_than_there_are() -> None:
    assert [in_credits(micros) for micros in (0, 999, 1000, 499_999, 1_000_000, -1)] == [
        "0.000",
        "0.000",
        "0.001",
        "0.499",
        "1.000",
        "-0.001",
    ]
