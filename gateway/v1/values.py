"""Small translations from the internal contract to JSON values."""

from __future__ import annotations

from datetime import UTC
from typing import Literal

from google.protobuf import struct_pb2, timestamp_pb2

from babysea.generation.v1 import generation_pb2
from kit.clock import iso_millis

Number = int | float
_LARGEST_EXACT = 2**53


def when(message_has_it: bool, at: timestamp_pb2.Timestamp) -> str | None:
    """A time as the public contract writes it; None when the message does not have it."""
    return iso_millis(at.ToDatetime(tzinfo=UTC)) if message_has_it else None


def plain(number: float) -> Number:
    """A double as people write it: 5 and not 5.0."""
    return int(number) if number.is_integer() and abs(number) <= _LARGEST_EXACT else number


def media_word(media: generation_pb2.Media.ValueType) -> Literal["image", "video"]:
    """The public word for what a model makes."""
    return "video" if media == generation_pb2.MEDIA_VIDEO else "image"


def json_value(value: struct_pb2.Value) -> object:
    """A Struct's value as JSON has it."""
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return plain(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return {name: json_value(inner) for name, inner in value.struct_value.fields.items()}
        case "list_value":
            return [json_value(inner) for inner in value.list_value.values]
        case _:
            return None
