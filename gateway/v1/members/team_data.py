"""Accounts, their people and their invitations as replies show them."""

from __future__ import annotations

from typing_extensions import TypedDict

from babysea.accounts.v1 import teams_pb2
from gateway.v1.members.values import at


class MyAccountData(TypedDict):
    """An account of the person's: the personal one or a team."""

    account_id: str
    account_name: str
    account_slug: str | None
    account_is_personal: bool
    account_plan: str
    account_standing: str
    account_has_avatar: bool
    role: str
    joined_at: str | None


class MyAccountsData(TypedDict):
    """The personal account first, then teams by age."""

    accounts: list[MyAccountData]


class DetailsData(TypedDict):
    """An account as its members see it."""

    account_id: str
    account_name: str
    account_slug: str | None
    account_is_personal: bool
    account_plan: str
    account_standing: str
    account_has_avatar: bool
    account_members: int
    account_primary_owner_id: str
    account_created_at: str | None
    account_updated_at: str | None
    role: str


class AccountDetailsData(TypedDict):
    """An account."""

    account: DetailsData


class MemberData(TypedDict):
    """A person in a team."""

    person_id: str
    name: str
    email: str
    role: str
    joined_at: str | None


class MembersData(TypedDict):
    """The Primary Owner first, then by age."""

    members: list[MemberData]


class OneMemberData(TypedDict):
    """A person in a team."""

    member: MemberData


class InvitationData(TypedDict):
    """An invitation that waits for its answer; its token is in the letter alone."""

    invitation_id: str
    email: str
    role: str
    invited_by: str
    created_at: str | None
    expires_at: str | None
    renewals: int
    expired: bool


class InvitationsData(TypedDict):
    """Invitations, newest first."""

    invitations: list[InvitationData]


class OneInvitationData(TypedDict):
    """An invitation."""

    invitation: InvitationData


class LetterInvitationData(TypedDict):
    """What a letter invites to."""

    team_name: str
    role: str
    expires_at: str | None


class JoinedData(TypedDict):
    """The team that the person belongs to now."""

    account_id: str
    role: str


class LeftData(TypedDict):
    """The account that the person has nothing to do with any more."""

    account_id: str


def my_account_data(account: teams_pb2.MyAccount) -> MyAccountData:
    """An account in the list of the person's own."""
    return {
        "account_id": account.account_id,
        "account_name": account.name,
        "account_slug": account.slug or None,
        "account_is_personal": account.personal,
        "account_plan": account.plan,
        "account_standing": account.standing,
        "account_has_avatar": account.has_avatar,
        "role": account.role,
        "joined_at": at(account, "joined_at"),
    }


def details_data(account: teams_pb2.AccountDetails) -> DetailsData:
    """An account as the reply shows it."""
    return {
        "account_id": account.account_id,
        "account_name": account.name,
        "account_slug": account.slug or None,
        "account_is_personal": account.personal,
        "account_plan": account.plan,
        "account_standing": account.standing,
        "account_has_avatar": account.has_avatar,
        "account_members": account.members,
        "account_primary_owner_id": account.primary_owner_id,
        "account_created_at": at(account, "created_at"),
        "account_updated_at": at(account, "updated_at"),
        "role": account.role,
    }


def member_data(member: teams_pb2.TeamMember) -> MemberData:
    """A member as the reply shows them."""
    return {
        "person_id": member.person_id,
        "name": member.name,
        "email": member.email,
        "role": member.role,
        "joined_at": at(member, "joined_at"),
    }


def invitation_data(invitation: teams_pb2.Invitation) -> InvitationData:
    """An invitation as the reply shows it."""
    return {
        "invitation_id": invitation.invitation_id,
        "email": invitation.email,
        "role": invitation.role,
        "invited_by": invitation.invited_by,
        "created_at": at(invitation, "created_at"),
        "expires_at": at(invitation, "expires_at"),
        "renewals": invitation.renewals,
        "expired": invitation.expired,
    }
