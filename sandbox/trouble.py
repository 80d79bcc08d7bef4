"""Why a provider refuses, in words that all providers share; each provider's file says them in its own."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """One class of refusal."""

    INVALID = "invalid"
    MALFORMED = "malformed"
    TOO_LARGE = "toolarge"
    UNKNOWN_MODEL = "unknownmodel"
    MODERATION = "moderation"
    AUTH = "auth"
    FORBIDDEN = "forbidden"
    BILLING = "billing"
    """The account has no money left."""

    QUOTA = "quota"
    """A lasting limit of the account is used up; most providers say 429 all the same."""

    RATE = "rate"
    """Too many calls for a moment."""

    CAPACITY = "capacity"
    """The provider is full, whoever asks."""

    TIMEOUT = "timeout"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


ASKABLE = tuple(
    trouble.value
    for trouble in (
        *(Trouble.INVALID, Trouble.MODERATION, Trouble.AUTH, Trouble.FORBIDDEN, Trouble.BILLING),
        *(Trouble.QUOTA, Trouble.RATE, Trouble.CAPACITY, Trouble.INTERNAL, Trouble.UNAVAILABLE),
    )
)
"""What the knob `refuse` and the token `[[refuse=…]]` take."""

_BY_STATUS = {
    400: Trouble.INVALID,
    401: Trouble.AUTH,
    402: Trouble.BILLING,
    403: Trouble.FORBIDDEN,
    404: Trouble.UNKNOWN_MODEL,
    408: Trouble.TIMEOUT,
    413: Trouble.TOO_LARGE,
    422: Trouble.INVALID,
    429: Trouble.RATE,
    503: Trouble.UNAVAILABLE,
    504: Trouble.TIMEOUT,
}


def trouble_of(status: int) -> Trouble:
    """Return the class that an HTTP status stands for."""
    return _BY_STATUS.get(status, Trouble.INTERNAL if status >= 500 else Trouble.INVALID)
