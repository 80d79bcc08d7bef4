"""Errors that a caller may see. Each carries an ErrorReason; everything else about it comes from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from babysea.common.v1 import error_reason_pb2
from babysea.options.v1 import options_pb2

if TYPE_CHECKING:
    from babysea.common.v1.error_reason_pb2 import ErrorReason

DOMAIN = "babysea.ai"
_PREFIX = "ERROR_REASON_"


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """What an error reason means on every surface."""

    name: str
    """Reason without its prefix, as in google.rpc.ErrorInfo, for example "INVALID_INPUT"."""
    bse_code: str
    """Public code, for example "BSE2001"."""
    type: str
    """Public type word, for example "invalid_input"."""
    http_status: int
    """Status of the public REST answer."""
    grpc_code: str
    """Name of the gRPC status code."""
    retryable: bool
    """Whether repeating the same request can succeed."""
    title: str
    """Default sentence."""


class BabySeaError(Exception):
    """A failure that the caller may see: a reason, one sentence, and details as text.

    The message never holds a prompt, a secret, an address of ours or the text of another exception.
    """

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str | None = None,
        *,
        details: Mapping[str, str] | None = None,
    ) -> None:
        self.reason = reason
        self.spec = spec_of(reason)
        self.message = message or self.spec.title
        self.details: dict[str, str] = dict(details or {})
        super().__init__(f"{self.spec.bse_code} {self.message}")


def invalid(field: str, message: str) -> BabySeaError:
    """The error for a malformed value: BSE2001 naming the field."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_INVALID_INPUT, message, details={"field": field})


def out_of_range(field: str, message: str) -> BabySeaError:
    """The error for a number outside its range: BSE2008 naming the field."""
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_PARAMETER_OUT_OF_RANGE, message, details={"field": field}
    )


@cache
def spec_of(reason: ErrorReason.ValueType) -> ErrorSpec:
    """The meaning of a reason, read from the contract."""
    value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number[reason]
    spec = value.GetOptions().Extensions[options_pb2.error]
    return ErrorSpec(
        name=value.name.removeprefix(_PREFIX),
        bse_code=spec.bse_code,
        type=spec.type,
        http_status=spec.http_status,
        grpc_code=spec.grpc_code,
        retryable=spec.retryable,
        title=spec.title,
    )


def reason_named(name: str) -> ErrorReason.ValueType | None:
    """The reason that an ErrorInfo names; None for one that this version does not know."""
    value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name.get(_PREFIX + name)
    return None if value is None else error_reason_pb2.ErrorReason.ValueType(value.number)


def reason_of_code(bse_code: str) -> ErrorReason.ValueType | None:
    """The reason that has a public code, for example "BSE4004"; None for an unknown one."""
    return _by_code().get(bse_code)


@cache
def _by_code() -> dict[str, ErrorReason.ValueType]:
    numbers = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number
    reasons = [error_reason_pb2.ErrorReason.ValueType(number) for number in numbers if number]
    return {spec_of(reason).bse_code: reason for reason in reasons}


def all_specs() -> list[ErrorSpec]:
    """Every reason but the unspecified one, in the order of the codes."""
    numbers = sorted(error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number)
    return [spec_of(error_reason_pb2.ErrorReason.ValueType(number)) for number in numbers if number]
