"""Giving a team to another member."""

from __future__ import annotations

from uuid import UUID

from server.accounts.holding import hold_right
from server.accounts.teams import store
from server.accounts.teams.details import details_in
from server.accounts.teams.errors import conflict, no_member, personal
from server.accounts.teams.letters import make_notice, post
from server.accounts.teams.parts import Teams
from server.accounts.teams.views import AccountDetails, account_name, person_name
from server.logs.activity import note_activity
from server.runtime.database import member_transaction
from server.runtime.identity import Member


async def transfer_ownership(teams: Teams, member: Member, heir: UUID, *, password: str) -> AccountDetails:
    """Makes another member the Primary Owner; the caller stays as an owner.

    Raises:
        BabySeaError: INVALID_INPUT for a wrong password; AUTH_RATE_LIMITED after too many; NOT_FOUND for an heir who is
            not in the team; CONFLICT for oneself and for a personal account.
    """
    account_id = member.account
    await teams.prove_password(member, password)
    if heir == member.person_id:
        raise conflict("The team is yours already.")
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        found = await store.get_account(connection, account_id)
        known = await store.get_member(connection, account_id, heir)
    if found is not None and found[0].personal:
        raise personal()
    if found is None or known is None:
        raise no_member()
    data = {
        "team": await account_name(teams, account_id, found[0].name_ct),
        "owner": await person_name(teams, heir, known.name_ct),
    }
    notices = [
        await make_notice(teams, "team.ownership_transferred", account_id, person_id, data)
        for person_id in (member.person_id, heir)
    ]
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        await hold_right(connection, account_id, member.person_id, "account.transfer", alone=True)
        if await store.get_member(connection, account_id, heir) is None:
            raise no_member()
        if not await store.transfer(connection, account_id, member.person_id, heir, teams.clock.now()):
            raise LookupError("a right that is held cannot be used")
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="membership",
            action="ownership_transferred",
            target=heir,
            details={"from": str(member.person_id)},
        )
        for notice in notices:
            await post(connection, notice, data={"owner": str(heir)})
        return await details_in(teams, connection, account_id, "owner")
