"""What a file is, by its bytes alone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from server.providers.media import is_whole, mp4_seconds, mp4_size, sniff_media


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


MVHD = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 5500) + bytes(80))
LONG_MVHD = box(b"mvhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 90_000, 360_000) + bytes(80))
UNKNOWN_MVHD = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, (1 << 32) - 1) + bytes(80))
LONG_UNKNOWN_MVHD = box(b"mvhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 1000, (1 << 64) - 1) + bytes(80))
UPRIGHT, TURNED = (1 << 16, 0, 0, 0, 1 << 16), (0, 1 << 16, 0, -(1 << 16), 0)


def track(width: int, height: int, matrix: tuple[int, ...] = UPRIGHT, version: int = 0) -> bytes:
    """A track as its header describes it."""
    times = bytes(32 if version else 20)
    turn = struct.pack(">5i4x4x4xi", *matrix, 1 << 30)
    head = (
        struct.pack(">I", version << 24)
        + times
        + bytes(16)
        + turn
        + struct.pack(">II", width << 16, height << 16)
    )
    return box(b"trak", box(b"tkhd", head))


FILM = box(b"ftyp", b"isom" + bytes(8)) + box(b"moov", MVHD) + box(b"mdat", bytes(100))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0....", "image/jpeg"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x18ftypqt  ", None),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
        (b"GIF89a", None),
        (b"<html>", None),
        (b'{"detail": "gone"}', None),
        (b"\x89PNG", None),
        (b"", None),
    ],
)
def test_a_file_is_what_its_first_bytes_say(head: bytes, said: str | None) -> None:
    assert sniff_media(head) == said


@pytest.mark.parametrize(
    ("content", "content_type", "whole"),
    [
        (FILM, "video/mp4", True),
        (FILM[:-1], "video/mp4", False),
        (FILM + b"\0", "video/mp4", False),
        (box(b"ftyp", bytes(12)) + box(b"mdat"), "video/mp4", False),
        (box(b"ftyp", bytes(12)), "video/mp4", False),
        (b"RIFF\x04\x00\x00\x00WEBP", "image/webp", True),
        (b"RIFF\x05\x00\x00\x00WEBP", "image/webp", False),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0IEND\xaeB`\x82", "image/png", True),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "image/png", False),
        (b"\xff\xd8\xff" + bytes(9) + b"\xff\xd9", "image/jpeg", True),
        (b"\xff\xd8\xff" + bytes(9), "image/jpeg", False),
    ],
)
def test_a_file_that_ends_too_early_is_not_whole(
    tmp_path: Path, content: bytes, content_type: str, whole: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert is_whole(path, content_type) is whole


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (FILM, 5.5),
        (box(b"ftyp", bytes(12)) + box(b"mdat", bytes(40)) + box(b"moov", LONG_MVHD), 4.0),
        (box(b"moov", UNKNOWN_MVHD), None),
        (box(b"moov", LONG_UNKNOWN_MVHD), None),
        (box(b"moov", box(b"mvhd", b"\0\0")), None),
        (box(b"moov", box(b"trak")), None),
        (box(b"mdat"), None),
        (b"", None),
        (struct.pack(">I4s", 4, b"moov"), None),
    ],
)
def test_the_length_of_a_film_is_read_from_its_header(
    tmp_path: Path, content: bytes, seconds: float | None
) -> None:
    path = tmp_path / "film"
    path.write_bytes(content)
    assert mp4_seconds(path) == seconds


@pytest.mark.parametrize(
    ("tracks", "size"),
    [
        (track(1280, 720), (1280, 720)),
        (track(1280, 720, version=1), (1280, 720)),
        (track(0, 0) + track(720, 1280), (720, 1280)),
        (track(1280, 720, TURNED), (720, 1280)),
        (track(0, 0), None),
        (box(b"trak", box(b"tkhd", bytes(30))), None),
        (box(b"trak"), None),
        (b"", None),
    ],
)
def test_the_size_of_a_film_is_the_one_at_which_it_is_shown(
    tmp_path: Path, tracks: bytes, size: tuple[int, int] | None
) -> None:
    path = tmp_path / "film"
    path.write_bytes(
        box(b"ftyp", b"isom" + bytes(8)) + box(b"moov", MVHD + tracks) + box(b"mdat", bytes(100))
    )
    assert mp4_size(path) == size
