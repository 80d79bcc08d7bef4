"""Authorization: whether this caller may call this method, after the access rule in the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Protocol
from uuid import UUID

from babysea.common.v1 import error_reason_pb2
from babysea.options.v1 import options_pb2
from kit.errors import BabySeaError
from server.runtime.identity import Caller, KeyHolder, Member
from server.runtime.interceptors.access import ACCOUNT_FIELD, Method
from server.runtime.interceptors.call import Call, Proceed
from server.runtime.rate_limit import AccountLimits
from server.runtime.standing import Standing, check_standing

_WRITING = (":write", ":delete")


class Allowlists(Protocol):
    """Knows which addresses a list allows."""

    def __call__(self, allowlist: tuple[str, ...], address: str) -> bool:
        """Whether an address is in the list; an empty list allows any."""
        ...


class Memberships(Protocol):
    """Knows who may do what in which account."""

    def knows(self, permission: str) -> bool:
        """Whether the role grid has a permission."""
        ...

    async def admit(self, member: Member, account_id: UUID | None, permission: str) -> Member:
        """The member as one of the account.

        Raises:
            BabySeaError: ACCOUNT_NOT_FOUND, INSUFFICIENT_PERMISSIONS or ACCOUNT_RESTRICTED.
        """
        ...


class Authorization:
    """Lets a call pass whose caller belongs to an audience of its method."""

    name: ClassVar[str] = "authorization"
    after: ClassVar[tuple[str, ...]] = ("recovery", "authentication")

    def __init__(self, allows: Allowlists, limits: AccountLimits, members: Memberships) -> None:
        self._allows = allows
        self._members = members
        self._limits = limits

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Refuses the call, or lets it proceed."""
        caller = call.caller
        if caller is None:
            raise LookupError("authorization ran before authentication")
        if caller.member is not None and options_pb2.USER in call.method.audiences:
            call.identify(replace(caller, member=await self._admitted(call, caller.member)))
            return await proceed()
        try:
            self._check(call.method, caller)
        except BabySeaError:
            if caller.key is not None:
                # Every answer to a known account says where it stands, also a refusal before the limit counts.
                call.trailing.update((await self._limits.peek(caller.key)).trailing())
            raise
        return await proceed()

    async def _admitted(self, call: Call, member: Member) -> Member:
        if not call.method.permission:
            return member
        return await self._members.admit(member, _account_of(call), call.method.permission)

    def _check(self, method: Method, caller: Caller) -> None:
        audiences = method.audiences
        if options_pb2.PUBLIC in audiences:
            return
        if options_pb2.CUSTOMER in audiences and caller.key is not None:
            self._check_key(method, caller.key, caller.client_address)
            return
        if options_pb2.INTERNAL in audiences and caller.is_service and caller.key is None:
            return
        if options_pb2.OPERATOR in audiences and caller.is_operator:
            return
        raise _refusal(method, caller)

    def _check_key(self, method: Method, key: KeyHolder, address: str) -> None:
        if not self._allows(key.allowlist, address):
            raise BabySeaError(error_reason_pb2.ERROR_REASON_IP_NOT_ALLOWED)
        if method.scope and method.scope not in key.scopes:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
                f'This API key does not have the scope "{method.scope}" that the request needs.',
                details={"scope": method.scope},
            )
        reads = not method.scope.endswith(_WRITING)
        standing: Standing = "restricted" if key.restricted else "active"
        check_standing(standing, while_restricted=reads, while_frozen=reads)


def _account_of(call: Call) -> UUID | None:
    """The account that a request names; None for text that names none, which is refused like a stranger's."""
    try:
        return UUID(str(getattr(call.request, ACCOUNT_FIELD)))
    except ValueError:
        return None


def _refusal(method: Method, caller: Caller) -> BabySeaError:
    if options_pb2.CUSTOMER in method.audiences:
        return BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED)
    somebody = caller.key is not None or caller.member is not None or caller.is_operator
    # A service that calls for nobody lacks what a member would bring.
    if not somebody and options_pb2.USER in method.audiences:
        return BabySeaError(
            error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED,
            "Sign in first: this method needs the session of a member.",
        )
    if not somebody and not caller.is_service:
        return BabySeaError(
            error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED,
            "This method needs the identity of a service or an operator.",
        )
    return BabySeaError(
        error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
        "This method is not open to this caller.",
    )
