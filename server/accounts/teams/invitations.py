"""Invitations that wait for their answer: looking at them, changing where they lead, taking them back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.accounts.holding import hold_right
from server.accounts.permissions import TARGETS
from server.accounts.teams import invitation_store
from server.accounts.teams.errors import above_own_level, no_invitation
from server.accounts.teams.inviting import KIND
from server.accounts.teams.letters import ROLE_WORDS
from server.accounts.teams.parts import Teams
from server.accounts.teams.views import InvitationView, account_name, opened_invitation
from server.accounts.tokens import token_hash
from server.logs.activity import note_activity
from server.runtime.database import member_transaction, tenant_transaction
from server.runtime.identity import Member
from server.runtime.paging import Page, place_of, token_after


@dataclass(frozen=True, slots=True)
class InvitationPage:
    """One page of invitations, newest first."""

    invitations: list[InvitationView]
    total: int
    next_token: str
    """Continues after this page; empty on the last one."""


@dataclass(frozen=True, slots=True)
class PreviewView:
    """What whoever holds a letter may know before joining."""

    team_name: str
    role: str
    expires_at: datetime


async def list_invitations(teams: Teams, account_id: UUID, page: Page) -> InvitationPage:
    """Open and expired invitations of a team, newest first.

    Raises:
        BabySeaError: INVALID_INPUT for a page token that no answer gave.
    """
    before = place_of(page)
    async with tenant_transaction(teams.engine, account_id) as connection:
        rows = await invitation_store.list_invitations(
            connection, account_id, before=before, limit=page.size + 1, offset=page.offset
        )
        total = await invitation_store.count_invitations(connection, account_id)
    shown = rows[: page.size]
    more = len(rows) > page.size
    token = token_after(shown[-1].created_at.isoformat(), shown[-1].id) if more else ""
    views = [await opened_invitation(teams, account_id, row) for row in shown]
    return InvitationPage(views, total, token)


async def update_invitation(
    teams: Teams, member: Member, invitation_id: UUID, *, role: str
) -> InvitationView:
    """Changes the role that an invitation leads to; its letter stays good.

    Raises:
        BabySeaError: NOT_FOUND for an invitation that has ended; INSUFFICIENT_PERMISSIONS for a role above the own.
    """
    account_id = member.account
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        held = await hold_right(connection, account_id, member.person_id, "invitations.manage", alone=True)
        if role not in TARGETS["invite", held.role]:
            raise above_own_level(f"invite {ROLE_WORDS[role]}")
        known = await invitation_store.get_invitation(connection, account_id, invitation_id)
        if known is None:
            raise no_invitation()
        row = await invitation_store.set_invitation_role(connection, account_id, invitation_id, role)
        if row is None:
            raise no_invitation()
        if known.role != role:
            await note_activity(
                connection,
                account_id=account_id,
                actor=member.person_id,
                category="invitation",
                action="updated",
                target=invitation_id,
                details={"role": role},
            )
    return await opened_invitation(teams, account_id, row)


async def remove_invitation(teams: Teams, member: Member, invitation_id: UUID) -> None:
    """Takes an invitation back; its letter opens nothing any more.

    Raises:
        BabySeaError: NOT_FOUND for an invitation that has ended.
    """
    account_id, now = member.account, teams.clock.now()
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        await hold_right(connection, account_id, member.person_id, "invitations.manage", alone=True)
        if not await invitation_store.remove_invitation(connection, account_id, invitation_id, now):
            raise no_invitation()
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="invitation",
            action="removed",
            target=invitation_id,
        )


async def preview_invitation(teams: Teams, token: str) -> PreviewView:
    """What a letter's token invites to; an expired one, too.

    Raises:
        BabySeaError: NOT_FOUND for any other text.
    """
    hashed = token_hash(teams.envelope, KIND, token)
    found = await invitation_store.find_invitation(teams.engine, hashed)
    if found is None:
        raise no_invitation()
    name = await account_name(teams, found.account_id, found.name_ct)
    return PreviewView(name, found.role, found.expires_at)
