"""Requests that no region can accept, for asking what it objects to before it looks at the values."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.methods import Q

_ABSURD: dict[int, object] = {
    FieldDescriptor.CPPTYPE_STRING: "\x7f" * 5_000,
    FieldDescriptor.CPPTYPE_INT32: -(2**31),
    FieldDescriptor.CPPTYPE_INT64: -(2**63),
    FieldDescriptor.CPPTYPE_ENUM: -1,
}
_DEPTH = 3


def spoiled(message: type[Q], account_id: str) -> Q:
    """A request about the same account whose every other value is absurd, so that validation refuses it.

    Args:
        message: type of the request.
        account_id: the account, by which the region decides who may ask; empty where the request has none.
    """
    made = message()
    _spoil(made, _DEPTH)
    if "account_id" in message.DESCRIPTOR.fields_by_name:
        made.account_id = account_id  # type: ignore[attr-defined]
    return made


def _spoil(message: Message, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        absurd: Any = _ABSURD.get(field.cpp_type)
        if field.type == FieldDescriptor.TYPE_BYTES or (field.message_type is not None and depth == 0):
            continue
        if field.message_type is None and absurd is None:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            if field.message_type is None:
                value.append(absurd)
            else:
                _spoil(value.add(), depth - 1)
        elif field.message_type is None:
            setattr(message, field.name, absurd)
        else:
            _spoil(value, depth - 1)
