"""Values that bodies and replies of several routes share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from google.protobuf import timestamp_pb2
from google.protobuf.message import Message
from pydantic import AwareDatetime, BeforeValidator, Field
from typing_extensions import TypedDict

from gateway.v1.values import when

_INT32 = 2**31


def _text_only(value: object) -> object:
    # Without this a number would count as seconds since 1970.
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text_only)]
"""A time as ISO 8601 text with its offset."""


def at(message: Message, field: str) -> str | None:
    """A time of a message as the public contract writes it; None where it is not set."""
    return when(message.HasField(field), getattr(message, field))


def timestamp(instant: datetime) -> timestamp_pb2.Timestamp:
    """A time as the internal contract has it."""
    made = timestamp_pb2.Timestamp()
    made.FromDatetime(instant)
    return made


def word(enum_name: str, prefix: str) -> str:
    """The public word of an enum value, for example "owner" of "ROLE_OWNER" with the prefix "ROLE_"."""
    return enum_name.removeprefix(prefix).lower()


def int32(value: int | None) -> int | None:
    """A number as the internal contract can carry it: what does not fit is as far out of range as the end of the range."""
    return None if value is None else min(max(value, -_INT32), _INT32 - 1)


class GoneData(TypedDict):
    """What was removed."""

    id: str
