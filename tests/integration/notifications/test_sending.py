"""Letters against a real mail server: what arrives, when it is tried again, and when it ends."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.clock import FixedClock
from server.notifications.files import FileMailer
from server.notifications.mailing import DelayedError
from server.notifications.posting import post_email, post_reset, seal_letter
from server.notifications.smtp import SmtpMailer, smtp_server
from server.notifications.store import forget_letters
from tests.integration.notifications.post_office import (
    DASHBOARD,
    Post,
    PostOffice,
    bodies,
    open_post_office,
)
from tests.support.authority import Authority


async def test_a_letter_arrives_with_both_parts_and_leaves_nothing_of_itself(
    post: Post, office: PostOffice
) -> None:
    person = await post.person("ada@example.org")
    letter = await post.write(
        "auth.verify_email", "verify:1", {"token": "T0ken", "hours": "24"}, person_id=person
    )
    assert await post.sender(office).work() == 1
    [(to, message)] = office.received
    assert to == "ada@example.org"
    assert message["Message-ID"] == f"<{letter}@mail.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"] is None
    text, html = bodies(message)
    assert f"{DASHBOARD}/verify-email?token=T0ken" in text
    assert f'href="{DASHBOARD}/verify-email?token=T0ken"' in html
    row = await post.row(letter)
    assert (row["state"], row["attempts"], row["message_id"]) == ("sent", 1, f"<{letter}@mail.example>")
    assert row["sent_at"] is not None
    assert (row["data_ct"], row["to_ct"], row["worker"]) == (None, None, None)
    assert await post.sender(office).work() == 0


async def test_a_letter_goes_to_the_address_of_the_moment_or_to_the_one_it_names(
    post: Post, office: PostOffice
) -> None:
    person = await post.person("old@example.org")
    await post.write("auth.mfa_enabled", "mfa:1", {}, person_id=person)
    await post.write("auth.email_changed", "changed:1", {}, person_id=person, to="old@example.org")
    await post.move(person, "new@example.org")
    await post.sender(office).work()
    subjects = {to: message["Subject"] for to, message in office.received}
    assert subjects == {
        "new@example.org": "Two-step sign-in was turned on",
        "old@example.org": "Your e-mail address was changed",
    }


async def test_one_event_is_told_once(post: Post, office: PostOffice) -> None:
    person = await post.person("once@example.org")
    await post.write("auth.mfa_enabled", "mfa:once", {}, person_id=person)
    await post.write("auth.mfa_enabled", "mfa:once", {}, person_id=person)
    await post.sender(office).work()
    await post.write("auth.mfa_enabled", "mfa:once", {}, person_id=person)
    await post.sender(office).work()
    assert len(office.received) == 1


async def test_a_letter_of_a_transaction_that_failed_is_none(post: Post, office: PostOffice) -> None:

    person = await post.person("never@example.org")
    letter = await seal_letter(
        post.region.envelope,
        template="auth.mfa_enabled",
        event_key="never",
        data={},
        sealed_by=person,
        person_id=person,
    )
    async with post.region.databases.app.connect() as connection:
        await post_email(connection, letter)
        await connection.rollback()
    assert await post.sender(office).work() == 0


async def test_a_temporary_refusal_is_tried_again_later_and_later(post: Post, office: PostOffice) -> None:
    person = await post.person("later@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:later", {}, person_id=person)
    sender = post.sender(office)
    office.recipient_answers = ["450 4.2.1 mailbox busy", "451 4.3.0 try later"]
    office.data_answers = ["452 4.3.1 no space"]
    pauses = []
    for kind in ("recipient_delayed", "recipient_delayed", "message_delayed"):
        assert await sender.work() == 1
        row = await post.row(letter)
        assert (row["state"], row["last_error_kind"], row["worker"]) == ("queued", kind, None)
        pauses.append((row["run_after"] - datetime.now(UTC)).total_seconds())
        assert await sender.work() == 0
        await post.make_due(letter)
    assert [round(pause / 15) for pause in pauses] == [1, 2, 4]
    await sender.work()
    assert (await post.row(letter))["state"] == "sent"
    assert len(office.received) == 1


async def test_a_server_that_hangs_up_after_taking_a_letter_has_it(post: Post, office: PostOffice) -> None:
    person = await post.person("goodbye@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:goodbye", {}, person_id=person)
    office.leaves_early = True
    await post.sender(office).work()
    assert (await post.row(letter))["state"] == "sent"
    assert len(office.received) == 1


async def test_an_absent_server_costs_nothing_but_time_until_three_days_are_over(post: Post) -> None:
    async with open_post_office() as gone:
        pass
    person = await post.person("absent@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:absent", {}, person_id=person)
    clock = FixedClock(datetime.now(UTC))
    sender = post.sender(gone, clock=clock)
    await sender.work()
    assert (await post.row(letter))["last_error_kind"] == "connection"
    clock.at += timedelta(hours=71)
    await post.make_due(letter)
    await sender.work()
    assert (await post.row(letter))["state"] == "queued"
    clock.at += timedelta(hours=2)
    await post.make_due(letter)
    await sender.work()
    row = await post.row(letter)
    assert (row["state"], row["last_error_kind"], row["data_ct"]) == ("failed", "given_up", None)


async def test_an_address_that_is_refused_is_left_alone_and_its_owner_is_told(
    post: Post, office: PostOffice
) -> None:
    person = await post.person("bounce@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:bounce", {}, person_id=person)
    office.recipient_answers = ["550 5.1.1 no such user bounce@example.org"]
    await post.sender(office).work()
    row = await post.row(letter)
    assert (row["state"], row["last_error_kind"]) == ("failed", "recipient_refused")
    assert "bounce@" not in str(row)
    told = await post.execute("select kind from notifications.inbox where person_id = $1", person)
    assert told == "email.bounced"
    second = await post.write("auth.mfa_disabled", "mfa:bounce:2", {}, person_id=person)
    await post.sender(office).work()
    row = await post.row(second)
    assert (row["state"], row["last_error_kind"]) == ("suppressed", "bounce")
    await post.execute("update notifications.suppression set expires_at = now()")
    await post.write("auth.mfa_disabled", "mfa:bounce:3", {}, person_id=person)
    await post.sender(office).work()
    assert len(office.received) == 1


async def test_a_refusal_by_policy_fails_the_letter_and_blames_no_address(
    post: Post, office: PostOffice
) -> None:
    person = await post.person("policy@example.org")
    for number, (recipient, data, kind) in enumerate(
        [
            ("550 5.7.1 blocked", None, "recipient_policy"),
            (None, "554 5.6.0 no", "message_refused"),
        ]
    ):
        office.recipient_answers = [recipient] if recipient else []
        office.data_answers = [data] if data else []
        letter = await post.write("auth.mfa_enabled", f"policy:{number}", {}, person_id=person)
        await post.sender(office).work()
        row = await post.row(letter)
        assert (row["state"], row["last_error_kind"]) == ("failed", kind)
    hash_of = post.region.envelope.keyed_hash("person.email", b"policy@example.org")
    assert not await post.execute(
        "select count(*) from notifications.suppression where email_hash = $1", hash_of
    )


async def test_a_wrong_password_of_ours_delays_the_letter(post: Post) -> None:
    person = await post.person("login@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:login", {}, person_id=person)
    async with open_post_office() as office:
        for password, state in (("wrong", "queued"), ("right", "sent")):
            url = f"smtp://post%40example:{password}@127.0.0.1:{office.port}"
            await post.make_due(letter)
            await post.sender(SmtpMailer(smtp_server(url, production=False))).work()
            assert (await post.row(letter))["state"] == state
        assert set(office.logins) == {"post@example"}


async def test_production_hands_over_nothing_without_tls(post: Post, tmp_path: Path) -> None:
    person = await post.person("tls@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:tls", {}, person_id=person)
    authority = Authority(tmp_path)
    files = authority.server()
    assert files.certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    async with open_post_office() as plain:
        await post.sender(SmtpMailer(smtp_server(plain.url, production=True))).work()
        assert (await post.row(letter))["state"] == "queued"
        assert plain.received == []
    async with open_post_office(context) as office:
        url = f"smtp://localhost:{office.port}"
        await post.make_due(letter)
        await post.sender(SmtpMailer(smtp_server(url, production=True))).work()
        assert (await post.row(letter))["state"] == "queued", "a certificate of a stranger"
        await post.make_due(letter)
        trusted = smtp_server(url, production=True, ca_file=files.authorities)
        await post.sender(SmtpMailer(trusted)).work()
        assert (await post.row(letter))["state"] == "sent"
        assert office.in_tls == [True]


async def test_many_senders_hand_over_each_letter_once(post: Post, office: PostOffice) -> None:
    people = [await post.person(f"many{number}@example.org") for number in range(40)]
    for person in people:
        await post.write("auth.mfa_enabled", f"mfa:{person}", {}, person_id=person)
    senders = [post.sender(office) for _ in range(4)]

    async def drain(sender: Any) -> None:
        while await sender.work():
            pass

    await asyncio.gather(*(drain(sender) for sender in senders))
    assert sorted(to for to, _ in office.received) == sorted(
        f"many{number}@example.org" for number in range(40)
    )


async def test_a_sender_that_lost_its_lease_writes_nothing_any_more(post: Post, office: PostOffice) -> None:
    person = await post.person("fence@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:fence", {}, person_id=person)
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        async def send(self, message: Any, to: str) -> None:
            reached.set()
            await go_on.wait()
            raise DelayedError("connection")

    stalled = asyncio.create_task(post.sender(Slow()).work())
    await reached.wait()
    await post.make_due(letter)
    await post.sender(office).work()
    before = await post.row(letter)
    go_on.set()
    await stalled
    assert await post.row(letter) == before
    assert (before["state"], before["token"]) == ("sent", 2)


async def test_a_sender_that_comes_to_a_letter_too_late_leaves_it_to_the_next(
    post: Post, office: PostOffice
) -> None:
    person = await post.person("late@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:late", {}, person_id=person)
    await post.sender(office, latest_start_seconds=-1).work()
    assert office.received == []
    await post.make_due(letter)
    await post.sender(office).work()
    assert len(office.received) == 1


async def test_a_stopping_sender_ends_what_it_has_begun(post: Post) -> None:
    person = await post.person("stop@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:stop", {}, person_id=person)
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        async def send(self, message: Any, to: str) -> None:
            reached.set()
            await go_on.wait()

    async with post.sender(Slow()):
        await reached.wait()
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert (await post.row(letter))["state"] == "sent"


async def test_a_reset_of_an_unknown_address_is_dropped_and_of_a_known_one_says_the_same_at_each_attempt(
    post: Post, office: PostOffice
) -> None:

    await post.person("known@example.org")
    hashes = {
        name: post.region.envelope.keyed_hash("person.email", f"{name}@example.org".encode())
        for name in ("known", "unknown")
    }
    made = []

    async def token(connection: AsyncConnection, person_id: Any) -> str:
        made.append(person_id)
        return f"t{len(made)}"

    async with post.region.databases.app.begin() as connection:
        for name, email_hash in hashes.items():
            await post_reset(connection, email_hash, f"reset:{name}")
    office.data_answers = ["451 4.0.0 later"]
    sender = post.sender(office, make_reset_token=token)
    await sender.work()
    known = await post.execute("select id from notifications.letter where event_key = 'reset:known'")
    await post.make_due(known)
    await sender.work()
    assert (
        await post.execute("select state from notifications.letter where event_key = 'reset:unknown'")
        == "dropped"
    )
    [(to, message)] = office.received
    assert to == "known@example.org"
    assert "token=t1" in bodies(message)[0]
    assert len(made) == 1


async def test_a_reset_that_waited_for_the_mail_server_brings_a_token_that_still_works(
    post: Post, office: PostOffice
) -> None:
    await post.person("patient@example.org")
    made = []

    async def token(connection: AsyncConnection, person_id: Any) -> str:
        made.append(person_id)
        return f"t{len(made)}"

    async with post.region.databases.app.begin() as connection:
        email_hash = post.region.envelope.keyed_hash("person.email", b"patient@example.org")
        await post_reset(connection, email_hash, "reset:patient")
    office.data_answers = ["451 4.0.0 later"]
    sender = post.sender(office, make_reset_token=token)
    await sender.work()
    letter = await post.execute(
        "update notifications.letter set created_at = created_at - interval '1 hour'"
        " where event_key = 'reset:patient' returning id"
    )
    await post.make_due(letter)
    await sender.work()
    [(_, message)] = office.received
    assert "token=t2" in bodies(message)[0]


async def test_a_letter_whose_key_was_destroyed_is_dropped(post: Post, office: PostOffice) -> None:
    person = await post.person("erased@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:erased", {}, person_id=person)
    await post.region.envelope.destroy_data_key(person)
    await post.sender(office).work()
    row = await post.row(letter)
    assert (row["state"], row["last_error_kind"]) == ("dropped", "key_gone")


async def test_a_template_that_this_program_does_not_know_waits_for_one_that_does(
    post: Post, office: PostOffice
) -> None:
    person = await post.person("newer@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:newer", {}, person_id=person)
    await post.execute("update notifications.letter set template_version = 99 where id = $1", letter)
    await post.sender(office).work()
    row = await post.row(letter)
    assert (row["state"], row["last_error_kind"]) == ("queued", "unknown_template")


async def test_without_a_mail_server_letters_are_files_of_their_owner_alone(
    post: Post, tmp_path: Path
) -> None:
    person = await post.person("file@example.org")
    letter = await post.write("auth.mfa_enabled", "mfa:file", {}, person_id=person)
    folder = tmp_path / "mail" / "us"
    await post.sender(FileMailer(folder)).work()
    [path] = list(folder.iterdir())
    assert path.name == f"{letter}.eml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert b"To: file@example.org" in path.read_bytes()


async def test_old_letters_and_notices_are_forgotten_and_waiting_ones_are_not(
    post: Post, office: PostOffice
) -> None:
    person = await post.person("month@example.org")
    await post.write("auth.mfa_enabled", "mfa:month", {}, person_id=person)
    await post.sender(office).work()
    waiting = await post.write("auth.mfa_enabled", "mfa:waiting", {}, person_id=person)
    await post.execute("update notifications.letter set created_at = now() - interval '31 days'")
    await post.tell(person, "old")
    await post.execute("update notifications.inbox set created_at = now() - interval '366 days'")
    await post.tell(person, "new")
    assert await forget_letters(post.region.databases.worker, timedelta(days=30)) == 1
    assert await post.execute("select array_agg(id) from notifications.letter") == [waiting]
    assert await post.execute("select array_agg(event_key) from notifications.inbox") == ["new"]
