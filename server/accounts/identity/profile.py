"""What a person shows of themselves: reading it and changing it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.errors import invalid
from server.accounts.identity import store
from server.accounts.identity.errors import session_over
from server.accounts.identity.parts import Identity, note
from server.accounts.identity.store import PersonRow
from server.runtime.database import person_transaction
from server.runtime.names import checked_name

LARGEST_AVATAR = 256 * 1024
"""Bytes that a picture may have."""

DEFAULT_LOCALE = "en"
_SHORTEST_NAME = 2


@dataclass(frozen=True, slots=True)
class ProfileView:
    """A person, as only the person sees it."""

    id: UUID
    email: str
    name: str
    locale: str
    has_avatar: bool
    has_password: bool
    totp_enabled: bool
    recovery_codes_left: int
    personal_account: UUID | None
    created_at: datetime
    avatar: bytes = b""
    """Empty unless it was asked for."""


async def read_profile(identity: Identity, person_id: UUID, *, with_avatar: bool = False) -> ProfileView:
    """The person.

    Raises:
        BabySeaError: AUTHENTICATION_FAILED when it is gone.
    """
    avatar_ct = None
    async with person_transaction(identity.engine, person_id) as connection:
        person = await store.get_person(connection, person_id)
        if with_avatar:
            avatar_ct = await store.get_avatar(connection, person_id)
    if person is None:
        raise session_over()
    return await opened_profile(identity, person, avatar_ct)


async def update_profile(
    identity: Identity, person_id: UUID, *, name: str | None, locale: str | None, avatar: bytes | None
) -> ProfileView:
    """Changes what is given; an empty picture removes it.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; AUTHENTICATION_FAILED when the person is gone.
    """
    name_ct = None
    if name is not None:
        name_ct = await sealed_name(identity, person_id, checked_person_name(name))
    avatar_ct = None
    if avatar:
        check_avatar(avatar)
        avatar_ct = await identity.envelope.seal(person_id, "person.avatar", person_id, avatar)
    async with person_transaction(identity.engine, person_id) as connection:
        await store.set_profile(
            connection,
            person_id,
            name_ct=name_ct,
            locale=None if locale is None else locale or DEFAULT_LOCALE,
            keep_avatar=avatar is None,
            avatar_ct=avatar_ct,
            now=identity.clock.now(),
        )
        person = await store.get_person(connection, person_id)
        if person is None:
            raise session_over()
        await note(connection, person, "profile_updated")
    return await opened_profile(identity, person)


def checked_person_name(name: str) -> str:
    """The name without white space around it.

    Raises:
        BabySeaError: INVALID_INPUT for one that is shorter than 2 or longer than 100 characters, or holds characters
            that nobody can see.
    """
    name = checked_name("name", name)
    if len(name) < _SHORTEST_NAME:
        raise invalid("name", "name must have 2 to 100 characters.")
    return name


def check_avatar(avatar: bytes) -> None:
    """Lets a picture pass.

    Raises:
        BabySeaError: INVALID_INPUT for one that is too large, or neither PNG, JPEG nor WebP.
    """
    if len(avatar) > LARGEST_AVATAR:
        raise invalid("avatar", f"avatar must have at most {LARGEST_AVATAR // 1024} KiB.")
    if not avatar_type(avatar):
        raise invalid("avatar", "avatar must be a PNG, JPEG or WebP image.")


def avatar_type(avatar: bytes) -> str:
    """The media type of a picture by its first bytes; empty for anything that we do not take."""
    if avatar.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if avatar.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if avatar[:4] == b"RIFF" and avatar[8:12] == b"WEBP":
        return "image/webp"
    return ""


async def sealed_name(identity: Identity, person_id: UUID, name: str) -> bytes:
    """A person's name as it is stored."""
    return await identity.envelope.seal(person_id, "person.name", person_id, name.encode())


async def sealed_email(identity: Identity, person_id: UUID, email: str) -> bytes:
    """A person's e-mail as it is stored."""
    return await identity.envelope.seal(person_id, "person.email", person_id, email.encode())


async def opened_email(identity: Identity, person_id: UUID, email_ct: bytes) -> str:
    """A person's e-mail in its normal form."""
    return (await identity.envelope.open(person_id, "person.email", person_id, email_ct)).decode()


async def opened_profile(
    identity: Identity, person: PersonRow, avatar_ct: bytes | None = None
) -> ProfileView:
    """The row with what people wrote made readable."""
    avatar = b""
    if avatar_ct is not None:
        avatar = await identity.envelope.open(person.id, "person.avatar", person.id, avatar_ct)
    name = await identity.envelope.open(person.id, "person.name", person.id, person.name_ct)
    return ProfileView(
        id=person.id,
        email=await opened_email(identity, person.id, person.email_ct),
        name=name.decode(),
        locale=person.locale,
        has_avatar=person.has_avatar,
        has_password=person.password_hash is not None,
        totp_enabled=person.totp_confirmed_at is not None,
        recovery_codes_left=person.recovery_codes,
        personal_account=person.personal_account,
        created_at=person.created_at,
        avatar=avatar,
    )
