"""People with recognisable names, addresses and secrets, and a life that touches everything that knows people."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pyotp
import pytest

from babysea.accounts.v1 import identity_service_pb2 as identity_pb
from babysea.accounts.v1.identity_service_pb2_grpc import IdentityServiceStub
from kit.ids import random_base62
from kit.rpc import CLIENT_ADDRESS
from server.privacy.recording import current_versions
from tests.integration.isolation.calls import Metadata, bearer, service
from tests.support.stack import Stack

_TOKEN = re.compile(r"/([a-z/-]+)\?token=([A-Za-z0-9_.-]+)")


def _word() -> str:
    """Capital and small letters and digits, and no run that another random text is likely to have."""
    return "Zq" + random_base62(16)


def _host() -> str:
    """An IPv6 address of documentation, as it is written; 96 of its bits are random and none of its groups begins with 0."""
    groups = [format(secrets.randbelow(0xEFFF) + 0x1000, "x") for _ in range(6)]
    return ":".join(["2001", "db8", *groups])


class MailFolder:
    """The letters of a region that has no mail server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def letters(self, to: str) -> list[EmailMessage]:
        """What was written to an address."""
        found = []
        for path in sorted(self.folder.glob("*.eml")):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if to.lower() in str(message["To"]).lower():
                found.append(message)
        return found

    async def token(self, to: str, page: str) -> str:
        """The token of the letter to an address that leads to a page, once it has come."""
        async with asyncio.timeout(30):
            while True:
                for message in self.letters(to):
                    body = message.get_body(("plain",))
                    for where, token in _TOKEN.findall("" if body is None else body.get_content()):
                        if where == page:
                            return str(token)
                await asyncio.sleep(0.05)


@dataclass
class Somebody:
    """A person, everything that must not be found of it, and what it calls with."""

    stack: Stack
    mail: MailFolder
    agent: str = field(default_factory=lambda: f"Browser/{_word()}")
    name_word: str = field(default_factory=_word)
    email_word: str = field(default_factory=lambda: _word().lower())
    address: str = field(default_factory=_host)
    password: str = field(default_factory=lambda: _word() + _word())
    session: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    """Further secrets by what they are."""

    @property
    def email(self) -> str:
        """Address, as people type it."""
        return f"{self.email_word.capitalize()}@Example.com"

    @property
    def name(self) -> str:
        """With a character beyond ASCII."""
        return f"Zoë {self.name_word}"

    @property
    def anonymous(self) -> Metadata:
        """What the gateway says for somebody who has not signed in."""
        return (*service(self.stack), (CLIENT_ADDRESS, self.address), ("x-babysea-user-agent", self.agent))

    @property
    def metadata(self) -> Metadata:
        """What the gateway says for the signed-in person."""
        return (*self.anonymous, *bearer(self.session))

    @property
    def identity(self) -> Any:
        """The identity service."""
        return IdentityServiceStub(self.stack.channel)

    def sign_up_request(self, **changes: str) -> identity_pb.SignUpRequest:
        """What the person types, or something else."""
        typed = {"email": self.email, "password": self.password, "name": self.name, **changes}
        return identity_pb.SignUpRequest(**typed, accepted_versions=current_versions(datetime.now(UTC)))

    async def sign_up(self) -> None:
        """Becomes a person by the letter that comes."""
        request = self.sign_up_request()
        await self.identity.SignUp(request, metadata=self.anonymous)
        token = self.keep("sign-up token", await self.mail.token(self.email, "verify-email"))
        done = await self.identity.VerifyEmail(
            identity_pb.VerifyEmailRequest(token=token, password=self.password), metadata=self.anonymous
        )
        self.signed_in(done.signed_in.session_token)
        assert done.signed_in.profile.email.lower() == self.email.lower()
        assert done.signed_in.profile.name == self.name

    def signed_in(self, token: str) -> None:
        """Goes on with a session, and keeps the old token as a secret."""
        if self.session:
            self.keep("session", self.session)
        self.session = token

    def keep(self, what: str, secret: str) -> str:
        """Notes a secret to look for."""
        self.secrets[f"{what} {len(self.secrets)}"] = secret
        return secret

    async def turn_on_totp(self) -> None:
        """Adds an authenticator, with its recovery codes."""
        begun = await self.identity.BeginTotp(
            identity_pb.BeginTotpRequest(password=self.password), metadata=self.metadata
        )
        secret = self.keep("TOTP secret", begun.secret)
        confirmed = await self.identity.ConfirmTotp(
            identity_pb.ConfirmTotpRequest(totp_code=pyotp.TOTP(secret).now()), metadata=self.metadata
        )
        self.signed_in(confirmed.session_token)
        for code in confirmed.recovery_codes:
            self.keep("recovery code", code)

    def needles(self) -> dict[str, bytes]:
        """Everything of the person to look for, by what it is."""
        packed = b"".join(int(group, 16).to_bytes(2, "big") for group in self.address.split(":"))
        words = {
            "e-mail": self.email_word.encode(),
            "name": self.name_word.encode(),
            "address": self.address.encode(),
            "address, packed": packed,
            "address, in a URL": quote(self.address).encode(),
            "password": self.password.encode(),
            "session": self.session.removeprefix("ses_us_").encode(),
        }
        for what, secret in self.secrets.items():
            words[what] = secret.removeprefix("ses_us_").encode()
            if what.startswith("TOTP"):
                words[f"{what}, packed"] = base64.b32decode(secret)
        return words


async def refused(call: Callable[[], Any]) -> None:
    """Makes a call that must fail, so that failures are among what is searched."""
    with pytest.raises(grpc.aio.AioRpcError):
        await call()
