"""What a person wants: the inbox, preferences, consent, and addresses that are left alone."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.errors import BabySeaError
from kit.ids import uuid7
from server.notifications.bounces import clear_suppression, record_bounce
from server.notifications.inbox import list_inbox, mark_read
from server.notifications.posting import notify
from server.notifications.preferences import Preference, get_preferences, update_preferences
from server.runtime.database import person_transaction
from server.runtime.paging import Page
from tests.integration.notifications.post_office import Post, PostOffice

FIRST = Page(2, 0, ())


async def test_an_inbox_is_read_page_by_page_and_marked(post: Post) -> None:
    app = post.region.databases.app
    person = await post.person("inbox@example.org")
    for number in range(5):
        await post.tell(person, f"fact:{number}", data={"number": number})
    await post.tell(person, "fact:4", data={"number": 99})
    page, numbers = FIRST, []
    while True:
        found = await list_inbox(app, person, page, unread_only=False)
        assert (found.total, found.unread) == (5, 5)
        numbers += [notice.data["number"] for notice in found.notices]
        if not found.next_token:
            break
        from babysea.common.v1.paging_pb2 import PageRequest
        from server.runtime.paging import page_of

        page = page_of(PageRequest(page_size=2, page_token=found.next_token), key_parts=2)
    assert numbers == [4, 3, 2, 1, 0]
    newest = (await list_inbox(app, person, FIRST, unread_only=False)).notices[0].id
    assert await mark_read(app, person, [newest], everything=False) == (1, 4)
    assert await mark_read(app, person, [newest], everything=False) == (0, 4)
    assert (await list_inbox(app, person, FIRST, unread_only=True)).total == 4
    assert await mark_read(app, person, [], everything=True) == (4, 0)


async def test_an_inbox_is_its_persons_alone(post: Post) -> None:
    app = post.region.databases.app
    mine, other = await post.person("mine@example.org"), await post.person("other@example.org")
    await post.tell(other, "secret")
    theirs = (await list_inbox(app, other, FIRST, unread_only=False)).notices[0].id
    assert await mark_read(app, mine, [theirs], everything=False) == (0, 0)
    assert (await list_inbox(app, other, FIRST, unread_only=False)).unread == 1
    async with person_transaction(app, mine) as connection:
        for table in ("inbox", "preference"):
            seen = await connection.scalar(text(f"select count(*) from notifications.{table}"))
            assert seen == 0, table
    async with app.begin() as connection:
        assert await connection.scalar(text("select count(*) from notifications.inbox")) == 0


async def test_the_inbox_takes_ids_words_and_numbers_only(post: Post) -> None:
    person = await post.person("words@example.org")
    for value in ("Ada Lovelace", "ada@example.org", "x" * 81):
        with pytest.raises(ValueError, match="neither an id nor a word"):
            await post.tell(person, "words", data={"name": value})
    with pytest.raises(ValueError, match="no category"):
        await post.tell(person, "words", category="gossip")


async def test_what_was_never_decided_is_on_and_security_stays_on(post: Post) -> None:
    app = post.region.databases.app
    person = await post.person("prefers@example.org")
    assert all(each.enabled for each in await get_preferences(app, person))
    changed = await update_preferences(app, person, [Preference("team", "email", False)])
    assert [(each.category, each.channel) for each in changed if not each.enabled] == [("team", "email")]
    assert await get_preferences(app, await post.person("else@example.org")) != changed
    with pytest.raises(BabySeaError, match="security cannot be turned off"):
        await update_preferences(app, person, [Preference("security", "email", False)])


async def test_a_category_that_was_turned_off_is_silent_and_security_is_not(
    post: Post, office: PostOffice
) -> None:
    app = post.region.databases.app
    person = await post.person("silent@example.org")
    await update_preferences(
        app,
        person,
        [Preference("team", "email", False), Preference("team", "in_app", False)],
    )
    role = await post.write(
        "team.role_changed", f"role:{person}", {"team": "Sea", "role": "owner"}, person_id=person
    )
    # Of the same category, but of the kind that is always sent.
    moved = await post.write(
        "team.ownership_transferred", f"moved:{person}", {"team": "Sea", "owner": "Bo"}, person_id=person
    )
    await post.tell(person, "role")
    await post.sender(office).work()
    assert (await post.row(role))["last_error_kind"] == "unwanted"
    assert (await post.row(moved))["state"] == "sent"
    assert (await list_inbox(app, person, FIRST, unread_only=False)).total == 0


async def test_nothing_optional_is_sent_without_consent(post: Post, office: PostOffice) -> None:
    person = await post.person("consent@example.org")
    asked: list[tuple[UUID, str]] = []

    async def consented(connection: AsyncConnection, person_id: UUID, purpose: str) -> bool:
        asked.append((person_id, purpose))
        return len(asked) > 1

    states = []
    for number in range(2):
        letter = await post.write(
            "credits.welcome",
            f"news:{number}",
            {"amount": "1.000"},
            person_id=person,
            optional="product_news",
        )
        await post.sender(office, consented=consented).work()
        states.append((await post.row(letter))["state"])
    assert states == ["dropped", "sent"]
    assert asked == [(person, "product_news")] * 2
    assert office.received[0][1]["List-Unsubscribe"] == "<https://us.pages.example/notifications>"
    # Without a record of consents nobody has consented.
    letter = await post.write(
        "credits.welcome", "news:3", {"amount": "1.000"}, person_id=person, optional="product_news"
    )
    await post.sender(office).work()
    assert (await post.row(letter))["last_error_kind"] == "no_consent"


@pytest.mark.parametrize(
    ("reason", "security", "other"),
    [
        ("bounce", "suppressed", "suppressed"),
        ("complaint", "sent", "suppressed"),
        ("manual", "suppressed", "suppressed"),
    ],
)
async def test_a_reported_address_gets_what_its_report_leaves_it(
    post: Post, office: PostOffice, reason: str, security: str, other: str
) -> None:
    from datetime import UTC, datetime

    person = await post.person(f"{reason}@example.org")
    worker = post.region.databases.worker
    email_hash = post.region.envelope.keyed_hash("person.email", f"{reason}@example.org".encode())
    await record_bounce(worker, email_hash, reason, datetime.now(UTC))
    letters = [
        await post.write("auth.mfa_enabled", f"{reason}:1", {}, person_id=person),
        await post.write("credits.welcome", f"{reason}:2", {"amount": "1.000"}, person_id=person),
    ]
    await post.sender(office).work()
    assert [(await post.row(letter))["state"] for letter in letters] == [security, other]
    assert await clear_suppression(worker, email_hash)
    assert not await clear_suppression(worker, email_hash)
    letter = await post.write("auth.mfa_enabled", f"{reason}:3", {}, person_id=person)
    await post.sender(office).work()
    assert (await post.row(letter))["state"] == "sent"


async def test_a_lasting_suppression_is_not_shortened_by_a_bounce(post: Post) -> None:
    from datetime import UTC, datetime

    worker, email_hash = post.region.databases.worker, uuid7().bytes
    for reason, stands in (("complaint", "complaint"), ("bounce", "complaint"), ("manual", "manual")):
        await record_bounce(worker, email_hash, reason, datetime.now(UTC))
        found = await post.execute(
            "select reason from notifications.suppression where email_hash = $1", email_hash
        )
        assert found == stands


async def test_a_notice_needs_somebody(post: Post) -> None:
    async with post.region.databases.app.begin() as connection:
        await notify(
            connection, account_id=None, person_ids=[], category="team", kind="k", event_key="e", data={}
        )
    assert await post.execute("select count(*) from notifications.inbox where event_key = 'e'") == 0
