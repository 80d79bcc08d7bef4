"""People for tests: persons, their sessions and their memberships, written straight into the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kit.ids import uuid7
from server.accounts.sessions import new_token, token_hash
from tests.support.region import TestRegion


@dataclass(frozen=True)
class Person:
    """A person who can sign in."""

    id: UUID
    email: str
    name: str
    token: str = field(repr=False)
    """Of a session."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a signed-in client sends with each call."""
        return (("authorization", f"Bearer {self.token}"),)


async def new_person(
    region: TestRegion,
    *,
    name: str = "Ada Test",
    email: str | None = None,
    password_hash: str | None = None,
    now: datetime | None = None,
) -> Person:
    """A person with a verified e-mail, a data key and a session; without any account."""
    person_id = uuid7()
    email = email or f"p{person_id.hex}@example.com"
    await region.envelope.create_data_key(person_id)
    seal = region.envelope.seal
    connection = await region.connect()
    try:
        await connection.execute(
            "insert into accounts.person (id, email_hash, email_ct, name_ct, password_hash, password_changed_at)"
            " values ($1, $2, $3, $4, $5, $6)",
            person_id,
            region.envelope.keyed_hash("person.email", email.encode()),
            await seal(person_id, "person.email", person_id, email.encode()),
            await seal(person_id, "person.name", person_id, name.encode()),
            password_hash,
            now or datetime.now(UTC) if password_hash is not None else None,
        )
    finally:
        await connection.close()
    return Person(person_id, email, name, await new_session(region, person_id, now=now))


async def new_session(
    region: TestRegion, person_id: UUID, *, now: datetime | None = None, days: float = 7
) -> str:
    """The token of a session of a person, which begins now."""
    token = new_token(region.settings.region)
    begun = now or datetime.now(UTC)
    connection = await region.connect()
    try:
        await connection.execute(
            "insert into accounts.session (id, person_id, token_hash, created_at, last_seen_at, expires_at)"
            " values ($1, $2, $3, $4, $4, $5)",
            uuid7(),
            person_id,
            token_hash(region.envelope, token),
            begun,
            begun + timedelta(days=days),
        )
    finally:
        await connection.close()
    return token


async def join(region: TestRegion, account_id: UUID, person_id: UUID, role: str) -> None:
    """Makes a person "primary_owner", "owner" or "member" of an account; replaces what the person was there."""
    connection = await region.connect()
    try:
        await connection.execute(
            "insert into accounts.membership (account_id, person_id, role) values ($1, $2, $3)"
            " on conflict (account_id, person_id) do update set role = excluded.role",
            account_id,
            person_id,
            "member" if role == "member" else "owner",
        )
        if role == "primary_owner":
            await connection.execute(
                "update accounts.account set primary_owner = $2 where id = $1", account_id, person_id
            )
    finally:
        await connection.close()


async def new_team(region: TestRegion, owner: UUID, *, credit: int = 0, slug: str | None = None) -> UUID:
    """A team of one person, its Primary Owner."""
    account_id = await region.new_account(credit=credit)
    connection = await region.connect()
    try:
        await connection.execute(
            "update accounts.account set personal = false, slug = $2 where id = $1",
            account_id,
            slug or f"t-{account_id.hex}",
        )
    finally:
        await connection.close()
    await join(region, account_id, owner, "primary_owner")
    return account_id
