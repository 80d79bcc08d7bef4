"""Whether a provider's report is its own: three ways of signing, each over the very bytes that arrived.

What can be checked without a key is checked first, so that nonsense costs nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.clock import Clock
from server.providers import faults
from server.providers.calls import asked
from server.providers.http import ProviderHttp, text_of
from server.providers.key_ring import KeyRing
from server.providers.protocol import CallbackFacts, CallbackRefused, ProviderUnreachable

_TOLERANCE = timedelta(seconds=300)
_MOST_KEYS = 16
_MOST_SIGNATURES = 8
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_EVENT_ID = re.compile(r"[A-Za-z0-9_:.-]{1,128}")
_STATUS = re.compile(r"[A-Za-z ]{1,64}")
_USER = re.compile(r"[!-~]{1,256}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_HEX_64 = re.compile(r"[0-9a-fA-F]{64}")
_HEX_128 = re.compile(r"[0-9a-fA-F]{128}")


class FalSignatures:
    """Fal signs with Ed25519 and publishes its keys."""

    def __init__(self, http: ProviderHttp, name: str, keys_url: str, clock: Clock) -> None:
        self._http = http
        self._name = name
        self._keys_url = keys_url
        self._clock = clock
        self._ring = KeyRing(name, self._fetch, clock)

    async def verify(self, headers: Mapping[str, str], body: bytes) -> CallbackFacts:
        """What a report is about.

        Raises:
            CallbackRefused: it cannot be trusted.
            ProviderUnreachable: the keys cannot be had now.
        """
        job_id = headers.get("x-fal-webhook-request-id", "")
        user_id = headers.get("x-fal-webhook-user-id", "")
        stamp = headers.get("x-fal-webhook-timestamp", "")
        signature = headers.get("x-fal-webhook-signature", "")
        if not _JOB_ID.fullmatch(job_id) or not _USER.fullmatch(user_id):
            raise CallbackRefused("about nothing")
        signed_at = _fresh(stamp, self._clock.now())
        if not _HEX_128.fullmatch(signature):
            raise CallbackRefused("unsigned")
        message = "\n".join((job_id, user_id, stamp, hashlib.sha256(body).hexdigest())).encode()
        made = bytes.fromhex(signature)
        if not await self._ring.any_fits(lambda key: _is_signed_with(key, made, message)):
            raise CallbackRefused("wrongly signed")
        return CallbackFacts(job_id, job_id, signed_at)

    async def _fetch(self) -> tuple[bytes, ...]:
        if not self._http.is_ours(self._keys_url):
            raise ProviderUnreachable(faults.invalid_response(self._name))
        answer = await asked(self._http, self._name, "keys", self._keys_url)
        entries = answer.fields.get("keys")
        keys = [_ed25519_key(entry) for entry in (entries if isinstance(entries, list) else [])[:_MOST_KEYS]]
        known = tuple(key for key in keys if key is not None)
        if not answer.ok or not known:
            raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))
        return known


class ReplicateSignatures:
    """Replicate signs with a secret of the account, which it tells the account's owner."""

    def __init__(self, http: ProviderHttp, name: str, clock: Clock, secret: str = "") -> None:
        """Takes how Replicate is asked for the secret, or the secret itself, and then it is not asked.

        Raises:
            ValueError: the secret is none; the message says what to do.
        """
        self._key = _secret_key(secret)
        if secret and not self._key:
            raise ValueError("The signing secret of Replicate is not whsec_ and base64; set it again.")
        self._http = http
        self._name = name
        self._clock = clock
        self._ring = KeyRing(name, self._fetch, clock)

    async def verify(self, headers: Mapping[str, str], body: bytes) -> CallbackFacts:
        """What a report is about.

        Raises:
            CallbackRefused: it cannot be trusted.
            ProviderUnreachable: the secret cannot be had now.
        """
        event_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not _EVENT_ID.fullmatch(event_id):
            raise CallbackRefused("about nothing")
        signed_at = _fresh(stamp, self._clock.now())
        given = headers.get("webhook-signature", "").split()[:_MOST_SIGNATURES]
        signatures = [made for each in given if (made := _v1_signature(each))]
        if not signatures:
            raise CallbackRefused("unsigned")
        message = f"{event_id}.{stamp}.".encode() + body

        def fits(key: bytes) -> bool:
            right = hmac.digest(key, message, "sha256")
            return any(hmac.compare_digest(right, made) for made in signatures)

        if not await self._ring.any_fits(fits):
            raise CallbackRefused("wrongly signed")
        return CallbackFacts(_job_id(_fields(body)), event_id, signed_at)

    async def _fetch(self) -> tuple[bytes, ...]:
        if self._key:
            return (self._key,)
        answer = await asked(self._http, self._name, "keys", "v1/webhooks/default/secret")
        key = _secret_key(answer.text("key"))
        if not answer.ok or not key:
            raise ProviderUnreachable(faults.invalid_response(self._name, answer.status))
        return (key,)


def verify_bfl(headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> CallbackFacts:
    """What a report of Black Forest Labs is about: it is signed with a secret that went out with the request.

    Raises:
        CallbackRefused: it cannot be trusted.
    """
    scheme, _, signature = headers.get("x-bfl-signature", "").partition("=")
    if not secret or scheme != "sha256" or not _HEX_64.fullmatch(signature):
        raise CallbackRefused("unsigned")
    right = hmac.digest(secret.encode(), body, "sha256")
    if not hmac.compare_digest(right, bytes.fromhex(signature)):
        raise CallbackRefused("wrongly signed")
    fields = _fields(body)
    job_id = _job_id(fields)
    signed_at = _stated_time(fields.get("timestamp"))
    if signed_at is not None and abs(now - signed_at) > _TOLERANCE:
        raise CallbackRefused("too old or too new")
    status = text_of(fields, "status")
    event = status if _STATUS.fullmatch(status) else ""
    return CallbackFacts(job_id, f"{job_id}:{event}", signed_at)


def _fresh(stamp: str, now: datetime) -> datetime:
    if not _SECONDS.fullmatch(stamp):
        raise CallbackRefused("undated")
    signed_at = _moment(int(stamp))
    if signed_at is None or abs(now - signed_at) > _TOLERANCE:
        raise CallbackRefused("too old or too new")
    return signed_at


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _stated_time(value: object) -> datetime | None:
    """A moment in a body, as ISO 8601 with a time zone or in seconds; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _moment(value)
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


def _fields(body: bytes) -> Mapping[str, object]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CallbackRefused("about nothing")
    return content


def _job_id(fields: Mapping[str, object]) -> str:
    job_id = text_of(fields, "id")
    if not _JOB_ID.fullmatch(job_id):
        raise CallbackRefused("about nothing")
    return job_id


def _v1_signature(text: str) -> bytes:
    version, _, encoded = text.partition(",")
    return _base64(encoded) if version == "v1" else b""


def _secret_key(text: str) -> bytes:
    """The key inside of a secret "whsec_…"; nothing when it is none."""
    scheme, _, encoded = text.partition("_")
    return _base64(encoded) if scheme == "whsec" else b""


def _base64(text: str) -> bytes:
    """What a base64 text holds; nothing when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _ed25519_key(entry: object) -> bytes | None:
    if not isinstance(entry, dict) or (entry.get("kty"), entry.get("crv")) != ("OKP", "Ed25519"):
        return None
    text = text_of(entry, "x")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == 32 else None


def _is_signed_with(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
