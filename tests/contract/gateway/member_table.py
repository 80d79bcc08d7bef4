"""The routes for people, as the application has them, with a request that each of them takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi.routing import iter_route_contexts

from gateway.app import create_routes
from gateway.limits import FailureLimit
from gateway.session import require_nobody, require_session
from kit.clock import SystemClock
from tests.contract.gateway.fake_region import ACCOUNT_ID
from tests.contract.gateway.members import SOME_ID

BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/auth/sign-up": {
        "email": "ada@example.com",
        "password": "correct horse",
        "name": "Ada",
        "accepted_versions": {"dpa": "2026-11-22"},
    },
    "POST /v1/auth/verify-email": {"token": "t", "password": "correct horse"},
    "POST /v1/auth/resend-verification": {"email": "ada@example.com"},
    "POST /v1/auth/sign-in": {"email": "ada@example.com", "password": "correct horse"},
    "POST /v1/auth/sign-in/confirm": {"second_factor_token": "t", "totp_code": "123456"},
    "POST /v1/auth/password/reset-request": {"email": "ada@example.com"},
    "POST /v1/auth/password/reset": {"token": "t", "password": "correct horse"},
    "POST /v1/auth/oidc/{provider}/finish": {"state": "s", "code": "c"},
    "POST /v1/me/identities/{provider}/finish": {"state": "s", "code": "c"},
    "PATCH /v1/me": {"name": "Ada L"},
    "POST /v1/me/password": {"current_password": "correct horse", "new_password": "correct horse 2"},
    "POST /v1/me/email": {"email": "ada@example.com"},
    "POST /v1/me/email/confirm": {"token": "t"},
    "POST /v1/me/totp/confirm": {"totp_code": "123456"},
    "POST /v1/me/recovery-codes": {"totp_code": "123456"},
    "PATCH /v1/me/notification-preferences": {
        "changes": [{"category": "team", "channel": "email", "enabled": False}]
    },
    "POST /v1/me/consents": {"choices": [{"purpose": "dpa", "version": "2026-11-22", "granted": True}]},
    "POST /v1/teams": {"account_name": "Acme", "account_slug": "acme"},
    "PATCH /v1/accounts/{account_id}": {"account_name": "Acme 2"},
    "DELETE /v1/accounts/{account_id}": {"account_slug": "acme", "password": "correct horse"},
    "PATCH /v1/accounts/{account_id}/members/{person_id}": {"role": "owner"},
    "POST /v1/accounts/{account_id}/transfer": {"person_id": SOME_ID, "password": "correct horse"},
    "POST /v1/accounts/{account_id}/invitations": {"email": "bob@example.com", "role": "member"},
    "PATCH /v1/accounts/{account_id}/invitations/{invitation_id}": {"role": "owner"},
    "PATCH /v1/accounts/{account_id}/settings": {"residency": "strict"},
    "PUT /v1/accounts/{account_id}/alerts": {"thresholds": [0.5, 2]},
    "POST /v1/accounts/{account_id}/keys": {"apikey_name": "main", "apikey_preset": "read_only"},
}
"""What a route needs in its body."""

PATH = {
    "account_id": ACCOUNT_ID,
    "provider": "google",
    "token": "inv_secret-of-the-letter",
}


@dataclass(frozen=True)
class Route:
    """One route, as the application has it."""

    name: str
    shape: Any
    needs: frozenset[Any]

    @property
    def method(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.path_with()

    def path_with(self, **ids: str) -> str:
        """The path with these ids, and made-up ones in place of the others."""
        path = self.name.partition(" ")[2]
        for part in [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]:
            path = path.replace(f"{{{part}}}", ids.get(part) or PATH.get(part, SOME_ID))
        return path

    def request(self) -> dict[str, Any]:
        if self.method == "PUT" and self.path.endswith("/avatar"):
            return {"content": b"\x89PNG"}
        return {"json": BODIES[self.name]} if self.name in BODIES else {}


def _routes() -> list[Route]:
    app = create_routes(FailureLimit(SystemClock()))
    return [
        Route(
            f"{method} {context.path_format}",
            context.response_model,
            frozenset(dependency.call for dependency in context.dependant.dependencies),
        )
        for context in iter_route_contexts(app.routes)
        for method in sorted(context.methods or ())
        if context.dependant is not None
    ]


ROUTES = _routes()
MEMBER = [route for route in ROUTES if require_session in route.needs]
OPEN = [route for route in ROUTES if require_nobody in route.needs]
