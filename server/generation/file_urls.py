"""Signed file URLs: whoever holds one may read one file until it expires."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from uuid import UUID

from server.runtime.encryption import MasterKey


class FileSigner:
    """Makes and checks the URLs of output files."""

    def __init__(self, master: MasterKey, api_base_url: str) -> None:
        self._key = master.derived("file-url")
        self._base = api_base_url.rstrip("/")

    def url(self, generation_id: UUID, ordinal: int, expires_at: datetime) -> str:
        """The URL of a file, valid until a time."""
        token = _encode(generation_id.bytes + ordinal.to_bytes(2))
        expires = int(expires_at.timestamp())
        return f"{self._base}/files/{token}?expires={expires}&signature={self._sign(token, expires)}"

    def file_of(self, token: str, expires: int, signature: str, now: datetime) -> tuple[UUID, int] | None:
        """The file that a URL names: generation and position; None for a wrong, altered or expired URL."""
        if not hmac.compare_digest(self._sign(token, expires).encode(), signature.encode()):
            return None
        if expires <= now.astimezone(UTC).timestamp():
            return None
        place = _decode(token)
        return (UUID(bytes=place[:16]), int.from_bytes(place[16:])) if len(place) == 18 else None

    def _sign(self, token: str, expires: int) -> str:
        return _encode(hmac.digest(self._key, f"{token}.{expires}".encode(), hashlib.sha256))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
