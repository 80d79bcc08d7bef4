"""Which bytes of a file a client wants, after RFC 9110 section 14."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE)
_LARGEST = 2**53
"""No file is that long; larger numbers are treated like this one."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A single range; either `suffix` or `first` counts."""

    first: int = 0
    """First byte wanted."""
    last: int | None = None
    """Last byte wanted; None for the end of the file."""
    suffix: int | None = None
    """Last bytes wanted instead."""

    @property
    def length(self) -> int:
        """Bytes wanted; 0 means to the end."""
        return 0 if self.last is None else self.last - self.first + 1


def parse_range(header: str | None) -> ByteRange | None:
    """The range that a Range header asks for.

    None means the whole file: no header, several ranges, another unit, or something malformed, all of which a server
    may ignore.
    """
    match = _SINGLE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return ByteRange(suffix=min(int(last[:20]), _LARGEST)) if last else None
    start = min(int(first[:20]), _LARGEST)
    if not last:
        return ByteRange(first=start)
    end = min(int(last[:20]), _LARGEST)
    return ByteRange(first=start, last=end) if start <= end else None


def matches_etag(header: str | None, etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags, as in If-None-Match or If-Range, names this one.

    Args:
        header: the header's value; None matches nothing.
        etag: the file's own strong tag, quotes included.
        weak: whether a weak tag of the same value counts too.
    """
    if not header:
        return False
    if weak and header.strip() == "*":
        return True
    tags = [tag.strip() for tag in header.split(",")]
    return etag in (tag.removeprefix("W/") if weak else tag for tag in tags)
