"""What a file really is, judged by its bytes: its kind, whether it is all there, and how long a film runs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEAD_BYTES = 32
_TAIL_BYTES = 1024
_MOST_BOXES = 4096

CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}
"""Content type by output format."""


def sniff_media(head: bytes) -> str | None:
    """The content type that a file's first bytes say (32 are enough); None for anything but PNG, JPEG, WebP, MP4."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    # QuickTime files have the same box; a player that expects MP4 may refuse them.
    if head[4:8] == b"ftyp" and head[8:12] != b"qt  ":
        return "video/mp4"
    return None


def is_whole(path: Path, content_type: str) -> bool:
    """Whether a file of that type ends where it says it ends; the picture itself is not decoded."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if content_type == "video/mp4":
            boxes = list(_boxes(file, 0, size))
            kinds = {kind for kind, _, _ in boxes}
            return bool(boxes) and boxes[-1][2] == size and {b"moov", b"mdat"} <= kinds
        if content_type == "image/webp":
            (length,) = struct.unpack("<I", file.read(8)[4:])
            return bool(length + 8 <= size)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    return (b"IEND\xae\x42\x60\x82" if content_type == "image/png" else b"\xff\xd9") in tail


def mp4_seconds(path: Path) -> float | None:
    """How long an MP4 says that it runs; None when it does not say."""
    with path.open("rb") as file:
        for at in _inside(file, 0, path.stat().st_size, b"moov", b"mvhd"):
            file.seek(at)
            return _movie_seconds(file.read(32))
    return None


def mp4_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels at which an MP4 is shown; None when no track of it says so."""
    with path.open("rb") as file:
        for at in _inside(file, 0, path.stat().st_size, b"moov", b"trak", b"tkhd"):
            file.seek(at)
            shown = _shown_size(file.read(96))
            if shown is not None:
                return shown
    return None


def _shown_size(header: bytes) -> tuple[int, int] | None:
    """The size in a track's header; None for sound, whose size is 0."""
    # Times and durations are twice as long in version 1; the matrix and the size, in 16.16 fixed point, stand at the end.
    at = 52 if header[:1] == b"\x01" else 40
    try:
        a, _, _, _, d = struct.unpack_from(">5i", header, at)
        width, height = (each >> 16 for each in struct.unpack_from(">II", header, at + 36))
    except struct.error:
        return None
    if not width or not height:
        return None
    # Turned by a quarter: phones and some encoders store it lying and say so.
    return (height, width) if a == 0 and d == 0 else (width, height)


def _movie_seconds(header: bytes) -> float | None:
    try:
        if header[0] == 1:
            (scale, length), unknown = struct.unpack_from(">IQ", header, 20), (1 << 64) - 1
        else:
            (scale, length), unknown = struct.unpack_from(">II", header, 12), (1 << 32) - 1
    except (IndexError, struct.error):
        return None
    # All ones: whoever wrote the header did not know it (ISO 14496-12, 8.2.2.3).
    return length / scale if scale and length not in (0, unknown) else None


def _inside(file: BinaryIO, start: int, end: int, *way: bytes) -> Iterator[int]:
    """Where the content of every box begins that is reached by these kinds, each inside of the one before."""
    for kind, content, until in _boxes(file, start, end):
        if kind != way[0]:
            continue
        if len(way) > 1:
            yield from _inside(file, content, until, *way[1:])
        else:
            yield content


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and end of each box from `start` on; stops at the first that does not fit."""
    for _ in range(_MOST_BOXES):
        file.seek(start)
        header = file.read(16)
        if start + 8 > end or len(header) < 8:
            return
        length, kind = struct.unpack_from(">I4s", header)
        content = start + 8
        if length == 1 and len(header) == 16:
            (length,) = struct.unpack_from(">Q", header, 8)
            content = start + 16
        elif length == 0:
            length = end - start
        if length < content - start or start + length > end:
            return
        yield kind, content, start + length
        start += length
