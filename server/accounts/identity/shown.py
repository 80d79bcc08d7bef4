"""People, sessions and identities as the contract shows them."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from babysea.accounts.v1 import identity_pb2 as pb
from server.accounts.identity.beginning import SignedIn
from server.accounts.identity.oidc_provider import OidcProviders
from server.accounts.identity.profile import ProfileView, avatar_type
from server.accounts.identity.session_store import LinkedRow, SessionRow


def signed_in_shown(done: SignedIn) -> pb.SignedIn:
    """A session that has just begun, with its token."""
    return pb.SignedIn(
        session_token=done.token,
        session=session_shown(done.session, done.user_agent, current=True),
        profile=profile_shown(done.profile),
    )


def session_shown(row: SessionRow, user_agent: str, *, current: bool) -> pb.Session:
    """A session, without its token."""
    return pb.Session(
        session_id=str(row.id),
        created_at=_timestamp(row.created_at),
        last_seen_at=_timestamp(row.last_seen_at),
        expires_at=_timestamp(row.expires_at),
        user_agent=user_agent,
        current=current,
    )


def profile_shown(view: ProfileView) -> pb.Profile:
    """A person, as only the person sees it."""
    return pb.Profile(
        person_id=str(view.id),
        email=view.email,
        name=view.name,
        locale=view.locale,
        has_avatar=view.has_avatar,
        avatar=view.avatar,
        avatar_type=avatar_type(view.avatar),
        has_password=view.has_password,
        totp_enabled=view.totp_enabled,
        recovery_codes_left=view.recovery_codes_left,
        personal_account_id="" if view.personal_account is None else str(view.personal_account),
        created_at=_timestamp(view.created_at),
    )


def identity_shown(row: LinkedRow, providers: OidcProviders) -> pb.LinkedIdentity:
    """A linked identity, by the name that its provider has here."""
    return pb.LinkedIdentity(
        identity_id=str(row.id),
        provider=providers.name_of(row.issuer),
        created_at=_timestamp(row.created_at),
    )


def _timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
