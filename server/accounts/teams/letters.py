"""Letters and notices of teams; made before the transaction of the fact, posted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from kit.ids import uuid7
from server.accounts.teams.parts import Teams
from server.notifications.posting import Letter, notify, post_email, seal_letter

ROLE_WORDS: Mapping[str, str] = {"owner": "an owner", "member": "a member"}
"""Roles as letters say them."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What one person is told, by e-mail and in the app."""

    letter: Letter
    account_id: UUID
    person_id: UUID


async def make_notice(
    teams: Teams, template: str, account_id: UUID, person_id: UUID, data: Mapping[str, str]
) -> Notice:
    """A notice to a person about a team, sealed under the person's key: it can be read when the team is gone."""
    letter = await seal_letter(
        teams.envelope,
        template=template,
        event_key=f"{template}:{uuid7()}",
        data=data,
        sealed_by=person_id,
        person_id=person_id,
        account_id=account_id,
    )
    return Notice(letter, account_id, person_id)


async def post(
    connection: AsyncConnection, notice: Notice, *, data: Mapping[str, str | int] | None = None
) -> None:
    """Tells it, in the transaction of the fact; `data` is for the inbox: ids and words of ours."""
    await post_email(connection, notice.letter)
    await notify(
        connection,
        account_id=notice.account_id,
        person_ids=[notice.person_id],
        category="team",
        kind=notice.letter.template,
        event_key=notice.letter.event_key,
        data=data or {},
    )
