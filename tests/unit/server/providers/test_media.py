"""What a file is, by its bytes alone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from server.providers.media import is_whole, mp4_seconds, sniff_media


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


MVHD = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 5500) + bytes(80))
LONG_MVHD = box(b"mvhd", struct.pack(">IQQIQ", 1 << 24, 0, 0, 90_000, 360_000) + bytes(80))
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
