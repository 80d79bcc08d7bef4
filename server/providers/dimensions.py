"""How large a picture is, read from its header alone: nothing is decoded, so no bomb goes off."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_MOST_SEGMENTS = 1000
# Frame headers; the numbers between them are tables and extensions.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_RATIO_TOLERANCE = 1.15


def dimensions(path: Path, content_type: str) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, JPEG or WebP file; None when its header is broken."""
    read = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}[content_type]
    with path.open("rb") as file:
        try:
            width, height = read(file)
        except (struct.error, _BrokenError):
            return None
    return (width, height) if width and height else None


def has_ratio(size: tuple[int, int], ratio: str) -> bool:
    """Whether a picture of that size is about as wide and as high as a ratio such as "16:9" says; other words say nothing."""
    width, separator, height = ratio.partition(":")
    if not separator or not (width.isdecimal() and height.isdecimal()):
        return True
    # Models draw in steps of 16 to 64 pixels and have favourite sizes: few of them meet a ratio exactly.
    off = size[0] * int(height) / (size[1] * int(width))
    return 1 / _RATIO_TOLERANCE <= off <= _RATIO_TOLERANCE


class _BrokenError(Exception):
    pass


def _png(file: BinaryIO) -> tuple[int, int]:
    head = file.read(24)
    length, kind, width, height = struct.unpack_from(">I4sII", head, 8)
    # Any other chunk at this place makes decoders differ about what they see.
    if (length, kind) != (13, b"IHDR"):
        raise _BrokenError
    return width, height


def _jpeg(file: BinaryIO) -> tuple[int, int]:
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        marker = _next_marker(file)
        if marker in _JPEG_ALONE:
            continue
        if marker in (_JPEG_SCAN, _JPEG_END):
            break
        (length,) = struct.unpack(">H", file.read(2))
        if length < 2:
            break
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", file.read(5), 1)
            return width, height
        file.seek(length - 2, 1)
    raise _BrokenError


def _next_marker(file: BinaryIO) -> int:
    if file.read(1) != b"\xff":
        raise _BrokenError
    for _ in range(_MOST_SEGMENTS):
        byte = file.read(1)
        # Fill bytes may stand before a marker.
        if byte != b"\xff":
            return byte[0] if byte else _JPEG_END
    raise _BrokenError


def _webp(file: BinaryIO) -> tuple[int, int]:
    head = file.read(30)
    kind = head[12:16]
    if kind == b"VP8X":
        return _three(head, 24) + 1, _three(head, 27) + 1
    if kind == b"VP8L":
        mark, bits = struct.unpack_from("<BI", head, 20)
        if mark != 0x2F:
            raise _BrokenError
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise _BrokenError


def _three(head: bytes, at: int) -> int:
    low, high = struct.unpack_from("<HB", head, at)
    return int(low | high << 16)
