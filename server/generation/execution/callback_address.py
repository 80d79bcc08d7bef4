"""Where a provider reports what became of an attempt: a URL and a secret of the attempt's own, made from the master key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

from server.runtime.encryption import MasterKey

_PATH = "v1/callbacks"
_PROOF_BYTES = 16


class CallbackAddresses:
    """Makes the addresses of attempts and reads them back. Nothing of them is stored."""

    def __init__(self, master: MasterKey, base_url: str) -> None:
        """Takes the region's master key and the setting `callback_base_url`; empty makes no addresses."""
        self._base_url = base_url.rstrip("/")
        self._proofs = master.derived("callback-token")
        self._secrets = master.derived("callback-secret")

    def url(self, provider: str, attempt_id: UUID) -> str | None:
        """Where that provider may report on the attempt; None when reports are not wanted."""
        return f"{self._base_url}/{_PATH}/{provider}/{self.token(attempt_id)}" if self._base_url else None

    def token(self, attempt_id: UUID) -> str:
        """The last part of the URL: the attempt's id, and a proof that we made it."""
        content = attempt_id.bytes + self._proof(attempt_id)
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    def attempt_of(self, token: str) -> UUID | None:
        """The attempt of a token; None when we did not make it."""
        try:
            content = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(content) != 16 + _PROOF_BYTES:
            return None
        attempt_id = UUID(bytes=content[:16])
        return attempt_id if hmac.compare_digest(content[16:], self._proof(attempt_id)) else None

    def secret(self, attempt_id: UUID) -> str:
        """What a provider that takes a secret with each request signs its report with; 64 hex characters."""
        return hmac.digest(self._secrets, attempt_id.bytes, hashlib.sha256).hex()

    def _proof(self, attempt_id: UUID) -> bytes:
        return hmac.digest(self._proofs, attempt_id.bytes, hashlib.sha256)[:_PROOF_BYTES]
