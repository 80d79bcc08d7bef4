"""The length of an MP4, read from its boxes (ISO/IEC 14496-12): enough to price what was delivered."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_LARGEST_HEADER = 64


def mp4_seconds(path: Path) -> float | None:
    """The film's length in seconds, from moov/mvhd; None when the file does not say."""
    with path.open("rb") as file:
        size = path.stat().st_size
        moov = _find(file, b"moov", 0, size)
        header = None if moov is None else _find(file, b"mvhd", *moov)
        if header is None:
            return None
        file.seek(header[0])
        box = file.read(min(_LARGEST_HEADER, header[1] - header[0]))
    try:
        if box[0] == 1:
            scale, duration = struct.unpack_from(">IQ", box, 20)
        else:
            scale, duration = struct.unpack_from(">II", box, 12)
    except (struct.error, IndexError):
        return None
    return duration / scale if scale else None


def _find(file: BinaryIO, kind: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the content of the first box of a kind lies between two offsets."""
    position = start
    while position + 8 <= end:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return None
        length, name = struct.unpack_from(">I4s", header)
        content = position + 8
        if length == 1 and len(header) == 16:
            (length,) = struct.unpack_from(">Q", header, 8)
            content = position + 16
        elif length == 0:
            length = end - position
        if length < content - position or position + length > end:
            return None
        if name == kind:
            return content, position + length
        position += length
    return None
