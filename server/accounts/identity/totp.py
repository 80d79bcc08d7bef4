"""One-time codes of an authenticator app (RFC 6238): six digits every 30 seconds, each of them once."""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp

STEP_SECONDS = 30
_TOLERANCE = 1
_ISSUER = "BabySea"


def new_secret() -> str:
    """A new secret of 160 random bits in base 32."""
    return pyotp.random_base32()


def otpauth_uri(secret: str, email: str, region: str) -> str:
    """What a QR code says to an authenticator app."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=f"{_ISSUER} ({region})")


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to, one step before and after now included; None for a wrong code."""
    current = int(now.timestamp()) // STEP_SECONDS
    generator = pyotp.TOTP(secret)
    found: int | None = None
    for step in range(current - _TOLERANCE, current + _TOLERANCE + 1):
        # Every step is compared, so that the time tells nothing about which one it was.
        if hmac.compare_digest(generator.generate_otp(step), code):
            found = step
    return found
