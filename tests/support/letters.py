"""Letters as they lie in the queue, opened for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID

from kit.clock import Clock
from server.accounts.tokens import reset_token_maker
from server.notifications.posting import LETTER_DATA, LETTER_TO
from server.runtime.database import system_transaction
from tests.support.region import TestRegion


@dataclass(frozen=True)
class PostedLetter:
    """A queued letter: to whom, and what it says."""

    template: str
    to: str
    values: dict[str, str]
    event_key: str


async def letters_to(region: TestRegion, email: str) -> list[PostedLetter]:
    """Every queued letter that goes to an address, oldest first; resets are left out, as they have no text yet."""
    return [letter for letter in await all_letters(region) if letter.to == email.lower()]


async def all_letters(region: TestRegion) -> list[PostedLetter]:
    """Every queued letter with a text, oldest first."""
    connection = await region.connect()
    try:
        rows = await connection.fetch(
            "select l.*, p.email_ct from notifications.letter l left join accounts.person p on p.id = l.person_id"
            " where l.data_ct is not null order by l.created_at, l.id"
        )
    finally:
        await connection.close()
    opened = []
    for row in rows:
        values = await region.envelope.open(row["sealed_by"], LETTER_DATA, row["id"], row["data_ct"])
        if row["to_ct"] is not None:
            to = await region.envelope.open(row["sealed_by"], LETTER_TO, row["id"], row["to_ct"])
        elif row["email_ct"] is None:
            # The person is gone, and with it whoever the letter would go to.
            continue
        else:
            person = row["person_id"]
            to = await region.envelope.open(person, "person.email", person, row["email_ct"])
        opened.append(PostedLetter(row["template"], to.decode(), json.loads(values), row["event_key"]))
    return opened


async def resets(region: TestRegion, email: str) -> int:
    """How many password resets are queued for an address, whoever has it."""
    looked_up = region.envelope.keyed_hash("person.email", email.encode())
    connection = await region.connect()
    try:
        count: int = await connection.fetchval(
            "select count(*) from notifications.letter where template = 'auth.password_reset' and email_hash = $1",
            looked_up,
        )
    finally:
        await connection.close()
    return count


async def reset_token(region: TestRegion, clock: Clock, person_id: UUID) -> str:
    """What the sender puts into a reset letter when it sends it."""
    async with system_transaction(region.databases.worker) as connection:
        return await reset_token_maker(region.envelope, clock)(connection, person_id)
