"""Every word of reserve, capture, release and grant, and what the balance says after it."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg
import pytest

from babysea.common.v1 import error_reason_pb2
from babysea.common.v1.paging_pb2 import PageRequest
from kit.errors import BabySeaError
from server.ledger import reading
from server.runtime.paging import Page, page_of
from tests.integration.ledger.verbs import capture, grant, money, release, reserve
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

DOLLAR = 1_000_000


async def test_the_life_of_ten_dollars(region: TestRegion) -> None:
    account, first, second = await region.new_account(), uuid4(), uuid4()
    assert await grant(region, account, 10 * DOLLAR, "invoice:1") == "granted"
    assert await grant(region, account, 10 * DOLLAR, "invoice:1") == "already_granted"
    assert await money(region, account) == (10 * DOLLAR, 0, 10 * DOLLAR)
    assert await reserve(region, account, first, 3 * DOLLAR) == "held"
    assert await reserve(region, account, first, 3 * DOLLAR) == "already_held"
    assert await money(region, account) == (10 * DOLLAR, 3 * DOLLAR, 7 * DOLLAR)
    assert await reserve(region, account, uuid4(), 100 * DOLLAR) == "insufficient"
    assert await capture(region, first, 3 * DOLLAR) == "captured"
    assert await capture(region, first, 3 * DOLLAR) == "already_captured"
    assert await release(region, first) == "already_captured"
    assert await money(region, account) == (7 * DOLLAR, 0, 7 * DOLLAR)
    assert await reserve(region, account, second, 2 * DOLLAR) == "held"
    assert await release(region, second) == "released"
    assert await release(region, second) == "already_released"
    assert await capture(region, second, 2 * DOLLAR) == "already_released"
    assert await money(region, account) == (7 * DOLLAR, 0, 7 * DOLLAR)
    assert await reserve(region, account, uuid4(), 7 * DOLLAR + 1) == "insufficient"
    assert await reserve(region, account, uuid4(), 7 * DOLLAR) == "held"
    assert await reserve(region, account, uuid4(), 1) == "insufficient"
    assert await reserve(region, account, first, 3 * DOLLAR) == "already_captured"
    assert await reserve(region, account, second, 2 * DOLLAR) == "already_released"
    await assert_money_is_clean(region)


async def test_the_journal_tells_the_whole_story_newest_first(region: TestRegion) -> None:
    account, hold = await region.new_account(credit=100), uuid4()
    await reserve(region, account, hold, 60)
    await capture(region, hold, 25)
    rows, total, token = await reading.entries(
        region.databases.app, account, None, Page(size=10, offset=0, after=())
    )
    assert (total, token) == (3, "")
    assert [(row.version, row.kind, row.amount, row.posted_delta, row.held_delta) for row in rows] == [
        (3, "c", 25, -25, -60),
        (2, "h", 60, 0, 60),
        (1, "g", 100, 100, 0),
    ]
    assert [(row.posted_after, row.held_after) for row in rows] == [(75, 0), (100, 60), (100, 0)]


async def test_pages_of_the_journal_meet_without_gap_or_overlap(region: TestRegion) -> None:
    account = await region.new_account(credit=100)
    for _ in range(6):
        assert await reserve(region, account, uuid4(), 1) == "held"
    versions: list[int] = []
    page = Page(size=3, offset=0, after=())
    while True:
        rows, total, token = await reading.entries(region.databases.app, account, None, page)
        versions += [row.version for row in rows]
        assert total == 7
        if not token:
            break
        page = page_of(PageRequest(page_size=3, page_token=token), key_parts=1)
    assert versions == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("key", ["", "x", "-1", "²", "9" * 30, "1.5"])
async def test_a_page_token_that_the_journal_never_gave_is_refused(
    region: TestRegion, account: UUID, key: str
) -> None:
    with pytest.raises(BabySeaError) as caught:
        await reading.entries(region.databases.app, account, None, Page(size=3, offset=0, after=(key,)))
    assert caught.value.reason == error_reason_pb2.ERROR_REASON_INVALID_INPUT


@pytest.mark.parametrize("amount", [0, -5, 10**12 + 1, 2**63 - 1])
async def test_an_amount_out_of_bounds_is_refused_everywhere(
    region: TestRegion, account: UUID, amount: int
) -> None:
    before = await money(region, account)
    assert await grant(region, account, amount, f"bad {amount}") == "bad_amount"
    assert await reserve(region, account, uuid4(), amount) == "bad_amount"
    assert await money(region, account) == before


async def test_a_partial_capture_returns_the_rest_and_never_takes_more_than_was_held(
    region: TestRegion, account: UUID
) -> None:
    hold = uuid4()
    assert await reserve(region, account, hold, 100) == "held"
    for wrong in (101, -1, 2**62):
        assert await capture(region, hold, wrong) == "bad_amount"
    assert await capture(region, hold, 40) == "captured"
    assert await money(region, account) == (9_999_960, 0, 9_999_960)
    assert await capture(region, hold, 41) == "conflict"
    assert await capture(region, hold, 40) == "already_captured"
    await assert_money_is_clean(region)


async def test_a_capture_of_nothing_is_refused_and_does_not_release(
    region: TestRegion, account: UUID
) -> None:
    hold = uuid4()
    assert await reserve(region, account, hold, 100) == "held"
    assert await capture(region, hold, 0) == "bad_amount"
    assert (await money(region, account))[1] == 100


async def test_an_unknown_hold_is_unknown_and_moves_nothing(region: TestRegion, account: UUID) -> None:
    before = await money(region, account)
    assert await capture(region, uuid4(), 3) == "unknown_hold"
    assert await release(region, uuid4()) == "unknown_hold"
    assert await money(region, account) == before


async def test_a_hold_with_another_amount_fingerprint_or_account_is_a_conflict(
    region: TestRegion, account: UUID
) -> None:
    other, hold = await region.new_account(credit=100), uuid4()
    assert await reserve(region, account, hold, 10) == "held"
    assert await reserve(region, account, hold, 11) == "conflict"
    assert await reserve(region, account, hold, 10, b"another request") == "conflict"
    assert await reserve(region, other, hold, 10) == "conflict"
    assert await money(region, other) == (100, 0, 100)
    await assert_money_is_clean(region)


async def test_a_frozen_account_may_neither_reserve_nor_lose_what_it_has(
    region: TestRegion, account: UUID, superuser: asyncpg.Connection
) -> None:
    hold = uuid4()
    assert await reserve(region, account, hold, 10) == "held"
    await superuser.execute("update ledger.account set frozen = true where id = $1", account)
    assert await reserve(region, account, uuid4(), 10) == "frozen"
    assert await reserve(region, account, hold, 10) == "already_held"
    assert await capture(region, hold, 10) == "captured"


async def test_an_account_that_does_not_exist_has_no_money_and_no_journal(region: TestRegion) -> None:
    nobody = uuid4()
    assert await reserve(region, nobody, uuid4(), 10) == "no_account"
    assert await grant(region, nobody, 10, "gift") == "no_account"
    with pytest.raises(BabySeaError) as caught:
        await reading.balance(region.databases.app, nobody)
    assert caught.value.reason == error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND


async def test_the_limit_of_holds_in_flight_is_exact_and_comes_back_with_each_end(region: TestRegion) -> None:
    account, holds = await region.new_account(credit=100, in_flight=2), [uuid4() for _ in range(3)]
    assert [await reserve(region, account, hold, 1) for hold in holds] == [
        "held",
        "held",
        "concurrency_limit",
    ]
    assert await release(region, holds[0]) == "released"
    assert await reserve(region, account, holds[2], 1) == "held"


async def test_a_grant_without_a_key_is_refused(
    region: TestRegion, superuser: asyncpg.Connection, account: UUID
) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await superuser.fetchval("select ledger.grant_credit($1, 5, null)", account)


async def test_keys_of_grants_belong_to_their_account(region: TestRegion) -> None:
    one, two = await region.new_account(), await region.new_account()
    assert await grant(region, one, 5, "gift") == "granted"
    assert await grant(region, two, 7, "gift") == "granted"
    assert await grant(region, one, 7, "gift") == "conflict"
    assert (await money(region, one), await money(region, two)) == ((5, 0, 5), (7, 0, 7))
    await assert_money_is_clean(region)


async def test_settle_many_answers_every_word_and_moves_only_what_it_may(
    region: TestRegion, superuser: asyncpg.Connection, account: UUID
) -> None:
    other = await region.new_account(credit=100)
    captured, released, partly, twice, bad, done = (uuid4() for _ in range(6))
    elsewhere, unknown = uuid4(), uuid4()
    for hold in (captured, released, partly, twice, bad, done):
        assert await reserve(region, account, hold, 10) == "held"
    assert await reserve(region, other, elsewhere, 10) == "held"
    assert await release(region, done) == "released"
    holds = [captured, released, partly, twice, twice, bad, done, elsewhere, unknown, None]
    amounts = [10, 0, 4, 10, 0, 11, 10, 10, 10, 10]
    rows = await superuser.fetch(
        "select hold_id, word from ledger.settle_many($1::uuid[], $2::bigint[])", holds, amounts
    )
    answers = sorted((str(row["hold_id"]), row["word"]) for row in rows)
    assert answers == sorted(
        [
            (str(captured), "captured"),
            (str(released), "released"),
            (str(partly), "captured"),
            (str(twice), "captured"),
            (str(twice), "duplicate"),
            (str(bad), "bad_amount"),
            (str(done), "already_released"),
            (str(elsewhere), "captured"),
            (str(unknown), "unknown_hold"),
            ("None", "unknown_hold"),
        ]
    )
    assert await money(region, account) == (10 * DOLLAR - 24, 10, 10 * DOLLAR - 34)
    assert await money(region, other) == (90, 0, 90)
    await assert_money_is_clean(region)


@pytest.mark.parametrize("amount", [None, -1, -(2**63), 2**63 - 1, 11])
async def test_a_settlement_with_a_bad_amount_leaves_the_hold_open(
    region: TestRegion, superuser: asyncpg.Connection, account: UUID, amount: int | None
) -> None:
    hold = uuid4()
    assert await reserve(region, account, hold, 10) == "held"
    settle = "select word from ledger.settle_many($1::uuid[], $2::bigint[])"
    assert await superuser.fetchval(settle, [hold], [amount]) == "bad_amount"
    assert await superuser.fetchval(settle, [hold], []) == "bad_amount"
    assert await superuser.fetch(settle, [], []) == []
    assert await capture(region, hold, 10) == "captured"
    await assert_money_is_clean(region)
