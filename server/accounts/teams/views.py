"""Accounts and people as members see them: rows with what people wrote made readable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.accounts.permissions import role_of
from server.accounts.teams.invitation_store import InvitationRow
from server.accounts.teams.parts import Teams
from server.accounts.teams.store import AccountRow, MemberRow


@dataclass(frozen=True, slots=True)
class AccountDetails:
    """An account as one of its members sees it."""

    row: AccountRow
    name: str
    role: str
    """Of who looks: "primary_owner", "owner" or "member"."""
    members: int
    avatar: bytes = b""
    """Empty unless it was asked for."""


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as the others see it."""

    person_id: UUID
    name: str
    email: str
    role: str
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation as members see it."""

    row: InvitationRow
    email: str
    expired: bool


async def account_name(teams: Teams, account_id: UUID, name_ct: bytes) -> str:
    """An account's name for people."""
    return (await teams.envelope.open(account_id, "account.name", account_id, name_ct)).decode()


async def person_name(teams: Teams, person_id: UUID, name_ct: bytes) -> str:
    """A person's name for people."""
    return (await teams.envelope.open(person_id, "person.name", person_id, name_ct)).decode()


async def opened_member(teams: Teams, row: MemberRow) -> MemberView:
    """A member's row made readable."""
    email = await teams.envelope.open(row.person_id, "person.email", row.person_id, row.email_ct)
    return MemberView(
        person_id=row.person_id,
        name=await person_name(teams, row.person_id, row.name_ct),
        email=email.decode(),
        role=role_of(row.role, primary=row.is_primary),
        joined_at=row.joined_at,
    )


async def opened_invitation(teams: Teams, account_id: UUID, row: InvitationRow) -> InvitationView:
    """An invitation's row made readable."""
    email = await teams.envelope.open(account_id, "invitation.email", row.id, row.email_ct)
    return InvitationView(row, email.decode(), row.expires_at <= teams.clock.now())
