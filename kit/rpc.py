"""How errors travel over gRPC: google.rpc.Status with ErrorInfo, and back. The only module of kit that knows gRPC."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2

from babysea.common.v1 import error_reason_pb2
from kit.errors import DOMAIN, BabySeaError, reason_named

STATUS_METADATA = "grpc-status-details-bin"
"""Trailing metadata key under which gRPC carries the rich status."""

SERVICE_TOKEN = "x-babysea-service"  # noqa: S105
"""Metadata key under which the gateway and our own services prove their identity."""

CLIENT_ADDRESS = "x-babysea-client-address"
"""Metadata key of the customer's address; believed only from a caller with a service identity."""

ROUTE = "x-babysea-route"
"""Metadata key of the REST request's method and the template of its path, for example "GET /v1/content/{generation_id}";
believed only from a caller with a service identity, as are the next three."""

QUERY = "x-babysea-query"
"""Metadata key of the REST request's known query parameters; no free text."""

BEGAN = "x-babysea-began"
"""Metadata key of the Unix milliseconds at which the REST request began: the same in every call made for it."""

REFUSED = "x-babysea-refused"
"""Metadata key of the public code that the client gets should the region find the request invalid."""

RATE_LIMIT_LIMIT = "x-ratelimit-limit"
"""Trailing metadata: requests per window of the account."""

RATE_LIMIT_REMAINING = "x-ratelimit-remaining"
"""Trailing metadata: requests left in the window."""

RATE_LIMIT_RESET = "x-ratelimit-reset"
"""Trailing metadata: Unix seconds at which the window resets."""

SERVER_MILLIS = "x-babysea-server-ms"
"""Trailing metadata: milliseconds that the server spent on the call."""

DATABASE_MILLIS = "x-babysea-database-ms"
"""Trailing metadata: milliseconds of those spent waiting for the database."""

_BY_CODE: dict[grpc.StatusCode, error_reason_pb2.ErrorReason.ValueType] = {
    grpc.StatusCode.UNAVAILABLE: error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: error_reason_pb2.ERROR_REASON_DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED: error_reason_pb2.ERROR_REASON_NOT_FOUND,
}


def code_of(error: BabySeaError) -> grpc.StatusCode:
    """The gRPC code of an error."""
    code: grpc.StatusCode = getattr(grpc.StatusCode, error.spec.grpc_code)
    return code


def status_of(error: BabySeaError) -> status_pb2.Status:
    """The rich status of an error: one ErrorInfo, and BadRequest or RetryInfo where the details say so."""
    code: int = code_of(error).value[0]
    status = status_pb2.Status(code=code, message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.spec.name, domain=DOMAIN, metadata=error.details)
    status.details.append(_pack(info))
    if "field" in error.details:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.details["field"], description=error.message, reason=error.spec.name
        )
        status.details.append(_pack(error_details_pb2.BadRequest(field_violations=[violation])))
    if "retry_after_seconds" in error.details:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(int(error.details["retry_after_seconds"]))
        status.details.append(_pack(retry))
    return status


def error_of(call_error: grpc.aio.AioRpcError) -> BabySeaError:
    """The error that a failed call carries; one without our ErrorInfo is translated by its code alone."""
    for key, value in call_error.trailing_metadata() or ():
        if key == STATUS_METADATA:
            error = _error_in(value if isinstance(value, bytes) else value.encode("latin-1"))
            if error is not None:
                return error
    reason = _BY_CODE.get(call_error.code(), error_reason_pb2.ERROR_REASON_INTERNAL_ERROR)
    return BabySeaError(reason)


def _error_in(packed: bytes) -> BabySeaError | None:
    try:
        status = status_pb2.Status.FromString(packed)
    except message.DecodeError:
        return None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason = reason_named(info.reason)
            if reason is not None:
                return BabySeaError(reason, status.message, details=dict(info.metadata))
    return None


def _pack(
    message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def metadata_text(metadata: Mapping[str, str | bytes], key: str) -> str:
    """A text value of received metadata; empty when absent."""
    value = metadata.get(key, "")
    return value.decode("latin-1") if isinstance(value, bytes) else value
