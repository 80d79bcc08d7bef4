"""Pixel sizes for ratios and resolutions, shared by the providers."""

from __future__ import annotations

from typing import Literal

_SHORT_SIDES = {"480p": 480, "720p": 720, "1080p": 1080, "hd": 720, "fhd": 1080}


def picture_size(ratio: str, longest_side: int = 1024) -> tuple[int, int]:
    """Return width and height for a ratio such as "16:9", with the longest side given."""
    wide, high = (int(part) for part in ratio.split(":"))
    if wide >= high:
        return longest_side, round(longest_side * high / wide)
    return round(longest_side * wide / high), longest_side


def film_size(ratio: str, resolution: str) -> tuple[int, int]:
    """Return the nominal width and height for a ratio and a resolution such as "720p"."""
    short = _SHORT_SIDES.get(resolution.lower(), 720)
    wide, high = (int(part) for part in ratio.split(":"))
    if wide >= high:
        return round(short * wide / high), short
    return short, round(short * high / wide)


def sides(size: str, cross: str) -> tuple[int, int]:
    """Return width and height of a size in one word, such as "1024*768"."""
    width, _, height = size.partition(cross)
    return int(width), int(height)


PICTURE_FORMATS: dict[str, Literal["png", "jpeg", "webp"]] = {
    "png": "png",
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "webp": "webp",
}
"""The providers' own format names."""
