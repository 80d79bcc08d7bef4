"""Query parameters, read as the contract has it: ranges are clamped, nonsense is refused by name."""

from __future__ import annotations

import math
import re

from starlette.datastructures import QueryParams

from kit.errors import invalid

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


def text(query: QueryParams, name: str) -> str:
    """A text parameter; empty when absent.

    Raises:
        BabySeaError: INVALID_INPUT when it is too long or holds a character that cannot be stored.
    """
    value = _only(query, name) or ""
    if len(value) > _TEXT_LENGTH or "\x00" in value:
        raise invalid(name, f"{name} is not valid.")
    return value


def _only(query: QueryParams, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        raise invalid(name, f"{name} is given more than once.")
    return values[0] if values else None
