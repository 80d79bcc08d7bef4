"""The client side of these tests: people of a team who call a running server."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from babysea.accounts.v1 import settings_service_pb2 as settings_pb
from babysea.accounts.v1 import team_service_pb2 as teams_pb
from babysea.accounts.v1.settings_service_pb2_grpc import SettingsServiceStub
from babysea.accounts.v1.team_service_pb2_grpc import TeamServiceStub
from babysea.keys.v1 import key_service_pb2 as keys_pb
from babysea.keys.v1.key_service_pb2_grpc import KeyServiceStub
from kit.clock import FixedClock
from kit.ids import uuid7
from kit.rpc import SERVICE_TOKEN, error_of
from kit.settings import Settings
from server.accounts.tokens import new_token, token_hash
from server.runtime.lifecycle import RunningServer
from server.runtime.service_identity import read_token
from tests.support.people import Person, join, new_person, new_team
from tests.support.region import TestRegion

Metadata = tuple[tuple[str, str], ...]
PASSWORD = "correct horse battery"
ROLES = ("primary_owner", "owner", "member")


@dataclass(frozen=True)
class Team:
    """A team with somebody of each role."""

    id: UUID
    slug: str
    primary_owner: Person
    owner: Person
    member: Person

    def __getitem__(self, role: str) -> Person:
        """Who has a role."""
        found: Person = getattr(self, role)
        return found


class Live:
    """A client of a running server."""

    def __init__(
        self,
        server: RunningServer,
        region: TestRegion,
        settings: Settings,
        clock: FixedClock,
        channel: grpc.aio.Channel,
    ) -> None:
        assert settings.operator_token_file is not None
        assert settings.service_token_file is not None
        self.server = server
        self.region = region
        self.clock = clock
        self.channel = channel
        self.teams: Any = TeamServiceStub(channel)
        self.settings: Any = SettingsServiceStub(channel)
        self.keys: Any = KeyServiceStub(channel)
        self.operator: Metadata = bearer(read_token(settings.operator_token_file))
        self.service: Metadata = ((SERVICE_TOKEN, read_token(settings.service_token_file)),)
        self._hash = ""

    async def person(self, name: str = "Ada Test") -> Person:
        """A signed-in person whose password is PASSWORD."""
        if not self._hash:
            self._hash = await self.server.shared.passwords.hash(PASSWORD)
        return await new_person(self.region, name=name, password_hash=self._hash, now=self.clock.now())

    async def team(self, *, credit: int = 0) -> Team:
        """A team with somebody of each role."""
        people = {role: await self.person(f"The {role}") for role in ROLES}
        account_id = await new_team(self.region, people["primary_owner"].id, credit=credit)
        for role in ("owner", "member"):
            await join(self.region, account_id, people[role].id, role)
        return Team(account_id, f"t-{account_id.hex}", **people)

    async def invitation(self, team: Team, person: Person, role: str = "member") -> tuple[str, str]:
        """An open invitation of a person; its id and a token of it."""
        made = await self.teams.InviteMember(
            teams_pb.InviteMemberRequest(account_id=str(team.id), email=person.email, role=role),
            metadata=team.owner.metadata,
        )
        invitation_id = made.invitation.invitation_id
        return invitation_id, await self.give_token(invitation_id)

    async def give_token(self, invitation_id: str) -> str:
        """Gives an invitation a token that the test knows: the real one is in the sealed letter alone."""
        token = new_token()
        await self.execute(
            "update accounts.invitation set token_hash = $2 where id = $1",
            UUID(invitation_id),
            token_hash(self.region.envelope, "invitation", token),
        )
        return token

    async def key(self, account_id: UUID, preset: str = "full_access") -> str:
        """A key of an account, made by an operator."""
        request = keys_pb.CreateKeyRequest(account_id=str(account_id), name="test", preset=preset)
        made = await self.keys.CreateKey(request, metadata=self.operator)
        return str(made.secret)

    async def open_key(self, account_id: UUID) -> UUID:
        """The id of an active key of an account, written straight into the database."""
        key_id = uuid7()
        await self.execute(
            "insert into keys.api_key (id, account_id, public_id, hash, name, scopes)"
            " values ($1, $2, $3, 'x', 'n', '{generation:read}')",
            key_id,
            account_id,
            key_id.hex[-12:],
        )
        return key_id

    async def open_invitation(self, team: Team) -> UUID:
        """The id of an open invitation, written straight into the database."""
        invitation_id = uuid7()
        email = f"i{invitation_id.hex}@example.com".encode()
        sealed = await self.region.envelope.seal(team.id, "invitation.email", invitation_id, email)
        now = self.clock.now()
        await self.execute(
            "insert into accounts.invitation (id, account_id, email_hash, email_ct, role, token_hash, invited_by,"
            " created_at, expires_at) values ($1, $2, $3, $4, 'member', $3, $5, $6, $7)",
            invitation_id,
            team.id,
            self.region.envelope.keyed_hash("person.email", email),
            sealed,
            team.primary_owner.id,
            now,
            now + timedelta(days=7),
        )
        return invitation_id

    async def set_standing(self, account_id: UUID, standing: str) -> None:
        """Sets how an account stands, as an operator."""
        request = settings_pb.SetStandingRequest(
            account_id=str(account_id), standing=standing, reason="review"
        )
        await self.settings.SetStanding(request, metadata=self.operator)

    async def empty_call(self, method: MethodDescriptor, metadata: Metadata) -> None:
        """Calls a method with an empty request."""
        request = GetMessageClass(method.input_type)()
        serialize, parse = type(request).SerializeToString, GetMessageClass(method.output_type).FromString
        path = f"/{method.containing_service.full_name}/{method.name}"
        if method.server_streaming:
            stream: Any = self.channel.unary_stream(path, serialize, parse)
            async for _ in stream(request, metadata=metadata):
                pass
        else:
            unary: Any = self.channel.unary_unary(path, serialize, parse)
            await unary(request, metadata=metadata)

    async def rows(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Rows of one statement, as the superuser."""
        connection = await self.region.connect()
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    async def execute(self, statement: str, *values: object) -> None:
        """One statement, as the superuser."""
        await self.rows(statement, *values)

    async def roles(self, account_id: UUID) -> dict[UUID, str]:
        """Who is what in an account, as it is stored."""
        found = await self.rows(
            "select m.person_id, case when a.primary_owner = m.person_id then 'primary_owner' else m.role end as role"
            " from accounts.membership m join accounts.account a on a.id = m.account_id where m.account_id = $1",
            account_id,
        )
        return {row["person_id"]: row["role"] for row in found}

    async def activity(self, account_id: UUID) -> list[str]:
        """What was done to an account, in order, as category.action."""
        found = await self.rows(
            "select category || '.' || action as what from logs.activity where account_id = $1 order by at, id",
            account_id,
        )
        return [row["what"] for row in found]

    async def letters(self, account_id: UUID) -> list[str]:
        """Templates of the letters about an account, in order."""
        found = await self.rows(
            "select template from notifications.letter where account_id = $1 order by created_at, id",
            account_id,
        )
        return [row["template"] for row in found]


def bearer(credential: str) -> Metadata:
    """Metadata that presents a credential."""
    return (("authorization", f"Bearer {credential}"),)


async def reason(call: Awaitable[object]) -> str:
    """How a call ended: "OK", or the name of the error's reason."""
    try:
        await call
    except grpc.aio.AioRpcError as failed:
        return error_of(failed).spec.name
    return "OK"
