"""Files that travel inside of a call: base64 in both directions, and the parts of a form on the way there."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping

from server.providers.http import FormPart
from server.providers.media import CONTENT_TYPES
from server.providers.protocol import InputFile

_AT_ONCE_LETTERS = 1_000_000
_EXTENSIONS = {content_type: extension for extension, content_type in CONTENT_TYPES.items()}


async def decoded(text: object) -> bytes | None:
    """The bytes of a base64 text or of a base64 data URL; None for anything else, also for nothing."""
    if not isinstance(text, str):
        return None
    if len(text) > _AT_ONCE_LETTERS:
        return await asyncio.to_thread(_decoded, text)
    return _decoded(text)


async def encoded(file: InputFile) -> str:
    """An input file in base64.

    Raises:
        OSError: it cannot be read.
    """
    return await asyncio.to_thread(lambda: base64.b64encode(file.path.read_bytes()).decode())


def value_parts(parameters: Mapping[str, object]) -> list[FormPart]:
    """Plain values as parts of a form: numbers in digits, flags as "true" and "false"."""
    return [FormPart(name, _written(value)) for name, value in parameters.items()]


def file_part(name: str, file: InputFile) -> FormPart:
    """An input file as a part of a form, under a name that says no more than what it is."""
    extension = _EXTENSIONS.get(file.content_type, "bin")
    return FormPart(name, file.path, f"input.{extension}", file.content_type)


def _decoded(text: str) -> bytes | None:
    head, marker, payload = text.partition(";base64,")
    if marker and not head.startswith("data:"):
        return None
    try:
        return binascii.a2b_base64(payload if marker else text, strict_mode=True) or None
    except ValueError:
        return None


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
