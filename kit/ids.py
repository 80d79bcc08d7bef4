"""Identifiers: UUIDv7 everywhere, so that primary keys grow with time."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from uuid import UUID

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def uuid7(unix_millis: int | None = None) -> UUID:
    """A new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000 if unix_millis is None else unix_millis
    return _shape_v7(millis, int.from_bytes(os.urandom(10)))


def derived_uuid7(seed: UUID, *parts: bytes) -> UUID:
    """A UUIDv7 with the time of `seed` whose other bits are a hash of `seed` and `parts`.

    The same arguments always give the same id, so a repeated call is recognised, and a caller who picks `seed`
    cannot pick the id.
    """
    digest = hashlib.sha256(seed.bytes)
    for part in parts:
        digest.update(len(part).to_bytes(4) + part)
    millis = int.from_bytes(seed.bytes[:6])
    return _shape_v7(millis, int.from_bytes(digest.digest()[:10]))


def _shape_v7(millis: int, noise: int) -> UUID:
    value = (millis & ((1 << 48) - 1)) << 80 | (noise & ((1 << 80) - 1))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def request_id() -> str:
    """A new public request id, for example "req_5XK…"; opaque to clients."""
    return "req_" + base62(secrets.randbits(128), 22)


def base62(number: int, width: int) -> str:
    """`number` in base 62, padded with zeros to `width` characters."""
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits)).rjust(width, "0")


def random_base62(width: int) -> str:
    """`width` random characters of base 62."""
    return "".join(secrets.choice(_BASE62) for _ in range(width))
