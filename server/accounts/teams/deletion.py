"""Ending a team."""

from __future__ import annotations

from uuid import UUID

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError, invalid
from server.accounts.holding import hold_right
from server.accounts.teams import store
from server.accounts.teams.errors import conflict, personal
from server.accounts.teams.letters import Notice, make_notice, post
from server.accounts.teams.parts import Teams
from server.accounts.teams.store import AccountRow
from server.accounts.teams.views import account_name
from server.logs.activity import note_activity
from server.runtime.database import member_transaction
from server.runtime.identity import Member

_IN_FLIGHT = "Generations of this team are in flight; wait until they have ended, or cancel them."


async def delete_team(teams: Teams, member: Member, *, slug: str, password: str) -> None:
    """Ends a team: keys stop working, invitations and memberships end, nothing is admitted any more.

    Its records stay until they are erased.

    Raises:
        BabySeaError: INVALID_INPUT for another slug or a wrong password; AUTH_RATE_LIMITED after too many; CONFLICT for
            a personal account, and while generations are in flight.
    """
    account_id = member.account
    row, people = await _read(teams, member)
    if row.personal:
        raise personal()
    if slug != (row.slug or ""):
        raise invalid("slug", "slug must be the team's own, as its settings show it.")
    await teams.prove_password(member, password)
    name = await account_name(teams, account_id, row.name_ct)
    prepared = {person_id: await _notice(teams, account_id, person_id, name) for person_id in people}
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        await hold_right(connection, account_id, member.person_id, "account.delete", alone=True)
        people = await store.people_of(connection, account_id)
        word = await store.close_team(connection, teams.clock.now())
        if word == "in_flight":
            raise conflict(_IN_FLIGHT)
        if word != "closed":
            raise LookupError(f"a team that is held cannot be closed: {word}")
        for person_id in people:
            # Somebody who joined a moment ago is told, too.
            notice = prepared.get(person_id) or await _notice(teams, account_id, person_id, name)
            await post(connection, notice)
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="account",
            action="deleted",
            details={"members": len(people)},
        )


async def _read(teams: Teams, member: Member) -> tuple[AccountRow, list[UUID]]:
    async with member_transaction(teams.engine, member.account, member.person_id) as connection:
        found = await store.get_account(connection, member.account)
        people = await store.people_of(connection, member.account)
    if found is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    return found[0], people


async def _notice(teams: Teams, account_id: UUID, person_id: UUID, name: str) -> Notice:
    return await make_notice(teams, "team.deleted", account_id, person_id, {"team": name})
