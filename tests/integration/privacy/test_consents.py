"""Consents: nothing optional without a yes, the newest choice counts, and no choice ever changes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import grpc
import pytest

from babysea.privacy.v1 import consent_service_pb2 as pb
from babysea.privacy.v1.consents_pb2 import Choice, Consent
from kit.errors import BabySeaError
from kit.ids import random_base62, uuid7
from kit.rpc import error_of
from server.privacy.consents import consented
from server.privacy.recording import check_sign_up, current_versions, record_at_sign_up
from server.privacy.texts import FOLDER, purposes
from server.runtime.database import person_transaction, system_transaction
from tests.integration.privacy.conftest import Person, Privacy

VERSION = "2026-11-01"
OPTIONAL = ("cookies_analytics", "product_analytics", "marketing_email")


def choice(purpose: str, granted: bool = True, **changes: str) -> Choice:
    """A choice about the version that holds."""
    return Choice(**{"purpose": purpose, "version": VERSION, "granted": granted, **changes})  # type: ignore[arg-type]


async def choose(privacy: Privacy, person: Person, *choices: Choice) -> dict[str, Consent]:
    """Records choices; where the person stands then."""
    request = pb.RecordConsentsRequest(choices=choices)
    answer = await privacy.consents.RecordConsents(request, metadata=person.metadata)
    return {each.purpose: each for each in answer.consents}


async def ask(privacy: Privacy, person: Person, purpose: str) -> bool:
    """What a worker hears who asks before it does something optional."""
    async with system_transaction(privacy.region.databases.worker) as connection:
        return await consented(connection, person.id, purpose)


async def reason_of(call: object) -> tuple[str, str]:
    """Reason and field of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call  # type: ignore[misc]
    error = error_of(failed.value)
    return error.spec.name, error.details.get("field", "")


async def test_anybody_may_read_the_texts_and_each_is_what_its_checksum_says(privacy: Privacy) -> None:
    answer = await privacy.consents.ListTexts(pb.ListTextsRequest(locale="fr"))
    assert [text.purpose for text in answer.texts] == list(purposes())
    for text in answer.texts:
        assert text.locale == "en"
        assert text.content == (FOLDER / f"{text.purpose}.{text.version}.en.md").read_text()
    assert {text.purpose for text in answer.texts if not text.necessary} == set(OPTIONAL)
    one = await privacy.consents.ListTexts(pb.ListTextsRequest(purpose="dpa"))
    assert [text.purpose for text in one.texts] == ["dpa"]
    unknown = privacy.consents.ListTexts(pb.ListTextsRequest(purpose="nothing"))
    assert await reason_of(unknown) == ("INVALID_INPUT", "purpose")


async def test_nobody_has_agreed_to_anything_before_saying_so(privacy: Privacy) -> None:
    person = await privacy.person()
    answer = await privacy.consents.GetConsents(pb.GetConsentsRequest(), metadata=person.metadata)
    assert [each.purpose for each in answer.consents] == list(purposes())
    assert all(each.ask and not each.granted and not each.chosen_version for each in answer.consents)
    for purpose in purposes():
        assert not await ask(privacy, person, purpose)


async def test_the_newest_choice_counts_and_every_one_stays_in_the_history(privacy: Privacy) -> None:
    person, other = await privacy.person(), await privacy.person()
    for granted in (True, False, True, False):
        stands = await choose(privacy, person, choice("marketing_email", granted))
        assert stands["marketing_email"].granted is granted
        assert not stands["marketing_email"].ask
        assert await ask(privacy, person, "marketing_email") is granted
        assert not await ask(privacy, other, "marketing_email")
    await choose(privacy, person, choice("product_analytics"), choice("cookies_analytics", granted=False))
    first = await privacy.consents.GetHistory(_page(4), metadata=person.metadata)
    rest = await privacy.consents.GetHistory(_page(4, first.page.next_page_token), metadata=person.metadata)
    assert (first.page.total, rest.page.next_page_token) == (6, "")
    told = [(each.purpose, each.granted) for each in (*first.choices, *rest.choices)]
    assert set(told[:2]) == {("product_analytics", True), ("cookies_analytics", False)}
    assert told[2:] == [("marketing_email", granted) for granted in (False, True, False, True)]
    assert {each.source for each in first.choices} == {"settings"}
    empty = await privacy.consents.GetHistory(_page(4), metadata=other.metadata)
    assert (empty.page.total, len(empty.choices)) == (0, 0)
    assert await reason_of(privacy.consents.GetHistory(_page(4, "eA=="), metadata=person.metadata)) == (
        "INVALID_INPUT",
        "page.page_token",
    )


async def test_a_choice_needs_a_text_that_was_shown(privacy: Privacy) -> None:
    person = await privacy.person()
    refused = {
        "choices.purpose": [[choice("nothing")], [choice("dpa"), choice("dpa")]],
        "choices.version": [
            [choice("marketing_email", version="2026-11-02")],
            [choice("marketing_email", version="2025-01-01")],
        ],
        "choices.locale": [[choice("marketing_email", locale="fr")]],
        "choices.granted": [[choice("terms_of_use", granted=False)]],
    }
    for field, requests in refused.items():
        for choices in requests:
            call = privacy.consents.RecordConsents(
                pb.RecordConsentsRequest(choices=choices), metadata=person.metadata
            )
            assert await reason_of(call) == ("INVALID_INPUT", field)
    history = await privacy.consents.GetHistory(_page(10), metadata=person.metadata)
    assert history.page.total == 0


async def test_a_sign_up_records_exactly_what_nobody_can_do_without(privacy: Privacy) -> None:
    person = await privacy.person()
    now, app = datetime.now(UTC), privacy.region.databases.app
    versions = current_versions(now)
    for wrong in ({}, {**versions, "dpa": "2020-01-01"}, {**versions, "marketing_email": VERSION}):
        with pytest.raises(BabySeaError) as refused:
            check_sign_up(wrong, now)
        assert (refused.value.spec.name, refused.value.details["field"]) == (
            "INVALID_INPUT",
            "accepted_versions",
        )
    check_sign_up(versions, now)
    async with person_transaction(app, person.id) as connection:
        await record_at_sign_up(connection, person.id, versions, b"h" * 32)
        # The same question in the request path, where the transaction is the person's own.
        assert await consented(connection, person.id, "terms_of_use")
        assert not await consented(connection, person.id, "marketing_email")
    history = await privacy.consents.GetHistory(_page(10), metadata=person.metadata)
    assert {(each.purpose, each.source, each.granted) for each in history.choices} == {
        ("terms_of_use", "sign_up", True),
        ("privacy_policy", "sign_up", True),
        ("dpa", "sign_up", True),
    }


async def test_what_a_visitor_chose_becomes_the_persons_once_and_with_its_own_time(privacy: Privacy) -> None:
    visitor, person, next_person = random_base62(30), await privacy.person(), await privacy.person()
    for granted in (True, False):
        request = pb.RecordVisitorConsentsRequest(
            visitor_id=visitor,
            choices=[choice("cookies_analytics", granted), choice("product_analytics", granted)],
        )
        await privacy.consents.RecordVisitorConsents(request, metadata=privacy.service)
    # Chosen when signed in, and later: it outweighs what the visitor said.
    await choose(privacy, person, choice("product_analytics", granted=True))
    adopt = pb.AdoptVisitorConsentsRequest(visitor_id=visitor)
    answers = await asyncio.gather(
        *(privacy.consents.AdoptVisitorConsents(adopt, metadata=person.metadata) for _ in range(4))
    )
    stands = {each.purpose: each for each in answers[-1].consents}
    assert (stands["cookies_analytics"].granted, stands["product_analytics"].granted) == (False, True)
    mine = await privacy.consents.GetHistory(_page(10), metadata=person.metadata)
    assert [each.source for each in mine.choices] == ["settings", *["sign_in"] * 4]
    await privacy.consents.AdoptVisitorConsents(adopt, metadata=next_person.metadata)
    theirs = await privacy.consents.GetHistory(_page(10), metadata=next_person.metadata)
    assert theirs.page.total == 0


async def test_a_visitor_chooses_only_what_is_open_to_visitors_and_only_through_the_gateway(
    privacy: Privacy,
) -> None:
    person = await privacy.person()
    for purpose in ("marketing_email", "terms_of_use"):
        request = pb.RecordVisitorConsentsRequest(visitor_id=random_base62(30), choices=[choice(purpose)])
        call = privacy.consents.RecordVisitorConsents(request, metadata=privacy.service)
        assert await reason_of(call) == ("INVALID_INPUT", "choices.purpose")
    request = pb.RecordVisitorConsentsRequest(
        visitor_id=random_base62(30), choices=[choice("cookies_analytics")]
    )
    for metadata, reason in (
        ((), "AUTHENTICATION_REQUIRED"),
        (person.metadata, "INSUFFICIENT_PERMISSIONS"),
    ):
        call = privacy.consents.RecordVisitorConsents(request, metadata=metadata)
        assert (await reason_of(call))[0] == reason
    nobody = privacy.consents.GetConsents(pb.GetConsentsRequest(), metadata=privacy.service)
    assert (await reason_of(nobody))[0] in {"AUTHENTICATION_REQUIRED", "INSUFFICIENT_PERMISSIONS"}


async def test_ids_of_visitors_and_addresses_are_stored_as_keyed_hashes(privacy: Privacy) -> None:
    visitor, person = random_base62(30), await privacy.person()
    request = pb.RecordVisitorConsentsRequest(visitor_id=visitor, choices=[choice("cookies_analytics")])
    await privacy.consents.RecordVisitorConsents(request, metadata=privacy.service)
    await choose(privacy, person, choice("cookies_analytics"))
    admin = await privacy.region.connect()
    try:
        rows = await admin.fetch("select c.*, c::text as whole from privacy.consent c")
    finally:
        await admin.close()
    assert any(row["visitor_hash"] for row in rows)
    for row in rows:
        for secret in (visitor, visitor.encode().hex(), "203.0.113.7", "127.0.0.1"):
            assert secret not in row["whole"]
    hashes = {row["address_hash"] for row in rows if row["address_hash"] and row["source"] != "sign_up"}
    assert all(len(each) == 32 for each in hashes)
    assert privacy.region.envelope.keyed_hash("client_address", b"203.0.113.7") in hashes


async def test_a_text_with_other_words_under_its_version_is_refused_by_the_region(
    privacy: Privacy, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await privacy.person()
    await choose(privacy, person, choice("marketing_email"))
    changed = purposes()["marketing_email"].model_copy(deep=True)
    text = changed.versions[0].texts[0].model_copy(update={"sha256": "00" * 32})
    version = changed.versions[0].model_copy(update={"texts": (text,)})
    changed = changed.model_copy(update={"versions": (version,)})
    monkeypatch.setattr(
        "server.privacy.recording.purposes", lambda: {**purposes(), "marketing_email": changed}
    )
    request = pb.RecordConsentsRequest(choices=[choice("marketing_email")])
    call = privacy.consents.RecordConsents(request, metadata=person.metadata)
    assert (await reason_of(call))[0] == "CONFLICT"
    history = await privacy.consents.GetHistory(_page(10), metadata=person.metadata)
    assert history.page.total == 1


async def test_choices_and_texts_refuse_change_even_by_their_owner_and_the_superuser(
    privacy: Privacy,
) -> None:
    await choose(privacy, await privacy.person(), choice("marketing_email"))
    connection = await privacy.region.connect()
    try:
        for role in ("babysea_owner", "none"):
            await connection.execute(f"set role {role}")
            for statement in (
                "update privacy.consent set granted = true",
                "delete from privacy.consent",
                "truncate privacy.consent",
                "update privacy.consent_text set sha256 = sha256",
                "delete from privacy.consent_text",
                "truncate privacy.consent_text, privacy.consent",
            ):
                with pytest.raises(asyncpg.RaiseError, match="append-only"):
                    await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_person_sees_and_adds_only_its_own_choices(privacy: Privacy) -> None:
    mine, other = await privacy.person(), await privacy.person()
    for person in (mine, other):
        await choose(privacy, person, choice("marketing_email"))
    app = await privacy.region.connect("babysea_app")
    insert = (
        "insert into privacy.consent (id, person_id, purpose, version, locale, granted, source{})"
        " values ($1, $2, 'marketing_email', '2026-11-01', 'en', true, {})"
    )
    try:
        assert await app.fetchval("select count(*) from privacy.consent") == 0
        with pytest.raises(asyncpg.RaiseError, match="needs a person"):
            await app.execute("select privacy.adopt_visitor('x')")
        await app.execute("select set_config('app.person_id', $1, false)", str(mine.id))
        assert {row[0] for row in await app.fetch("select person_id from privacy.consent")} == {mine.id}
        for statement, whom in (
            (insert.format("", "'settings'"), other.id),
            # Nobody makes up what was moved from a visitor.
            (insert.format(", moved_from", "'sign_in', gen_random_uuid()"), mine.id),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement, uuid7(), whom)
    finally:
        await app.close()


def _page(size: int, token: str = "") -> pb.GetHistoryRequest:
    request = pb.GetHistoryRequest()
    request.page.page_size = size
    request.page.page_token = token
    return request
