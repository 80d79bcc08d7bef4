"""Outputs that are not what was asked: the same drawing, spoiled in one way."""

from __future__ import annotations

from dataclasses import replace

from .sketch import MediaShape

_GARBAGE = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>\n"


def spoiled_shape(shape: MediaShape, fault: str | None) -> MediaShape:
    """Return the shape that is really made for a file whose outer form is at fault."""
    if fault == "wrongsize":
        return replace(shape, width=max(16, shape.width // 2), height=max(16, shape.height // 3))
    if fault == "short" and shape.kind == "video":
        return replace(shape, seconds=max(0.5, shape.seconds / 2))
    if fault == "wrongformat":
        if shape.kind == "video":
            return replace(shape, kind="image", width=640, height=360, format="png", seconds=0.0)
        return replace(shape, format="jpeg" if shape.format == "png" else "png")
    return shape


def spoil(content: bytes, fault: str | None) -> bytes:
    """Return the bytes that are really sent for a file whose content is at fault."""
    if fault == "garbage":
        return _GARBAGE
    if fault == "empty":
        return b""
    return content[: len(content) // 2] if fault == "truncated" else content
