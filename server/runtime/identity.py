"""Who calls: set by the authentication interceptor, read by servicers."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import UUID

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """A customer's program, known by its API key."""

    account_id: UUID
    key_id: UUID
    scopes: frozenset[str]
    allowlist: tuple[str, ...]
    """Addresses and CIDR blocks; empty for any."""
    plan: str
    requests_per_minute: int | None
    """The account's own limit; None for the plan's."""
    restricted: bool
    """Whether the account may only read."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Everything known about who makes a call."""

    client_address: str
    """Address of the client: the peer's own, or what a service of ours says about its customer."""
    key: KeyHolder | None = None
    is_service: bool = False
    """Whether the call came from one of our own services (INTERNAL)."""
    is_operator: bool = False
    """Whether the call came from staff (OPERATOR)."""
    request_id: str = field(default="")
    """The gateway's public request id, for logs."""


_caller: ContextVar[Caller | None] = ContextVar("babysea_caller", default=None)


def set_caller(caller: Caller) -> None:
    """Names the caller of the current call."""
    _caller.set(caller)


def caller() -> Caller:
    """The caller of the current call.

    Raises:
        LookupError: there is no call, which is a fault of ours.
    """
    current = _caller.get()
    if current is None:
        raise LookupError("no caller: this code runs outside of a call")
    return current


def key_holder() -> KeyHolder:
    """The API key of the current call.

    Raises:
        BabySeaError: AUTHENTICATION_REQUIRED when the caller has none.
    """
    key = caller().key
    if key is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED)
    return key
