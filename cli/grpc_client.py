"""Calls to one region's gRPC services as an operator; a refusal becomes one sentence."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, cast

import grpc

from babysea.accounts.v1 import account_service_pb2_grpc
from babysea.keys.v1 import key_service_pb2_grpc
from babysea.ledger.v1 import ledger_service_pb2_grpc
from cli.errors import CliError, Exit
from kit.rpc import error_of

if TYPE_CHECKING:
    from kit.errors import BabySeaError

_Response = TypeVar("_Response", covariant=True)
_CODES_OF_ABSENCE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
OPTIONS: list[tuple[str, int]] = [
    ("grpc.enable_http_proxy", 0),
    # A server that is just starting is noticed at once; the default waits a second and doubles it.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
]


class _FailedCall(Protocol):
    """What a failed call of the blocking API is: an RpcError that is also the call."""

    def code(self) -> grpc.StatusCode: ...


class Operator:
    """The services of one region, called with the operator's token."""

    def __init__(self, target: str, token: str) -> None:
        self._channel = grpc.insecure_channel(target, options=OPTIONS)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(self._channel)
        self.keys = key_service_pb2_grpc.KeyServiceStub(self._channel)
        self.ledger = ledger_service_pb2_grpc.LedgerServiceStub(self._channel)

    def call(self, method: Callable[..., _Response], request: object, *, seconds: float = 15.0) -> _Response:
        """The answer of one method of the stubs above.

        Raises:
            CliError: the region refused (exit code 4) or does not answer (3).
        """
        try:
            return method(request, metadata=self._metadata, timeout=seconds)
        except grpc.RpcError as error:
            raise _failure(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()


def sentence(error: BabySeaError) -> str:
    """A refusal for people: what was wrong, where, and its public code."""
    field = error.details.get("field")
    where = f" (field {field})" if field and field not in error.message else ""
    return f"{error.message.rstrip('.')}{where} [{error.spec.bse_code}]."


def _failure(error: grpc.RpcError) -> CliError:
    # The blocking API raises an object with the same readers as AioRpcError, which error_of only reads.
    refusal = error_of(cast("grpc.aio.AioRpcError", error))
    code = cast("_FailedCall", error).code()
    if code in _CODES_OF_ABSENCE:
        return CliError(
            f"The region's server does not answer ({sentence(refusal)[:-1]}); see `babysea doctor`.",
            Exit.UNREACHABLE,
        )
    return CliError(sentence(refusal), Exit.REFUSED)
