"""Pictures of people and teams: bytes in, bytes out, and never anything that a browser would run."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from gateway.errors import not_found
from gateway.v1.routing import ResponseDocs

MAX_BYTES = 400 * 1024
"""Bytes that are read; how large a picture may be, the region says."""

_TYPES = ("image/png", "image/jpeg", "image/webp")
_BYTES = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in _TYPES}

PICTURE_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _BYTES}}
"""The description of a body that is a picture."""

PICTURE: ResponseDocs = {200: {"description": "The picture.", "content": _BYTES}}
"""The description of an answer that is a picture."""


def picture_reply(picture: bytes, media_type: str) -> Response:
    """A picture as it is.

    Raises:
        BabySeaError: NOT_FOUND when there is none.
    """
    if not picture or media_type not in _TYPES:
        raise not_found()
    return Response(picture, media_type=media_type, headers={"Cache-Control": "private, no-store"})
