"""Inviting an address to a team, again and again if need be.

Nothing here looks whether somebody has the address: the letter and the answer are the same, and so is the work.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.ids import uuid7
from server.accounts.holding import hold_right
from server.accounts.identity.addresses import email_hash, normalised_email
from server.accounts.permissions import TARGETS
from server.accounts.teams import invitation_store, store
from server.accounts.teams.errors import above_own_level, conflict, no_invitation, personal
from server.accounts.teams.letters import ROLE_WORDS
from server.accounts.teams.parts import Teams
from server.accounts.teams.views import InvitationView, account_name, opened_invitation, person_name
from server.accounts.tokens import new_token, token_hash
from server.logs.activity import note_activity
from server.notifications.posting import Letter, post_email, seal_letter
from server.runtime.database import member_transaction
from server.runtime.identity import Member

KIND = "invitation"
"""Kind of token under which invitations are stored."""

DAYS = 7
"""How long an invitation can be accepted."""

_LETTERS_PER_TEAM = 100
_LETTERS_PER_PERSON = 300
_LETTERS_PER_ADDRESSEE = 10
_WINDOW = timedelta(days=1)


async def invite_member(teams: Teams, member: Member, *, email: str, role: str) -> InvitationView:
    """Invites an address, by a letter that holds the only copy of the token.

    Raises:
        BabySeaError: INVALID_INPUT for what is no address; CONFLICT for somebody who is in the team, and for an address
            with an open invitation; RATE_LIMIT_EXCEEDED when the team wrote too many letters today.
    """
    account_id, now = member.account, teams.clock.now()
    address = normalised_email(email)
    looked_up = email_hash(teams.envelope, address)
    invitation_id, token = uuid7(), new_token()
    email_ct = await teams.envelope.seal(account_id, "invitation.email", invitation_id, address.encode())
    letter = await _letter(teams, member, invitation_id, 0, address=address, role=role, token=token)
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        held = await hold_right(connection, account_id, member.person_id, "members.invite", alone=True)
        if held.personal:
            raise personal()
        if role not in TARGETS["invite", held.role]:
            raise above_own_level(f"invite {ROLE_WORDS[role]}")
        if await store.is_member(connection, account_id, looked_up):
            raise conflict("Somebody with this address is in the team already.")
        row = await invitation_store.insert_invitation(
            connection,
            invitation_id=invitation_id,
            account_id=account_id,
            email_hash=looked_up,
            email_ct=email_ct,
            role=role,
            token_hash=token_hash(teams.envelope, KIND, token),
            invited_by=member.person_id,
            now=now,
            expires=now + timedelta(days=DAYS),
        )
        if row is None:
            raise conflict("The team has invited this address already; renew that invitation.")
        await _take_letters(teams, connection, member, looked_up)
        await post_email(connection, letter)
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="invitation",
            action="created",
            target=invitation_id,
            details={"role": role},
        )
    return InvitationView(row, address, expired=False)


async def renew_invitation(teams: Teams, member: Member, invitation_id: UUID) -> InvitationView:
    """Sends a letter with another token, good for seven days from now; the one before opens nothing any more.

    Raises:
        BabySeaError: NOT_FOUND for an invitation that has ended; CONFLICT when it is renewed twice at once;
            RATE_LIMIT_EXCEEDED when the team wrote too many letters today.
    """
    account_id, now = member.account, teams.clock.now()
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        known = await invitation_store.get_invitation(connection, account_id, invitation_id)
    if known is None:
        raise no_invitation()
    address = (await opened_invitation(teams, account_id, known)).email
    token = new_token()
    letter = await _letter(
        teams, member, invitation_id, known.renewals + 1, address=address, role=known.role, token=token
    )
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        held = await hold_right(connection, account_id, member.person_id, "invitations.manage", alone=True)
        if known.role not in TARGETS["invite", held.role]:
            raise above_own_level(f"invite {ROLE_WORDS[known.role]}")
        hashed = token_hash(teams.envelope, KIND, token)
        expires = now + timedelta(days=DAYS)
        row = await invitation_store.renew_invitation(
            connection,
            account_id,
            known,
            person_id=member.person_id,
            token_hash=hashed,
            expires=expires,
        )
        if row is None:
            raise conflict("The invitation has changed meanwhile; look at it again.")
        await _take_letters(teams, connection, member, email_hash(teams.envelope, address))
        await post_email(connection, letter)
        await note_activity(
            connection,
            account_id=account_id,
            actor=member.person_id,
            category="invitation",
            action="renewed",
            target=invitation_id,
        )
    return InvitationView(row, address, expired=False)


async def _letter(
    teams: Teams, member: Member, invitation_id: UUID, renewals: int, *, address: str, role: str, token: str
) -> Letter:
    account_id = member.account
    async with member_transaction(teams.engine, account_id, member.person_id) as connection:
        found = await store.get_account(connection, account_id)
        inviter = await store.get_member(connection, account_id, member.person_id)
    if found is None or inviter is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    return await seal_letter(
        teams.envelope,
        template="team.invitation",
        event_key=f"team.invitation:{invitation_id}:{renewals}",
        data={
            "team": await account_name(teams, account_id, found[0].name_ct),
            "inviter": await person_name(teams, inviter.person_id, inviter.name_ct),
            "role": ROLE_WORDS[role],
            "token": token,
            "days": str(DAYS),
        },
        sealed_by=account_id,
        to=address,
        account_id=account_id,
    )


async def _take_letters(teams: Teams, connection: AsyncConnection, member: Member, looked_up: bytes) -> None:
    # Letters go to people who did not ask for them; a team must not become a way to flood anybody, nor must a row of teams
    # that somebody makes for it.
    budgets = (
        ("invitations.team", member.account.bytes, _LETTERS_PER_TEAM),
        ("invitations.person", member.person_id.bytes, _LETTERS_PER_PERSON),
        ("invitations.addressee", looked_up, _LETTERS_PER_ADDRESSEE),
    )
    for kind, subject, limit in budgets:
        key = teams.envelope.keyed_hash(f"attempt.{kind}", subject)
        wait = await invitation_store.take_budget(connection, key, teams.clock.now(), limit, _WINDOW)
        if wait:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_RATE_LIMIT_EXCEEDED,
                "Too many invitations today. Please retry after the period indicated in the Retry-After header.",
                details={"retry_after_seconds": str(wait)},
            )
