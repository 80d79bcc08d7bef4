"""Reports signed as Fal, Replicate and Black Forest Labs sign them, and hosts that give the keys away."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kit.clock import FixedClock
from server.providers.fal import Fal
from server.providers.protocol import Adapter, CallbackRefused
from server.providers.replicate import Replicate
from tests.integration.providers.native import Provider, Sent, says

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
KEY, OTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SECRET, OTHER_SECRET = b"0123456789abcdef01234567", b"another-secret-of-24-byt"
JOB = "job-1"


def fal_at(url: str, clock: FixedClock) -> Provider:
    """Fal with its keys at that host."""
    return Provider(
        "fal", lambda http, info: Fal(http, info, f"{url}/.well-known/jwks.json", clock), scheme="Key"
    )


def replicate_at(clock: FixedClock) -> Provider:
    """Replicate by that clock."""
    return Provider("replicate", lambda http, info: Replicate(http, info, clock))


def jwks(*keys: Ed25519PrivateKey, **more: str) -> bytes:
    """Keys as Fal publishes them."""
    entries = [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "kid": str(number),
            **more,
            "x": _url64(key.public_key().public_bytes_raw()),
        }
        for number, key in enumerate(keys)
    ]
    return says({"keys": entries})


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def fal_headers(
    body: bytes, *, key: Ed25519PrivateKey = KEY, at: datetime = NOW, job: str = JOB, user: str = "user-1"
) -> dict[str, str]:
    """Headers as Fal sends them."""
    stamp = str(int(at.timestamp()))
    message = "\n".join((job, user, stamp, hashlib.sha256(body).hexdigest())).encode()
    return {
        "x-fal-webhook-request-id": job,
        "x-fal-webhook-user-id": user,
        "x-fal-webhook-timestamp": stamp,
        "x-fal-webhook-signature": key.sign(message).hex(),
    }


def replicate_headers(
    body: bytes, *, secret: bytes = SECRET, at: datetime = NOW, event: str = "msg_1"
) -> dict[str, str]:
    """Headers as Replicate sends them."""
    stamp = str(int(at.timestamp()))
    made = hmac.digest(secret, f"{event}.{stamp}.".encode() + body, "sha256")
    return {
        "webhook-id": event,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }


def bfl_headers(body: bytes, secret: str = "s3cret") -> dict[str, str]:
    """Headers as Black Forest Labs sends them."""
    return {"x-bfl-signature": f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"}


def secret_answer(*secrets: bytes) -> tuple[bytes, ...]:
    """Replicate's secret, as its API tells it."""
    return tuple(says({"key": "whsec_" + base64.b64encode(secret).decode()}) for secret in secrets)


class Calls:
    """A provider that answers questions for keys, in turn, and counts them."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.requests: list[Sent] = []

    def __call__(self, request: Sent, url: str) -> bytes:
        self.requests.append(request)
        return self.answers[min(len(self.requests), len(self.answers)) - 1]


async def believed(adapter: Adapter, headers: dict[str, str], body: bytes, secret: str) -> None:
    """The report is one of the provider."""
    assert (await adapter.verify_callback(headers, body, secret)).job_id


@contextmanager
def refused() -> Iterator[None]:
    """Nothing may come of it."""
    with pytest.raises(CallbackRefused):
        yield


FAL_BODY = json.dumps({"request_id": JOB, "status": "OK", "payload": {"images": []}}).encode()
BODY = json.dumps({"id": JOB, "status": "succeeded", "output": []}).encode()
