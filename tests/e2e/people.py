"""People as the end-to-end tests play them: by REST alone, with the letters that the stack really wrote."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
import pyotp

from tests.e2e.conftest import Stack, until

_TOKEN = re.compile(r"[?&]token=([A-Za-z0-9_.-]+)")


@dataclass
class Person:
    """Somebody with a browser (a cookie jar) or a program (a session in a header) at one region."""

    stack: Stack
    region: str
    name: str
    email: str = ""
    password: str = field(default_factory=lambda: "pw " + secrets.token_urlsafe(12))
    by_cookie: bool = True
    token: str = ""
    """The session, for a program."""
    secrets: list[str] = field(default_factory=list)
    """Everything that must be in no log."""

    def __post_init__(self) -> None:
        self.email = self.email or f"{self.name.lower()}-{secrets.token_hex(4)}@example.com"
        self.url = self.stack.region(self.region)["api"]
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self.secrets += [self.password, self.email]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request, with what this person's browser or program sends along."""
        headers = {"origin": self.url} if self.by_cookie else {}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return self.client.request(method, path, headers=headers | more.pop("headers", {}), **more)

    def do(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """One request that succeeds; its data."""
        answer = self.ask(method, path, json=body) if body else self.ask(method, path)
        assert answer.status_code == 200, (method, path, answer.text)
        data: dict[str, Any] = answer.json()["data"]
        if "session_token" in data:
            self.token = data["session_token"]
            self.secrets.append(self.token)
        self.secrets += [cookie for cookie in self.client.cookies.values() if cookie not in self.secrets]
        return data

    def refused(self, method: str, path: str, **body: Any) -> str:
        """The code of a request that is refused."""
        answer = self.ask(method, path, json=body) if body else self.ask(method, path)
        assert answer.status_code >= 400, (method, path, answer.text)
        return str(answer.json()["error"]["code"])

    @property
    def transport(self) -> str:
        """How this person wants sessions."""
        return "cookie" if self.by_cookie else "token"

    def ask_for_account(self) -> None:
        """Signs up; a letter is on its way."""
        texts = self.do("GET", "/v1/consent-texts")["texts"]
        accepted = {text["purpose"]: text["version"] for text in texts if text["necessary"]}
        asked = {"email": self.email, "password": self.password, "name": self.name}
        self.do("POST", "/v1/auth/sign-up", **asked, accepted_versions=accepted)

    def sign_up(self) -> None:
        """Signs up, follows the link of the letter and enters the chosen password."""
        self.ask_for_account()
        token = self.token_of("Confirm")
        chosen = {"token": token, "password": self.password, "session_transport": self.transport}
        self.do("POST", "/v1/auth/verify-email", **chosen)

    def letters(self) -> list[EmailMessage]:
        """Every letter to this person so far, oldest first."""
        folder = self.stack.data_dir / "mail" / self.region
        files = sorted(folder.glob("*.eml")) if folder.exists() else []
        read = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return [letter for letter in read if self.email in str(letter["To"])]

    def texts(self) -> list[str]:
        """Subject and plain text of every letter."""
        parts = [(str(letter["Subject"]), letter.get_body(("plain",))) for letter in self.letters()]
        return [f"{subject}\n{part.get_content() if part else ''}" for subject, part in parts]

    def letter(self, words: str) -> str:
        """The newest letter that says something; waits for it."""
        until(lambda: any(words in text for text in self.texts()))
        return [text for text in self.texts() if words in text][-1]

    def token_of(self, words: str) -> str:
        """The token in the link of a letter."""
        found = _TOKEN.search(self.letter(words))
        assert found is not None, words
        self.secrets.append(found[1])
        return found[1]


def next_code(secret: str, step: int) -> str:
    """A one-time code of a coming time step; each works once."""
    totp = pyotp.TOTP(secret)
    return str(totp.at(int(time.time()), counter_offset=step))
