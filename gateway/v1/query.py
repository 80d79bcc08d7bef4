"""Query parameters, read as the contract has it: ranges are clamped, nonsense is refused by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from starlette.datastructures import QueryParams

from kit.errors import invalid

W = TypeVar("W")

_WHOLE = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_DIGITS = 18
_TEXT_LENGTH = 100


def whole_number(query: QueryParams, name: str, *, default: int, low: int, high: int) -> int:
    """An integer parameter, clamped to low..high.

    Raises:
        BabySeaError: INVALID_INPUT when it is negative or no integer.
    """
    text = _only(query, name)
    if text is None:
        return default
    if not text.isascii() or not _WHOLE.fullmatch(text) or text.startswith("-"):
        raise invalid(name, f"{name} must be an integer of 0 or more.")
    return min(max(int(text) if len(text) <= _DIGITS else high, low), high)


def number(query: QueryParams, name: str) -> float | None:
    """A decimal parameter; None when absent.

    Raises:
        BabySeaError: INVALID_INPUT when it is negative or no number.
    """
    text = _only(query, name)
    if text is None:
        return None
    if not text.isascii() or not _NUMBER.fullmatch(text) or text.startswith("-"):
        raise invalid(name, f"{name} must be a number of 0 or more.")
    value = float(text)
    if not math.isfinite(value):
        raise invalid(name, f"{name} is too large.")
    return value


def truth(query: QueryParams, name: str) -> bool | None:
    """A parameter that is true or false; None when absent.

    Raises:
        BabySeaError: INVALID_INPUT for anything else.
    """
    text = _only(query, name)
    if text is None:
        return None
    if text not in {"true", "false"}:
        raise invalid(name, f"{name} must be true or false.")
    return text == "true"


def text(query: QueryParams, name: str, *, most: int = _TEXT_LENGTH) -> str:
    """A text parameter of at most `most` characters; empty when absent.

    Raises:
        BabySeaError: INVALID_INPUT when it is too long or holds a character that cannot be stored.
    """
    value = _only(query, name) or ""
    if len(value) > most or "\x00" in value:
        raise invalid(name, f"{name} is not valid.")
    return value


def word(query: QueryParams, name: str, words: Mapping[str, W], *, default: W) -> W:
    """What one of a few words stands for; the default when absent.

    Raises:
        BabySeaError: INVALID_INPUT for another word.
    """
    text = _only(query, name)
    if text is None:
        return default
    if text not in words:
        raise invalid(name, f"{name} must be {' or '.join(words)}.")
    return words[text]


def instant(query: QueryParams, name: str) -> datetime | None:
    """A time as ISO 8601 text, in UTC where it has no offset; None when absent.

    Raises:
        BabySeaError: INVALID_INPUT when it is none.
    """
    text = _only(query, name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(name, f"{name} must be a time such as 2026-11-22T08:00:00Z.") from None


def _only(query: QueryParams, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        raise invalid(name, f"{name} is given more than once.")
    return values[0] if values else None
