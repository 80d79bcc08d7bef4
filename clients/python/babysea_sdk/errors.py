"""Why a call failed: the region's own words, read from google.rpc.ErrorInfo and the contract."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from babysea.common.v1 import error_reason_pb2
from babysea.options.v1 import options_pb2

if TYPE_CHECKING:
    from babysea.common.v1.error_reason_pb2 import ErrorReason

_DETAILS = "grpc-status-details-bin"
_DOMAIN = "babysea.ai"
_PREFIX = "ERROR_REASON_"
_ABSENT = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
_BY_CODE: dict[grpc.StatusCode, error_reason_pb2.ErrorReason.ValueType] = {
    grpc.StatusCode.UNAVAILABLE: error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: error_reason_pb2.ERROR_REASON_DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED: error_reason_pb2.ERROR_REASON_NOT_FOUND,
}


class CallError(Exception):
    """A call that failed."""

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str = "",
        *,
        code: grpc.StatusCode,
        details: dict[str, str] | None = None,
        stated: bool = False,
    ) -> None:
        value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number[reason]
        spec = value.GetOptions().Extensions[options_pb2.error]
        self.reason = reason
        """The reason in the contract, to compare with `error_reason_pb2.ERROR_REASON_…`."""
        self.name = value.name.removeprefix(_PREFIX)
        """Its name, for example "INSUFFICIENT_CREDITS"."""
        self.bse_code: str = spec.bse_code
        """Its public code, for example "BSE4004"."""
        self.retryable: bool = spec.retryable
        """Whether repeating the same request can succeed."""
        self.message: str = message or spec.title
        """One sentence for people."""
        self.details = details or {}
        """What else the region said, for example {"field": "amount_micros"}."""
        self.code = code
        """The gRPC status code."""
        self.stated = stated
        """Whether the region itself gave the reason; otherwise it is concluded from the code alone."""
        super().__init__(f"{self.name} [{self.bse_code}]: {self.message}")


class RefusedError(CallError):
    """The region answered, and said no."""


class NoAnswerError(CallError):
    """No server answered in time, or it could not work; what was asked may or may not have been done."""


def error_from(code: grpc.StatusCode, trailing: Iterable[tuple[str, str | bytes]]) -> CallError:
    """The error of a failed call."""
    kind = NoAnswerError if code in _ABSENT else RefusedError
    for key, value in trailing:
        if key == _DETAILS and (
            info := _info_in(value if isinstance(value, bytes) else value.encode("latin-1"))
        ):
            reason, message, details = info
            return kind(reason, message, code=code, details=details, stated=True)
    return kind(_BY_CODE.get(code, error_reason_pb2.ERROR_REASON_INTERNAL_ERROR), code=code)


def _info_in(packed: bytes) -> tuple[ErrorReason.ValueType, str, dict[str, str]] | None:
    try:
        status = status_pb2.Status.FromString(packed)
    except DecodeError:
        return None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == _DOMAIN:
            value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name.get(_PREFIX + info.reason)
            if value is not None:
                reason = error_reason_pb2.ErrorReason.ValueType(value.number)
                return reason, status.message, dict(info.metadata)
    return None
