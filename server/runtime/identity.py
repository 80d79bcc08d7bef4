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
class Member:
    """A signed-in person, known by a session."""

    person_id: UUID
    session_id: UUID
    account_id: UUID | None = None
    """The account that the call is about, once authorization has admitted the person to it."""
    role: str = ""
    """The role there: "primary_owner", "owner" or "member"; empty without an account."""

    @property
    def account(self) -> UUID:
        """The account that the call is about.

        Raises:
            LookupError: the method has no permission in the contract, which is a fault of ours.
        """
        if self.account_id is None:
            raise LookupError("the call is about no account")
        return self.account_id


@dataclass(frozen=True, slots=True)
class Caller:
    """Everything known about who makes a call."""

    client_address: str
    """Address of the client: the peer's own, or what a service of ours says about its customer."""
    key: KeyHolder | None = None
    member: Member | None = None
    is_service: bool = False
    """Whether the call came from one of our own services (INTERNAL)."""
    is_operator: bool = False
    """Whether the call came from staff (OPERATOR)."""
    request_id: str = field(default="")
    """The gateway's public request id, for logs."""
    user_agent: str = field(default="")
    """What the client calls itself; at most 200 printable characters."""


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


def member() -> Member:
    """The signed-in person of the current call.

    Raises:
        BabySeaError: AUTHENTICATION_REQUIRED when the caller is none.
    """
    person = caller().member
    if person is None:
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED, "Sign in: this method is for members."
        )
    return person


def actor() -> UUID | None:
    """The person who makes the current call; None for programs and staff."""
    person = caller().member
    return None if person is None else person.person_id
