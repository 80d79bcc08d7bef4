"""Changes of who belongs to a team: roles, removal, leaving."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from server.accounts.holding import hold_right
from server.accounts.permissions import TARGETS, Act, Role, role_of
from server.accounts.teams import invitation_store, store
from server.accounts.teams.errors import above_own_level, conflict, no_member
from server.accounts.teams.letters import ROLE_WORDS, Notice, make_notice, post
from server.accounts.teams.parts import Teams
from server.accounts.teams.store import MemberRow
from server.accounts.teams.views import MemberView, account_name, opened_member
from server.logs.activity import note_activity
from server.runtime.database import member_transaction
from server.runtime.identity import Member

_PRIMARY = "The Primary Owner cannot be changed; transfer the team first."


async def change_role(teams: Teams, member: Member, person_id: UUID, *, role: str) -> MemberView:
    """Makes a member an owner, or an owner a member; the role that somebody has already changes nothing.

    Raises:
        BabySeaError: NOT_FOUND for somebody who is not in the team; CONFLICT for the Primary Owner;
            INSUFFICIENT_PERMISSIONS where the own role reaches neither who it is nor the new role.
    """
    account_id = member.account
    notice = await _notice(teams, member, person_id, "team.role_changed", {"role": ROLE_WORDS[role]})
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        target = await _reach(connection, member, person_id, "change_role", new_role=role)
        if target.role != role:
            await store.set_role(connection, account_id, person_id, role)
            ended = (
                await _end_invitations(teams, connection, account_id, person_id) if role == "member" else 0
            )
            await note_activity(
                connection,
                account_id=account_id,
                actor=member.person_id,
                category="membership",
                action="role_changed",
                target=person_id,
                details={"from": target.role, "to": role, "invitations_ended": ended},
            )
            await post(connection, notice, data={"role": role})
        changed = await store.get_member(connection, account_id, person_id)
    if changed is None:
        raise LookupError("a member that was just changed cannot be read")
    return await opened_member(teams, changed)


async def remove_member(teams: Teams, member: Member, person_id: UUID) -> None:
    """Takes a member out; from the next call on, the person is a stranger to the team.

    Raises:
        BabySeaError: NOT_FOUND for somebody who is not in the team; CONFLICT for the Primary Owner and for oneself;
            INSUFFICIENT_PERMISSIONS where the own role does not reach.
    """
    if person_id == member.person_id:
        raise conflict("Nobody removes themselves; leave the team instead.")
    account_id = member.account
    notice = await _notice(teams, member, person_id, "team.removed", {})
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        target = await _reach(connection, member, person_id, "remove")
        await store.remove_member(connection, account_id, person_id)
        ended = await _end_invitations(teams, connection, account_id, person_id)
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="membership",
            action="removed",
            target=person_id,
            details={"role": target.role, "invitations_ended": ended},
        )
        await post(connection, notice)


async def leave_team(teams: Teams, member: Member) -> None:
    """Takes the caller out of a team.

    Raises:
        BabySeaError: CONFLICT for the Primary Owner, who is also the last owner that a team can have.
    """
    account_id = member.account
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        held = await hold_right(connection, account_id, member.person_id, "account.leave", alone=True)
        if held.role == "primary_owner":
            raise conflict("The Primary Owner cannot leave; transfer the team first, or delete it.")
        await store.remove_member(connection, account_id, member.person_id)
        ended = await _end_invitations(teams, connection, account_id, member.person_id)
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="membership",
            action="left",
            target=member.person_id,
            details={"role": held.role, "invitations_ended": ended},
        )


async def _end_invitations(
    teams: Teams, connection: AsyncConnection, account_id: UUID, person_id: UUID
) -> int:
    # Whoever may invite no more has nobody on the way in, or a second address would outlive the right.
    return await invitation_store.end_invitations_of(connection, account_id, person_id, teams.clock.now())


async def _notice(
    teams: Teams, member: Member, person_id: UUID, template: str, data: dict[str, str]
) -> Notice:
    account_id = member.account
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        found = await store.get_account(connection, account_id)
        target = await store.get_member(connection, account_id, person_id)
    if found is None or target is None:
        raise no_member()
    team = await account_name(teams, account_id, found[0].name_ct)
    return await make_notice(teams, template, account_id, person_id, {"team": team, **data})


async def _reach(
    connection: AsyncConnection, member: Member, person_id: UUID, act: Act, *, new_role: str | None = None
) -> MemberRow:
    held = await hold_right(connection, member.account, member.person_id, "members.change", alone=True)
    target = await store.get_member(connection, member.account, person_id)
    if target is None:
        raise no_member()
    reached: frozenset[Role] = TARGETS[act, held.role]
    its_role = role_of(target.role, primary=target.is_primary)
    if its_role == "primary_owner" and held.role == "primary_owner":
        raise conflict(_PRIMARY)
    if its_role not in reached:
        raise above_own_level(act.replace("_", " "))
    if new_role is not None and new_role not in TARGETS["invite", held.role]:
        raise above_own_level(act.replace("_", " "))
    return target
