"""The text of an API key: bye_<region>_<12 id>_<32 secret><6 checksum>, base62.

The checksum is the CRC-32 of everything before it. It keeps typing errors and garbage from the database and from
bcrypt; it proves nothing.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

from kit.ids import base62, random_base62

_ID_CHARACTERS = 12
_SECRET_CHARACTERS = 32
_CHECKSUM_CHARACTERS = 6
_SHAPE = re.compile(r"bye_([a-z]{2})_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")


@dataclass(frozen=True, slots=True)
class KeyText:
    """The parts of a key."""

    region: str
    public_id: str
    """12 characters by which the key is found; no secret."""
    secret: str = field(repr=False)
    """32 characters that are stored nowhere."""

    def whole(self) -> str:
        """The key as its holder sends it."""
        body = f"bye_{self.region}_{self.public_id}_{self.secret}"
        return body + _checksum(body)


def new_key(region: str) -> KeyText:
    """A new random key of a region."""
    return KeyText(region, random_base62(_ID_CHARACTERS), random_base62(_SECRET_CHARACTERS))


def parse_key(text: str) -> KeyText | None:
    """The parts of a key; None for text that is none or has a wrong character in it."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    body, checksum = text[:-_CHECKSUM_CHARACTERS], match[4]
    return KeyText(match[1], match[2], match[3]) if _checksum(body) == checksum else None


def shown_prefix(region: str, public_id: str) -> str:
    """What may be shown of a key: everything up to its id."""
    return f"bye_{region}_{public_id}"


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode("ascii")), _CHECKSUM_CHARACTERS)
