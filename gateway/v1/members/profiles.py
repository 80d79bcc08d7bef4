"""People and their sessions as replies show them."""

from __future__ import annotations

from typing_extensions import TypedDict

from babysea.accounts.v1 import identity_pb2
from gateway.v1.members.values import at


class ProfileData(TypedDict):
    """The signed-in person."""

    person_id: str
    email: str
    name: str
    locale: str
    has_avatar: bool
    has_password: bool
    totp_enabled: bool
    recovery_codes_left: int
    personal_account_id: str | None
    created_at: str | None


class OneProfileData(TypedDict):
    """The signed-in person."""

    profile: ProfileData


class SessionData(TypedDict):
    """A session. Its id is no secret; `expires_at` moves with every use."""

    session_id: str
    current: bool
    user_agent: str
    created_at: str | None
    last_seen_at: str | None
    expires_at: str | None


class SessionsData(TypedDict):
    """Sessions that work, newest first."""

    sessions: list[SessionData]


class IdentityData(TypedDict):
    """An identity at an OpenID provider that signs the person in."""

    identity_id: str
    provider: str | None
    created_at: str | None


class IdentitiesData(TypedDict):
    """Linked identities, newest first."""

    identities: list[IdentityData]


class OneIdentityData(TypedDict):
    """A linked identity."""

    identity: IdentityData


def profile_data(profile: identity_pb2.Profile) -> ProfileData:
    """A person as the reply shows them."""
    return {
        "person_id": profile.person_id,
        "email": profile.email,
        "name": profile.name,
        "locale": profile.locale,
        "has_avatar": profile.has_avatar,
        "has_password": profile.has_password,
        "totp_enabled": profile.totp_enabled,
        "recovery_codes_left": profile.recovery_codes_left,
        "personal_account_id": profile.personal_account_id or None,
        "created_at": at(profile, "created_at"),
    }


def session_data(session: identity_pb2.Session) -> SessionData:
    """A session as the reply shows it."""
    return {
        "session_id": session.session_id,
        "current": session.current,
        "user_agent": session.user_agent,
        "created_at": at(session, "created_at"),
        "last_seen_at": at(session, "last_seen_at"),
        "expires_at": at(session, "expires_at"),
    }


def identity_data(linked: identity_pb2.LinkedIdentity) -> IdentityData:
    """A linked identity as the reply shows it."""
    return {
        "identity_id": linked.identity_id,
        "provider": linked.provider or None,
        "created_at": at(linked, "created_at"),
    }
