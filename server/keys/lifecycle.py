"""Where a key is in its life, and what is said of one that no longer works."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from babysea.keys.v1 import keys_pb2

if TYPE_CHECKING:
    from babysea.keys.v1.keys_pb2 import KeyStatus


class Life(Protocol):
    """The moments of a key that decide whether it works."""

    @property
    def expires_at(self) -> datetime | None:
        """Stops working at; None for never."""

    @property
    def revoked_at(self) -> datetime | None:
        """Ended at; None when never."""

    @property
    def rotated_at(self) -> datetime | None:
        """Another key took its place at; None when never. It works until `expires_at`."""


def status(life: Life, now: datetime) -> KeyStatus.ValueType:
    """Where a key is in its life: revoked, else rotated, else expired, else active."""
    if life.revoked_at is not None:
        return keys_pb2.KEY_STATUS_REVOKED
    if life.rotated_at is not None:
        return keys_pb2.KEY_STATUS_ROTATED
    if _is_over(life, now):
        return keys_pb2.KEY_STATUS_EXPIRED
    return keys_pb2.KEY_STATUS_ACTIVE


def refusal(life: Life, now: datetime) -> str | None:
    """The sentence for the holder of a key that does not work; None when it works."""
    if life.revoked_at is not None:
        return "The API key was revoked."
    if not _is_over(life, now):
        return None
    if life.rotated_at is not None:
        return "The API key was rotated and its grace is over; use the new key."
    return "The API key has expired."


def _is_over(life: Life, now: datetime) -> bool:
    return life.expires_at is not None and life.expires_at <= now
