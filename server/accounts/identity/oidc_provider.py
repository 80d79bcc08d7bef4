"""OpenID providers: discovery, the way there, and what an ID token proves. All HTTP of identity is here."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.settings import Settings
from server.runtime.errors import StartError

_ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
_SECONDS = 5.0
_LEEWAY_SECONDS = 60
_METADATA_SECONDS = 3600.0
_LONGEST_ANSWER = 256 * 1024


class OidcSettings(BaseModel):
    """One entry of BABYSEA_OIDC_PROVIDERS."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    issuer: str
    client_id: str
    redirect_uri: str
    client_secret_file: Path | None = None
    scopes: str = "openid email profile"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider says about somebody, signed and meant for us."""

    issuer: str
    subject: str
    email: str
    """Empty where the provider gives none."""
    email_verified: bool
    name: str


class OidcProvider:
    """One provider. Its metadata and keys are read when they are first needed and kept for an hour."""

    def __init__(self, settings: OidcSettings, http: httpx.AsyncClient, secret: str, *, plain: bool) -> None:
        """Takes its settings, the HTTP client, its secret (may be empty), and whether plain http is let pass."""
        self.name = settings.name
        self.issuer = settings.issuer
        self._settings = settings
        self._http = http
        self._secret = secret
        self._plain = plain
        self._metadata: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = 0.0

    async def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE when the provider cannot be asked.
        """
        metadata = await self._discovered()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": self._settings.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint(metadata, "authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def claims(self, *, code: str, nonce: str, verifier: str, now: int) -> Claims:
        """What the provider says about whoever came back with a code.

        Raises:
            BabySeaError: AUTHENTICATION_FAILED when the code or the token is not right; SERVICE_UNAVAILABLE when the
                provider cannot be asked.
        """
        metadata = await self._discovered()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_uri,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        auth = httpx.BasicAuth(self._settings.client_id, self._secret) if self._secret else None
        endpoint = self._endpoint(metadata, "token_endpoint")
        answer = await self._asked("POST", endpoint, data=form, auth=auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _refused()
        return self._checked(await self._decoded(token), nonce, now)

    async def _decoded(self, token: str) -> dict[str, Any]:
        for renew in (False, True):
            keys = await self._key_set(renew=renew)
            try:
                return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            except (JoseError, ValueError, KeyError):
                # The provider may have new keys since ours were read; asked again once.
                if renew:
                    raise _refused() from None
        raise _refused()

    def _checked(self, raw: dict[str, Any], nonce: str, now: int) -> Claims:
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._settings.client_id},
            "sub": {"essential": True},
            "nonce": {"essential": True, "value": nonce},
        }
        claims = CodeIDToken(
            raw, {}, options=options, params={"nonce": nonce, "client_id": self._settings.client_id}
        )
        try:
            claims.validate(now=now, leeway=_LEEWAY_SECONDS)
        except JoseError:
            raise _refused() from None
        return Claims(
            issuer=self.issuer,
            subject=str(raw["sub"]),
            email=_text(raw.get("email")),
            email_verified=raw.get("email_verified") is True,
            name=_text(raw.get("name")),
        )

    async def _discovered(self) -> Mapping[str, Any]:
        if not self._metadata or time.monotonic() - self._read_at > _METADATA_SECONDS:
            url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = await self._asked("GET", url)
            if metadata.get("issuer") != self.issuer:
                raise _away()
            self._metadata, self._keys, self._read_at = metadata, None, time.monotonic()
        return self._metadata

    async def _key_set(self, *, renew: bool) -> KeySet:
        if self._keys is None or renew:
            found: Any = await self._asked("GET", self._endpoint(await self._discovered(), "jwks_uri"))
            try:
                self._keys = KeySet.import_key_set(found)
            except (JoseError, ValueError, KeyError):
                raise _away() from None
        return self._keys

    def _endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        endpoint = metadata.get(name)
        if not isinstance(endpoint, str) or not _is_safe(endpoint, plain=self._plain):
            raise _away()
        return endpoint

    async def _asked(
        self, method: str, url: str, *, data: Mapping[str, str] | None = None, auth: httpx.Auth | None = None
    ) -> dict[str, Any]:
        try:
            response = await self._http.request(method, url, data=data, auth=auth)
        except httpx.HTTPError:
            raise _away() from None
        if response.status_code in (400, 401, 403):
            raise _refused()
        try:
            body = response.json() if len(response.content) <= _LONGEST_ANSWER else None
        except ValueError:
            body = None
        if response.status_code != httpx.codes.OK or not isinstance(body, dict):
            raise _away()
        return body


class OidcProviders:
    """The providers of a region, by name."""

    def __init__(self, providers: Mapping[str, OidcProvider], http: httpx.AsyncClient) -> None:
        self._providers = providers
        self._http = http

    def names(self) -> list[str]:
        """Their names, in the order of the settings."""
        return list(self._providers)

    def get(self, name: str) -> OidcProvider:
        """One of them.

        Raises:
            BabySeaError: NOT_FOUND.
        """
        provider = self._providers.get(name)
        if provider is None:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_NOT_FOUND, "This region has no sign-in provider of this name."
            )
        return provider

    def name_of(self, issuer: str) -> str:
        """The name of the provider with an issuer; empty when the region no longer has it."""
        return next((name for name, one in self._providers.items() if one.issuer == issuer), "")

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


def open_oidc(settings: Settings) -> OidcProviders:
    """The providers of the settings; nothing is asked of them yet.

    Raises:
        StartError: the setting cannot be used; the message says what to do.
    """
    plain = settings.mode == "embedded"
    try:
        rows = TypeAdapter(list[OidcSettings]).validate_python(json.loads(settings.oidc_providers or "[]"))
    except (ValueError, ValidationError) as error:
        raise StartError(
            "BABYSEA_OIDC_PROVIDERS must be a JSON list of objects with name, issuer, client_id and redirect_uri."
        ) from error
    http = httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False, trust_env=False)
    providers: dict[str, OidcProvider] = {}
    for row in rows:
        if not _is_safe(row.issuer, plain=plain):
            raise StartError(f'The issuer of "{row.name}" in BABYSEA_OIDC_PROVIDERS must be an https URL.')
        try:
            secret = row.client_secret_file.read_text().strip() if row.client_secret_file else ""
        except OSError as error:
            raise StartError(
                f'The client_secret_file of "{row.name}" in BABYSEA_OIDC_PROVIDERS cannot be read.'
            ) from error
        providers[row.name] = OidcProvider(row, http, secret, plain=plain)
    return OidcProviders(providers, http)


def _is_safe(url: str, *, plain: bool) -> bool:
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (plain and loopback))


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _refused() -> BabySeaError:
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
        "The provider did not confirm the sign-in; begin it again.",
    )


def _away() -> BabySeaError:
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
        "The sign-in provider cannot be reached; try again or sign in with a password.",
    )
