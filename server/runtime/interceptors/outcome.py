"""How a call ended: the error that its caller may see, and the gRPC code of it."""

from __future__ import annotations

import asyncio

import grpc

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.rpc import code_of
from server.runtime.database_errors import is_database_error, safe_error
from server.runtime.interceptors.call import Call

_CODES = {int(code.value[0]): code for code in grpc.StatusCode}


def public_error(error: Exception) -> BabySeaError:
    """What may be said of a failure: our own errors as they are, everything else without a word of its text."""
    if isinstance(error, BabySeaError):
        return error
    if is_database_error(error) or isinstance(error, OSError):
        return safe_error(error)
    return BabySeaError(error_reason_pb2.ERROR_REASON_INTERNAL_ERROR)


def code_after(call: Call, error: BaseException | None) -> grpc.StatusCode:
    """The gRPC code of a call that ended with this exception, or with none."""
    if error is None or isinstance(error, grpc.aio.AbortError):
        # In the aio API the context knows the code as a number, and as nothing before it was set.
        code: object = call.context.code()
        if isinstance(code, grpc.StatusCode):
            return code
        return _CODES.get(code, grpc.StatusCode.UNKNOWN) if isinstance(code, int) else grpc.StatusCode.OK
    if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
        return grpc.StatusCode.CANCELLED
    return code_of(public_error(error))
