"""Nothing that a letter says, and nobody to whom it goes, can be read in the database or in the logs."""

from __future__ import annotations

import io
import logging

from kit.logs import JsonFormatter
from tests.integration.isolation.needles import spellings
from tests.integration.notifications.post_office import Post, PostOffice, bodies

ADDRESS, OTHER = "needle.person@haystack.example", "needle.guest@haystack.example"
WORDS = (ADDRESS, OTHER, "N33dleT0ken", "Needle Team", "needle phone", "ses_us_")


async def test_no_address_and_no_word_of_a_letter_is_readable_in_the_database_or_the_logs(
    post: Post, office: PostOffice
) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    # The mail server of the test is somebody else's, and writes down all that it hears.
    handler.addFilter(lambda record: record.name != "mail.log")
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        seen = await _dump(post)
        person = await post.person(ADDRESS)
        await post.write(
            "auth.verify_email", "n:1", {"token": "N33dleT0ken", "hours": "24"}, person_id=person
        )
        await post.write("auth.new_sign_in", "n:2", {"device": "needle phone"}, person_id=person)
        data = {
            "team": "Needle Team",
            "inviter": "needle phone",
            "role": "owner",
            "token": "N33dleT0ken",
            "days": "7",
        }
        await post.write("team.invitation", "n:3", data, sealed_by=person, to=OTHER)
        seen += await _dump(post)
        office.recipient_answers = [f"550 5.1.1 <{ADDRESS}> unknown", f"450 4.1.1 <{OTHER}> busy"]
        office.data_answers = [f"554 5.6.0 {ADDRESS}"]
        sender = post.sender(office)
        for _ in range(3):
            seen += await _dump(post)
            await sender.work()
            await post.execute("update notifications.letter set run_after = now() where state = 'queued'")
        seen += await _dump(post)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    everything = seen + lines.getvalue().encode()
    assert b"recipient_refused" in everything, "the search looked at the rows"
    for word in WORDS:
        for how, spelled in spellings(word.encode()).items():
            assert spelled not in everything, (word, how)


async def test_a_letter_holds_no_secret_but_its_link(post: Post, office: PostOffice) -> None:
    person = await post.person("plain@example.org")
    await post.write("auth.new_sign_in", "secret:1", {"device": "Firefox on Linux"}, person_id=person)
    await post.write(
        "key.created",
        "secret:2",
        {"account": "Sea", "key_name": "ci", "key_prefix": "bye_us_4fJ0"},
        person_id=person,
    )
    await post.sender(office).work()
    for _, message in office.received:
        assert "token=" not in "".join(bodies(message))


async def _dump(post: Post) -> bytes:
    """Every row of the schema as text."""
    parts = []
    for table in ("letter", "suppression", "inbox", "preference", "alert_look"):
        found = await post.execute(f"select string_agg(t::text, e'\\n') from notifications.{table} t")
        parts.append((found or "").encode())
    return b"\n".join(parts)
