"""Validation: the rules of request fields, which stand in the contract."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import protovalidate

from kit.errors import BabySeaError, invalid, out_of_range
from server.runtime.interceptors.call import Call, Proceed

_RANGE_RULE = re.compile(
    r"(u?int(32|64)|s(int|fixed)(32|64)|fixed(32|64)|float|double|duration)\.(gt|lt)e?(_.+)?"
)


class Validation:
    """Refuses a request that breaks a rule, naming the first field that does."""

    name: ClassVar[str] = "validation"
    after: ClassVar[tuple[str, ...]] = ("recovery", "authentication", "authorization", "rate_limit")

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Checks the request and lets the call proceed."""
        if not call.method.is_probe:
            violations = self._validator.collect_violations(call.request, fail_fast=True)
            if violations:
                raise violation_error(violations[0].proto)
        return await proceed()


# protovalidate gives its violations in message classes of its own, which come without types.


def violation_error(violation: Any) -> BabySeaError:
    """The error for a broken rule: PARAMETER_OUT_OF_RANGE for a number outside its range, else INVALID_INPUT."""
    path = field_path(violation)
    # protovalidate says "must be …" for most rules and "value must …" for a few.
    rule = violation.message.removeprefix("repeated value ").removeprefix("value ").rstrip(".")
    sentence = f"{path or 'The request'} {rule or 'is not valid'}."
    make = out_of_range if _RANGE_RULE.fullmatch(violation.rule_id) else invalid
    return make(path, sentence)


def field_path(violation: Any) -> str:
    """The path of a field, for example "page.page_size" or "scopes[0]"; empty for the whole message."""
    parts: list[str] = []
    for element in violation.field.elements:
        subscript = element.subscript
        parts.append(element.field_name if subscript is None else f"{element.field_name}[{subscript.value}]")
    return ".".join(parts)
