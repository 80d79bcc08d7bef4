"""A small OpenID provider on loopback: real HTTP, keys of its own, and codes that work once."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey


@dataclass
class OpenIdProvider:
    """The provider, and what it says about whoever signs in next."""

    issuer: str
    client_id: str = "babysea-test"
    client_secret: str = field(default="a secret of the test", repr=False)
    now: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    """Claims that replace those of the next ID tokens; None removes one."""
    forged: bool = False
    """Whether ID tokens are signed by a key that the provider does not publish."""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str, subject: str, **claims: Any) -> dict[str, str]:
        """Somebody goes to the authorization URL and agrees; what the browser brings back."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["client_id"] == self.client_id
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "sub": subject, "claims": json.dumps(claims)}
        return {"code": code, "state": asked["state"]}

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The token endpoint: a code works once, with the client's secret and the PKCE verifier."""
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or authorization != f"Basic {expected}" or challenge != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "sub": asked["sub"],
            "nonce": asked["nonce"],
            "iat": self.now,
            "exp": self.now + 300,
            **json.loads(asked["claims"]),
            **self.changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        key = RSAKey.generate_key(2048, {"kid": "one"}) if self.forged else self.key
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)
        return 200, {"id_token": token, "access_token": "unused", "token_type": "Bearer"}

    def documents(self) -> dict[str, dict[str, Any]]:
        """What it publishes, by path."""
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            },
            "/keys": {"keys": [self.key.as_dict(private=False)]},
        }


@contextmanager
def open_provider() -> Iterator[OpenIdProvider]:
    """Serves a provider until the block is left."""
    held: list[OpenIdProvider] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = held[0].documents().get(self.path)
            self._reply(404 if document is None else 200, document or {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._reply(*held[0].exchange(form, self.headers.get("authorization", "")))

        def _reply(self, status: int, document: dict[str, Any]) -> None:
            payload = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.append(OpenIdProvider(f"http://127.0.0.1:{server.server_port}"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield held[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
