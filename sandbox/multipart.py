"""Reading multipart/form-data: the fields and files of a form."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One field of a form."""

    name: str
    content: bytes
    filename: str | None
    """None for a plain value."""


def read_form(raw: bytes, content_type: str) -> list[Part] | None:
    """Return the parts of a form in order, or None when the body is none."""
    kind, _, rest = content_type.partition(";")
    boundary = re.search(r'boundary="?([^";]+)"?', rest)
    if kind.strip().lower() != "multipart/form-data" or boundary is None:
        return None
    mark = b"--" + boundary[1].encode()
    pieces = raw.split(mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        return None

    parts: list[Part] = []
    for piece in pieces[1:-1]:
        head, found, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if not found or name is None:
            return None
        filename = re.search(rb'filename="([^"]*)"', head)
        parts.append(
            Part(
                name[1].decode("utf-8", "replace"),
                content.removesuffix(b"\r\n"),
                None if filename is None else filename[1].decode("utf-8", "replace"),
            )
        )
    return parts


def plain_values(parts: list[Part]) -> dict[str, object]:
    """Return the values of a form; whole numbers, numbers and booleans as such, since a form has only text."""
    return {
        part.name: _read(part.content.decode("utf-8", "replace")) for part in parts if part.filename is None
    }


def _read(text: str) -> object:
    if re.fullmatch(r"-?\d{1,15}", text):
        return int(text)
    if re.fullmatch(r"-?\d{1,9}\.\d{1,17}", text):
        return float(text)
    return {"true": True, "false": False}.get(text, text)
