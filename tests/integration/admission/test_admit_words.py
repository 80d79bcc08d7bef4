"""Every word of admit_many, and what each leaves behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.admission.calling import (
    Ask,
    admit,
    assert_events_are_whole,
    cancel,
    event_versions,
    fact,
    words,
    written,
)
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

PAST = datetime.now(UTC) - timedelta(seconds=5)


async def api_key(superuser: asyncpg.Connection, account: UUID, **changes: datetime) -> UUID:
    """An API key of an account."""
    id_ = uuid4()
    await superuser.execute(
        "insert into keys.api_key (id, account_id, public_id, hash, name, scopes, revoked_at, expires_at)"
        " values ($1, $2, $3, 'hash', 'test', '{}', $4, $5)",
        id_,
        account,
        id_.hex[:12],
        changes.get("revoked_at"),
        changes.get("expires_at"),
    )
    return id_


async def test_a_refusal_writes_nothing_and_is_not_remembered(
    region: TestRegion, admitter: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    full = await region.new_account(credit=100, in_flight=0)
    frozen = await region.new_account(credit=100)
    await superuser.execute("update ledger.account set frozen = true where id = $1", frozen)
    revoked = await api_key(superuser, account, revoked_at=PAST)
    expired = await api_key(superuser, account, expires_at=PAST)
    foreign = await api_key(superuser, full)
    strict = await region.new_account(credit=100)
    await superuser.execute("update ledger.account set residency = 'strict' where id = $1", strict)
    accounts = (account, full, frozen, strict)
    before = [await written(region, one) for one in accounts]
    nobody = uuid4()
    refused = {
        Ask(account, 101, key=b"a"): "insufficient",
        Ask(account, 10**12, key=b"b"): "insufficient",
        Ask(account, 10**12 + 1, key=b"c"): "bad_amount",
        Ask(account, 2**63 - 1, key=b"d"): "bad_amount",
        Ask(account, -(2**63), key=b"e"): "bad_amount",
        Ask(account, 0, key=b"f"): "bad_amount",
        Ask(account, -1, key=b"g"): "bad_amount",
        Ask(account, None, key=b"h"): "bad_amount",
        Ask(account, 1, key=b"i", api_key=revoked): "key_inactive",
        Ask(account, 1, key=b"j", api_key=expired): "key_inactive",
        Ask(account, 1, key=b"k", api_key=foreign): "key_inactive",
        Ask(account, 1, key=b"l", api_key=uuid4()): "key_inactive",
        Ask(full, 1, key=b"m"): "concurrency_limit",
        Ask(frozen, 1, key=b"n"): "frozen",
        Ask(nobody, 1, key=b"o"): "no_account",
        Ask(strict, 1, key=b"p", resident=""): "residency_unsatisfiable",
        Ask(strict, 1, key=b"q", resident=None): "residency_unsatisfiable",
    }
    assert await words(admitter, *refused) == list(refused.values())
    for ask, word in refused.items():
        assert await words(admitter, ask) == [word]
    assert [await written(region, one) for one in accounts] == before
    assert set((await written(region, nobody)).values()) == {0}
    assert await words(admitter, Ask(account, 100, key=b"a")) == ["held"]
    await assert_money_is_clean(region)


async def test_a_key_replays_until_it_expires_and_is_then_taken_over(
    region: TestRegion, admitter: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    first = Ask(account, key=b"key")
    assert await words(admitter, first) == ["held"]
    assert [answer[:2] for answer in await admit(admitter, Ask(account, key=b"key"))] == [
        ("replayed", first.id)
    ]
    other = Ask(account, key=b"key", fingerprint=b"other")
    assert [answer[:2] for answer in await admit(admitter, other)] == [("key_conflict", None)]
    await superuser.execute(
        "update generation.claim set expires_at = $2 where account_id = $1", account, PAST
    )
    assert [answer[:2] for answer in await admit(admitter, other)] == [("held", other.id)]
    replay = Ask(account, key=b"key", fingerprint=b"other")
    assert [answer[:2] for answer in await admit(admitter, replay)] == [("replayed", other.id)]
    assert (await written(region, account))["generation.claim"] == 1
    await assert_money_is_clean(region)


async def test_keys_of_two_accounts_have_nothing_to_do_with_each_other(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    one, two = await region.new_account(credit=100), await region.new_account(credit=100)
    assert await words(admitter, Ask(one, key=b"key"), Ask(two, key=b"key")) == ["held", "held"]


@pytest.mark.parametrize("key", [None, b"key"])
async def test_an_id_that_was_used_otherwise_is_a_conflict(
    region: TestRegion, admitter: asyncpg.Connection, key: bytes | None
) -> None:
    account, other = await region.new_account(credit=100), await region.new_account(credit=100)
    first = Ask(account, key=key)
    assert await words(admitter, first) == ["held"]
    before = await written(region, other)
    assert await words(admitter, Ask(other, id=first.id)) == ["conflict"]
    assert await words(admitter, Ask(account, id=first.id, fingerprint=b"other")) == ["conflict"]
    assert await words(admitter, Ask(other, id=first.id), Ask(other, 5, key=b"fine")) == ["conflict", "held"]
    assert (await written(region, other))["ledger.hold"] == before["ledger.hold"] + 1
    await assert_money_is_clean(region)


async def test_a_retried_id_is_answered_from_its_record_though_price_and_money_changed(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=5)
    ask = Ask(account, 5, key=b"key")
    assert await words(admitter, ask) == ["held"]
    dearer = Ask(account, 500, id=ask.id, key=b"key")
    assert await words(admitter, ask, dearer) == ["already_held", "already_held"]
    assert await words(admitter, dearer) == ["already_held"]
    await cancel(admitter, (account, ask.id))
    assert await words(admitter, ask) == ["already_released"]
    assert await words(admitter, Ask(account, 5, key=b"key")) == ["replayed"]


async def test_a_revoked_key_still_hears_what_was_admitted_before(
    region: TestRegion, admitter: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    key = await api_key(superuser, account)
    ask = Ask(account, api_key=key, key=b"key")
    assert await words(admitter, ask) == ["held"]
    await superuser.execute("update keys.api_key set revoked_at = now() where id = $1", key)
    assert await words(admitter, ask) == ["already_held"]
    assert await words(admitter, Ask(account, api_key=key)) == ["key_inactive"]


async def test_copies_in_one_batch_follow_the_first_of_their_kind(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=5)
    first = Ask(account, key=b"key")
    same = Ask(account, id=first.id, key=b"key")
    other = Ask(account, key=b"key", fingerprint=b"other")
    answers = await admit(admitter, first, Ask(account, key=b"key"), same, other)
    assert [answer[:2] for answer in answers] == [
        ("held", first.id),
        ("replayed", first.id),
        ("replayed", first.id),
        ("key_conflict", None),
    ]
    bare = Ask(account)
    assert await words(admitter, bare, bare) == ["insufficient", "insufficient"]
    await assert_money_is_clean(region)


async def test_an_active_key_is_not_refused_because_a_revoked_one_sent_the_same_request(
    region: TestRegion, admitter: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    revoked = await api_key(superuser, account, revoked_at=PAST)
    active = await api_key(superuser, account)
    asks = (Ask(account, key=b"key", api_key=revoked), Ask(account, key=b"key", api_key=active))
    assert await words(admitter, *asks) == ["key_inactive", "held"]


async def test_a_refused_request_does_not_keep_its_idempotency_key_from_the_next_in_its_batch(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    asks = (Ask(account, 101, key=b"key"), Ask(account, 1, key=b"key", fingerprint=b"other"))
    assert await words(admitter, *asks) == ["insufficient", "held"]


async def test_an_id_that_is_used_otherwise_in_its_own_batch_is_a_conflict(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    first = Ask(account)
    assert await words(admitter, first, Ask(account, id=first.id, fingerprint=b"other")) == [
        "held",
        "conflict",
    ]


async def test_one_id_under_two_keys_in_a_batch_moves_nothing(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    first = Ask(account, key=b"one")
    before = await written(region, account)
    with pytest.raises(asyncpg.UniqueViolationError):
        await words(admitter, first, Ask(account, id=first.id, key=b"two"))
    assert await written(region, account) == before
    await assert_money_is_clean(region)


async def test_a_batch_goes_to_the_last_micro_dollar_in_order_of_arrival(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=10)
    answers = await admit(admitter, *(Ask(account, amount) for amount in (6, 5, 3, 2, 1, 1)))
    assert [(word, available) for word, _, available in answers] == [
        ("held", 4),
        ("insufficient", 4),
        ("held", 1),
        ("insufficient", 1),
        ("held", 0),
        ("insufficient", 0),
    ]
    await assert_money_is_clean(region)


async def test_a_credit_line_is_spent_to_its_end_and_no_further(
    region: TestRegion, admitter: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=10)
    await superuser.execute("update ledger.account set credit_line = 5 where id = $1", account)
    assert await words(admitter, Ask(account, 15), Ask(account, 1)) == ["held", "insufficient"]
    await assert_money_is_clean(region)


@pytest.mark.parametrize("missing", ["account", "id", "fingerprint"])
async def test_a_null_where_none_may_be_is_refused(
    region: TestRegion, admitter: asyncpg.Connection, missing: str
) -> None:
    account = await region.new_account(credit=10)
    values: dict[str, object] = {"account": account, "id": uuid4(), "fingerprint": b"f", missing: None}
    with pytest.raises(asyncpg.RaiseError, match="without nulls"):
        await words(admitter, Ask(**values))  # type: ignore[arg-type]
    assert await words(admitter) == []


async def test_an_admission_is_one_row_everywhere_and_its_job_is_due(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=10)
    ask = Ask(account, 7, key=b"key")
    assert await admit(admitter, ask) == [("held", ask.id, 3)]
    assert await written(region, account) == {
        "ledger.hold": 1,
        "ledger.transfer": 2,
        "generation.claim": 1,
        "generation.generation": 1,
        "events.event": 2,
        "events.outbox": 2,
        "runtime.job": 1,
    }
    assert await fact(
        region, "select run_after <= now() and worker is null from runtime.job where id = $1", ask.id
    )
    assert await fact(region, "select state from generation.generation where id = $1", ask.id) == "pending"


async def test_a_large_batch_over_many_accounts_is_decided_item_by_item(
    region: TestRegion, admitter: asyncpg.Connection
) -> None:
    accounts = [await region.new_account(credit=25) for _ in range(20)]
    asks = [Ask(account) for _ in range(10) for account in accounts]
    answers = await words(admitter, *asks)
    assert answers == ["held"] * 100 + ["insufficient"] * 100
    await assert_money_is_clean(region)


async def test_a_strict_account_keeps_what_conforms_of_each_order_and_an_event_names_the_rest(
    region: TestRegion, admitter: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    strict, free = await region.new_account(credit=100), await region.new_account(credit=100)
    await superuser.execute("update ledger.account set residency = 'strict' where id = $1", strict)
    asks = [
        Ask(strict, resident="fal"),
        Ask(free, resident="fal"),
        Ask(strict, resident=""),
        Ask(strict, resident="replicate,fal"),
        Ask(free, resident=None),
    ]
    words_ = ["held", "held", "residency_unsatisfiable", "held", "held"]
    assert await words(admitter, *asks) == words_
    seen = []
    for ask in asks:
        order = await fact(region, "select provider_order from generation.generation where id = $1", ask.id)
        seen.append((order, await event_versions(region, ask.id)))
    accepted = (1, "generation.accepted")
    both = ["replicate", "fal"]
    assert seen == [
        (["fal"], [accepted, (2, "provider.excluded")]),
        (both, [accepted]),
        (None, []),
        (both, [accepted]),
        (both, [accepted]),
    ]
    query = "select provider from events.event where aggregate_id = $1 and type = 'provider.excluded'"
    assert await fact(region, query, asks[0].id) == "replicate"
    await assert_events_are_whole(region)
    await assert_money_is_clean(region)


async def test_an_admission_that_waits_for_a_change_to_strict_follows_it(
    region: TestRegion, admitter: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    account = await region.new_account(credit=100)
    change = superuser.transaction()
    await change.start()
    await superuser.execute("update ledger.account set residency = 'strict' where id = $1", account)
    waiting = asyncio.create_task(words(admitter, Ask(account, resident=""), Ask(account, resident="fal")))
    watcher = await region.connect()
    try:
        query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%admit_many%'"
        async with asyncio.timeout(5):
            while not await watcher.fetchval(query):
                await asyncio.sleep(0.01)
    finally:
        await watcher.close()
    await change.commit()
    assert await waiting == ["residency_unsatisfiable", "held"]
    order = "select array_agg(provider_order) from generation.generation where account_id = $1"
    assert await fact(region, order, account) == [["fal"]]
