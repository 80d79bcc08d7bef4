"""Calls to one region's gRPC services as an operator; a refusal becomes one sentence."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TypeVar

from google.protobuf.message import Message

from babysea_sdk import BlockingClient, CallError, Identity, NoAnswerError
from babysea_sdk.channel import channel_options
from babysea_sdk.methods import Unary
from cli.errors import CliError, Exit

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)

# A server that is just starting is noticed at once.
_RECONNECT_MS = (50, 250)
OPTIONS = channel_options(reconnect_ms=_RECONNECT_MS)


class Operator:
    """The services of one region, called with the operator's token: `call(operator.ledger.get_balance, request)`."""

    accounts = BlockingClient.accounts
    settings = BlockingClient.settings
    keys = BlockingClient.keys
    ledger = BlockingClient.ledger

    def __init__(self, target: str, token: str) -> None:
        self._client = BlockingClient(target, identity=Identity(bearer=token), reconnect_ms=_RECONNECT_MS)

    def call(
        self, method: Unary[_Request, _Response], request: _Request, *, seconds: float = 15.0
    ) -> _Response:
        """The answer of one method of the services above.

        Raises:
            CliError: the region refused (exit code 4) or does not answer (3).
        """
        try:
            return self._client.call(method, request, seconds=seconds)
        except NoAnswerError as error:
            raise CliError(
                f"The region's server does not answer ({sentence(error)[:-1]}); see `babysea doctor`.",
                Exit.UNREACHABLE,
            ) from error
        except CallError as error:
            raise CliError(sentence(error), Exit.REFUSED) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def sentence(error: CallError) -> str:
    """A refusal for people: what was wrong, where, and its public code."""
    field = error.details.get("field")
    where = f" (field {field})" if field and field not in error.message else ""
    return f"{error.message.rstrip('.')}{where} [{error.bse_code}]."
