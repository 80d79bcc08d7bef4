"""The gateway's own identity towards a region: a token file, read again whenever it changes."""

from __future__ import annotations

import logging
from pathlib import Path

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError

logger = logging.getLogger(__name__)


class ServiceToken:
    """The token by which one region knows the gateway."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._token = ""

    def read(self) -> str:
        """The token as the file has it now.

        Raises:
            BabySeaError: SERVICE_UNAVAILABLE, because without an identity the region would see the gateway's own
                address as the customer's.
        """
        try:
            facts = self._path.stat()
            stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
            if stamp != self._stamp:
                self._token = self._path.read_text(encoding="ascii").strip()
                self._stamp = stamp
        except (OSError, UnicodeDecodeError):
            logger.exception("the service token file cannot be read; check BABYSEA_GATEWAY_SERVICE_TOKENS")
            self._stamp = None
            raise BabySeaError(error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE) from None
        return self._token

    def forget(self) -> None:
        """Makes the next call read the file again; used when the region did not accept the token."""
        self._stamp = None
