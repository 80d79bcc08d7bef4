"""Authentication: who calls. Whether that is enough is authorization's question."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar, Protocol

from babysea.common.v1 import error_reason_pb2
from babysea.options.v1 import options_pb2
from kit.errors import BabySeaError
from kit.rpc import CLIENT_ADDRESS, SERVICE_TOKEN
from server.runtime.certificates import CertificateHolder, holder_of
from server.runtime.identity import Caller, KeyHolder, Member
from server.runtime.interceptors.addresses import peer_address, plain_address
from server.runtime.interceptors.call import Call, Proceed
from server.runtime.rate_limit import AuthFailures, over_the_limit
from server.runtime.service_identity import OPERATOR_PREFIX, Identities

REQUEST_ID = "x-babysea-request-id"
"""Metadata key of the gateway's public request id; believed only from a caller with a service identity."""

USER_AGENT = "x-babysea-user-agent"
"""Metadata key of the customer's User-Agent; believed only from a caller with a service identity."""

_SESSION_PREFIX = "ses_"
_USER_AGENT_LENGTH = 200
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class KeyAuthenticator(Protocol):
    """Knows API keys."""

    async def verify(self, secret: str) -> KeyHolder:
        """Who holds a key.

        Raises:
            BabySeaError: AUTHENTICATION_FAILED for any key that does not work here; SERVICE_UNAVAILABLE when it
                cannot be looked up.
        """
        ...


class SessionAuthenticator(Protocol):
    """Knows sessions of signed-in people."""

    async def verify(self, token: str) -> Member:
        """Who holds a session.

        Raises:
            BabySeaError: AUTHENTICATION_FAILED for any session that does not work here.
        """
        ...


class Authentication:
    """Finds out who calls, from what the call presents.

    A call that presents nothing is a call by nobody. What a call presents in vain is refused, except where nothing was
    needed: on public methods, and on methods of our own services called by one of them.
    """

    name: ClassVar[str] = "authentication"
    after: ClassVar[tuple[str, ...]] = ("tracing", "recovery", "request_log", "metrics", "deadline")

    def __init__(
        self,
        keys: KeyAuthenticator,
        sessions: SessionAuthenticator,
        identities: Identities,
        failures: AuthFailures,
    ) -> None:
        self._keys = keys
        self._sessions = sessions
        self._identities = identities
        self._failures = failures

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Names the caller and lets the call proceed."""
        holder = self._holder(call)
        caller = self._sender(call, holder)
        # Named before anything can fail, so that the log knows where refused calls come from.
        call.identify(caller)
        if holder is not None and not holder.is_known and not call.method.is_public:
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
                "The client certificate names no service and no operator of this region.",
            )
        credential = _bearer(call.text("authorization"))
        if credential and not _is_enough(call, caller):
            call.identify(await self._with_credential(call, caller, credential))
        if call.method.is_public and not call.method.is_probe:
            return await self._attempt(call, caller.client_address, proceed)
        return await proceed()

    async def _attempt(self, call: Call, address: str, proceed: Proceed) -> object:
        """A call that may itself find out that a credential is wrong, as signing in does."""
        await self._failures.check(address)
        try:
            return await proceed()
        except BabySeaError as error:
            if error.reason == error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED:
                standing = await self._failures.record(address)
                call.trailing.update(standing.trailing())
                if not standing.allowed:
                    raise over_the_limit(standing) from None
            raise

    def _holder(self, call: Call) -> CertificateHolder | None:
        region = self._identities.certificate_region
        return None if region is None else holder_of(call.context.auth_context(), region)

    def _sender(self, call: Call, holder: CertificateHolder | None) -> Caller:
        peer = peer_address(call.context.peer())
        certified = holder is not None and bool(holder.service)
        if not certified and not self._identities.is_service(call.text(SERVICE_TOKEN)):
            return Caller(
                client_address=peer,
                is_operator=holder is not None and bool(holder.operator),
                user_agent=_printable(call.text("user-agent")),
            )
        told = call.text(CLIENT_ADDRESS)
        request_id = call.text(REQUEST_ID)
        return Caller(
            client_address=plain_address(told) if told else peer,
            is_service=True,
            request_id=request_id if _REQUEST_ID.fullmatch(request_id) else "",
            user_agent=_printable(call.text(USER_AGENT)),
        )

    async def _with_credential(self, call: Call, caller: Caller, credential: str) -> Caller:
        address = caller.client_address
        try:
            # An operator who is known at once must not be kept out by somebody's wrong keys from the same address.
            if not self._identities.is_operator(credential):
                await self._failures.check(address)
            return await self._verified(caller, credential)
        except BabySeaError as error:
            if error.reason == error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE:
                raise
            failed = error.reason == error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED
            standing = await (self._failures.record if failed else self._failures.standing)(address)
            call.trailing.update(standing.trailing())
            if failed and not standing.allowed:
                raise over_the_limit(standing) from None
            raise

    async def _verified(self, caller: Caller, credential: str) -> Caller:
        if credential.startswith(_SESSION_PREFIX):
            return replace(caller, member=await self._sessions.verify(credential))
        if not credential.startswith(OPERATOR_PREFIX):
            return replace(caller, key=await self._keys.verify(credential))
        if not self._identities.is_operator(credential):
            raise BabySeaError(
                error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED,
                "The operator token is not valid in this region.",
            )
        return replace(caller, is_operator=True)


def _bearer(header: str) -> str:
    """The credential of an authorization header; empty unless it is a bearer's."""
    scheme, _, credential = header.strip().partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def _printable(text: str) -> str:
    return "".join(character for character in text if " " <= character <= "~")[:_USER_AGENT_LENGTH]


def _is_enough(call: Call, caller: Caller) -> bool:
    """Whether the call may go on as it is: a customer's key is never looked past where customers are served."""
    audiences = call.method.audiences
    if options_pb2.PUBLIC in audiences:
        return True
    serves_customers = bool({options_pb2.CUSTOMER, options_pb2.USER} & audiences)
    return caller.is_service and options_pb2.INTERNAL in audiences and not serves_customers
