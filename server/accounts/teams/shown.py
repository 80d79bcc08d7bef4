"""Views of teams as messages of the contract."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from babysea.accounts.v1 import teams_pb2
from server.accounts.identity.profile import avatar_type
from server.accounts.teams.listing import MyAccountView
from server.accounts.teams.views import AccountDetails, InvitationView, MemberView


def timestamp(at: datetime) -> Timestamp:
    """A moment."""
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def my_account(view: MyAccountView) -> teams_pb2.MyAccount:
    """An account of the caller's."""
    row = view.row.account
    return teams_pb2.MyAccount(
        account_id=str(row.id),
        name=view.name,
        slug=row.slug or "",
        personal=row.personal,
        plan=row.plan,
        role=view.role,
        standing=row.standing,
        has_avatar=row.has_avatar,
        joined_at=timestamp(view.row.joined_at),
    )


def details(view: AccountDetails) -> teams_pb2.AccountDetails:
    """An account."""
    row = view.row
    return teams_pb2.AccountDetails(
        account_id=str(row.id),
        name=view.name,
        slug=row.slug or "",
        personal=row.personal,
        plan=row.plan,
        role=view.role,
        standing=row.standing,
        primary_owner_id=str(row.primary_owner or ""),
        members=view.members,
        has_avatar=row.has_avatar,
        avatar=view.avatar,
        avatar_type=avatar_type(view.avatar),
        created_at=timestamp(row.created_at),
        updated_at=timestamp(row.updated_at),
    )


def member(view: MemberView) -> teams_pb2.TeamMember:
    """A person in a team."""
    return teams_pb2.TeamMember(
        person_id=str(view.person_id),
        name=view.name,
        email=view.email,
        role=view.role,
        joined_at=timestamp(view.joined_at),
    )


def invitation(view: InvitationView) -> teams_pb2.Invitation:
    """An invitation."""
    row = view.row
    return teams_pb2.Invitation(
        invitation_id=str(row.id),
        email=view.email,
        role=row.role,
        invited_by=str(row.invited_by),
        created_at=timestamp(row.created_at),
        expires_at=timestamp(row.expires_at),
        renewals=row.renewals,
        expired=view.expired,
    )
