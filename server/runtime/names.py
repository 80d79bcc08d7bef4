"""Names that people give to things."""

from __future__ import annotations

import unicodedata

from kit.errors import invalid

LONGEST = 100
"""Characters that a name may have."""

# Controls, halves of surrogate pairs, and the marks that turn the direction of the text around them.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def checked_name(field: str, name: str) -> str:
    """The name without white space around it.

    Raises:
        BabySeaError: INVALID_INPUT for a name that is empty, longer than 100 characters, or holds characters that
            nobody can see.
    """
    stripped = name.strip()
    if not 1 <= len(stripped) <= LONGEST:
        raise invalid(field, f"{field} must have 1 to {LONGEST} characters.")
    if any(_is_refused(character) for character in stripped):
        raise invalid(field, f"{field} must not hold control characters.")
    return stripped


def _is_refused(character: str) -> bool:
    return character in _DIRECTION_MARKS or unicodedata.category(character) in _REFUSED_CATEGORIES
