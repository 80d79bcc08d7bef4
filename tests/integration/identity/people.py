"""The client side of these tests: people with a mailbox, a password and a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import grpc
import pyotp

from babysea.accounts.v1 import identity_service_pb2 as pb
from babysea.accounts.v1.identity_pb2 import Profile, SignedIn
from babysea.accounts.v1.identity_service_pb2_grpc import IdentityServiceStub
from kit.clock import FixedClock
from kit.errors import BabySeaError
from kit.rpc import CLIENT_ADDRESS, SERVICE_TOKEN, error_of
from kit.settings import Settings
from server.privacy.recording import current_versions
from server.runtime.service_identity import read_token
from tests.support.letters import PostedLetter, letters_to
from tests.support.region import TestRegion

PASSWORD = "a very long sentence of mine"


@dataclass
class Person:
    """Somebody who signed up."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    profile: Profile
    secret: str = ""
    codes: list[str] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        """Id of the person."""
        return UUID(self.profile.person_id)

    @property
    def account(self) -> UUID:
        """Id of the personal account."""
        return UUID(self.profile.personal_account_id)

    def code(self, clock: FixedClock) -> str:
        """The authenticator's code of now."""
        return pyotp.TOTP(self.secret).at(clock.at)


@dataclass
class People:
    """Calls to IdentityService, each made from an address of its own unless one is given."""

    region: TestRegion
    clock: FixedClock
    stub: Any
    service: str
    made: int = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls, address: str, region: TestRegion, clock: FixedClock, settings: Settings
    ) -> AsyncIterator[People]:
        """Connects to a server."""
        assert settings.service_token_file is not None
        async with grpc.aio.insecure_channel(address) as channel:
            yield cls(region, clock, IdentityServiceStub(channel), read_token(settings.service_token_file))

    def call(
        self, method: str, session: str = "", address: str = "", agent: str = "browser", **fields: Any
    ) -> Any:
        """A call as the gateway makes it for a customer."""
        self.made += 1
        metadata = [
            (SERVICE_TOKEN, self.service),
            (CLIENT_ADDRESS, address or f"198.18.{self.made // 250 % 250}.{self.made % 250}"),
            ("x-babysea-user-agent", agent),
        ]
        if session:
            metadata.append(("authorization", f"Bearer {session}"))
        if method in ("SignUp", "FinishOidc"):
            fields.setdefault("accepted_versions", current_versions(self.clock.at))
        request = getattr(pb, f"{method}Request")(**fields)
        return getattr(self.stub, method)(request, metadata=tuple(metadata))

    async def refused(self, method: str, session: str = "", **fields: Any) -> BabySeaError:
        """The refusal of a call that must be refused."""
        try:
            await self.call(method, session, **fields)
        except grpc.aio.AioRpcError as failed:
            return error_of(failed)
        raise AssertionError(f"{method} was not refused")

    async def sign_up(self, email: str, *, name: str = "Ada Example", password: str = PASSWORD) -> str:
        """Asks for an account; the token of the letter."""
        await self.call("SignUp", email=email, password=password, name=name)
        return (await self.letter(email, "auth.verify_email")).values["token"]

    async def new_person(self, email: str = "", *, name: str = "Ada Example") -> Person:
        """Somebody whose e-mail is verified."""
        email = email or f"{uuid4().hex}@example.com"
        done = await self.call("VerifyEmail", token=await self.sign_up(email, name=name), password=PASSWORD)
        return Person(email, PASSWORD, done.signed_in.session_token, done.signed_in.profile)

    async def with_totp(self, person: Person) -> Person:
        """The same with a second factor, and the time moved on so that its first code is old."""
        begun = await self.call("BeginTotp", person.token, password=person.password)
        person.secret = begun.secret
        done = await self.call("ConfirmTotp", person.token, totp_code=person.code(self.clock))
        person.token, person.codes = done.session_token, list(done.recovery_codes)
        return person

    async def sign_in(self, person: Person, **fields: Any) -> SignedIn:
        """Another session of somebody."""
        done = await self.call("SignIn", email=person.email, password=person.password, **fields)
        signed_in: SignedIn = done.signed_in
        return signed_in

    async def works(self, session: str) -> bool:
        """Whether a session is let in."""
        try:
            await self.call("GetProfile", session)
        except grpc.aio.AioRpcError as failed:
            assert error_of(failed).spec.name == "AUTHENTICATION_FAILED"
            return False
        return True

    async def letter(self, email: str, template: str) -> PostedLetter:
        """The newest letter of a kind to somebody."""
        return [one for one in await letters_to(self.region, email) if one.template == template][-1]

    async def letters(self, email: str) -> list[str]:
        """The kinds of letters to somebody, oldest first."""
        return [one.template for one in await letters_to(self.region, email)]
