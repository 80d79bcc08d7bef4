"""A real SMTP server that can be told how to answer, people to write to, and letters for them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as POLICY
from typing import Any
from uuid import UUID

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from sqlalchemy.ext.asyncio import AsyncConnection

from kit.clock import Clock, SystemClock
from kit.ids import uuid7
from server.notifications.addressing import Addressing, Consented, nobody_consents
from server.notifications.mailing import Mailer
from server.notifications.posting import post_email, seal_letter
from server.notifications.rendering import Renderer
from server.notifications.sending import Sender, SenderSettings
from server.notifications.smtp import SmtpMailer, smtp_server
from server.runtime.database import system_transaction
from tests.support.region import TestRegion

DASHBOARD = "https://us.pages.example"
SENDER = "BabySea <no-reply@mail.example>"


@dataclass
class PostOffice:
    """A mail server and what it took."""

    port: int = 0
    received: list[tuple[str, EmailMessage]] = field(default_factory=list)
    """Recipient and message, in the order of their arrival."""
    recipient_answers: list[str] = field(default_factory=list)
    """What it says to the next recipients instead of taking them."""
    data_answers: list[str] = field(default_factory=list)
    """What it says to the next messages instead of taking them."""
    leaves_early: bool = False
    """Whether it hangs up instead of saying goodbye."""
    logins: list[str] = field(default_factory=list)
    in_tls: list[bool] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its URL."""
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.recipient_answers:
            return self.recipient_answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_answers:
            return self.data_answers.pop(0)
        assert isinstance(envelope.content, bytes)
        message = BytesParser(policy=POLICY).parsebytes(envelope.content)
        assert isinstance(message, EmailMessage)
        self.received += [(to, message) for to in envelope.rcpt_tos]
        self.in_tls.append(session.ssl is not None)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.leaves_early and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
        return "221 Bye"

    def login(self, server: SMTP, session: Session, envelope: Envelope, way: str, given: Any) -> AuthResult:
        """Takes the password "right"."""
        assert isinstance(given, LoginPassword)
        self.logins.append(given.login.decode())
        right = given.password == b"right"
        # "Not handled" makes the server say no in its own words.
        return AuthResult(success=right, handled=right)


@asynccontextmanager
async def open_post_office(tls: ssl.SSLContext | None = None) -> AsyncIterator[PostOffice]:
    """A mail server on a free port; with a context it insists on STARTTLS."""
    office = PostOffice()

    def protocol() -> SMTP:
        return SMTP(
            office,
            tls_context=tls,
            require_starttls=tls is not None,
            authenticator=office.login,
            auth_require_tls=tls is not None,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()
        await server.wait_closed()


@dataclass(frozen=True)
class Post:
    """The region's post: people, letters and senders."""

    region: TestRegion

    async def person(self, email: str) -> UUID:
        """A person with an address."""
        person_id = uuid7()
        envelope = self.region.envelope
        await envelope.create_data_key(person_id)
        connection = await self.region.connect()
        try:
            await connection.execute(
                "insert into accounts.person (id, email_hash, email_ct, name_ct) values ($1, $2, $3, $4)",
                person_id,
                envelope.keyed_hash("person.email", email.encode()),
                await envelope.seal(person_id, "person.email", person_id, email.encode()),
                await envelope.seal(person_id, "person.name", person_id, b"Test"),
            )
        finally:
            await connection.close()
        return person_id

    async def move(self, person_id: UUID, email: str) -> None:
        """Gives a person another address."""
        envelope = self.region.envelope
        connection = await self.region.connect()
        try:
            await connection.execute(
                "update accounts.person set email_hash = $2, email_ct = $3 where id = $1",
                person_id,
                envelope.keyed_hash("person.email", email.encode()),
                await envelope.seal(person_id, "person.email", person_id, email.encode()),
            )
        finally:
            await connection.close()

    async def write(self, template: str, event_key: str, data: dict[str, str], **options: Any) -> UUID:
        """Posts a letter in a transaction of its own; its id."""
        options.setdefault("sealed_by", options.get("person_id"))
        letter = await seal_letter(
            self.region.envelope, template=template, event_key=event_key, data=data, **options
        )
        async with self.region.databases.app.begin() as connection:
            await post_email(connection, letter)
        return letter.id

    def sender(
        self,
        mailer: Mailer | PostOffice,
        *,
        clock: Clock | None = None,
        consented: Consented = nobody_consents,
        make_reset_token: Callable[[AsyncConnection, UUID], Any] | None = None,
        **settings: Any,
    ) -> Sender:
        """A sender that is not running."""
        engine = self.region.databases.worker
        if isinstance(mailer, PostOffice):
            mailer = SmtpMailer(smtp_server(mailer.url, production=False))

        async def token(connection: AsyncConnection, person_id: UUID) -> str:
            return f"reset-{uuid7()}"

        return Sender(
            engine,
            Addressing(
                engine,
                self.region.envelope,
                consented=consented,
                make_reset_token=make_reset_token or token,
            ),
            Renderer(DASHBOARD, "us"),
            mailer,
            clock or SystemClock(),
            SenderSettings(SENDER, DASHBOARD, **settings),
            chance=lambda: 0.5,
        )

    async def row(self, letter_id: UUID) -> dict[str, Any]:
        """A letter as it stands in the database."""
        connection = await self.region.connect()
        try:
            row = await connection.fetchrow("select * from notifications.letter where id = $1", letter_id)
            assert row is not None
            return dict(row)
        finally:
            await connection.close()

    async def execute(self, statement: str, *values: object) -> Any:
        """One statement as the database's superuser; the first value that it gives."""
        connection = await self.region.connect()
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def make_due(self, letter_id: UUID) -> None:
        """Lets a letter's pause or lease be over."""
        await self.execute("update notifications.letter set run_after = now() where id = $1", letter_id)

    async def tell(self, person_id: UUID, event_key: str, **changes: Any) -> None:
        """Tells a person something in the app."""
        from server.notifications.posting import notify

        values: dict[str, Any] = {
            "account_id": None,
            "person_ids": [person_id],
            "category": "team",
            "kind": "team.role_changed",
            "event_key": event_key,
            "data": {"role": "owner"},
        }
        async with system_transaction(self.region.databases.app) as connection:
            await notify(connection, **{**values, **changes})


def bodies(message: EmailMessage) -> tuple[str, str]:
    """The text and the HTML of a message."""
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()
