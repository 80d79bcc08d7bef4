"""Recording: one fact a call of a known account, for the request log that members read. Never a body, a key or an address."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Protocol
from uuid import UUID

from google.protobuf.message import Message

from babysea.common.v1 import error_reason_pb2
from kit.clock import Clock
from kit.errors import BabySeaError, reason_of_code, spec_of
from kit.ids import derived_uuid7, uuid7
from kit.rpc import BEGAN, QUERY, REFUSED, ROUTE
from server.runtime.identity import Caller
from server.runtime.interceptors.access import ACCOUNT_FIELD
from server.runtime.interceptors.call import Call, Proceed
from server.runtime.interceptors.outcome import public_error
from server.runtime.request_facts import Recorder, RequestFact

_GONE = 499
"""Status of a call whose client went away before its answer."""

_ROUTE = re.compile(r"([A-Z]{3,7}) (/[A-Za-z0-9_./{}:-]{0,199})")
_QUERY = re.compile(r"[A-Za-z0-9_.:%&=+-]{0,200}")
_FAR_OFF = timedelta(hours=1)
_OF_MEMBERS = frozenset(
    {
        error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
        error_reason_pb2.ERROR_REASON_ACCOUNT_RESTRICTED,
    }
)
_log = logging.getLogger("babysea.logs")


class AddressHash(Protocol):
    """The region's keyed hash."""

    def __call__(self, address: str) -> bytes:
        """32 bytes that stand for an address."""
        ...


class Recording:
    """Records how calls of API keys and of members ended, refused ones too; a call without a known account is nobody's."""

    name: ClassVar[str] = "recording"
    after: ClassVar[tuple[str, ...]] = ("tracing", "recovery")

    def __init__(self, recorder: Recorder, address_hash: AddressHash, clock: Clock) -> None:
        self._recorder = recorder
        self._address_hash = address_hash
        self._clock = clock

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Runs the rest of the call and records it."""
        try:
            response = await proceed()
        except BaseException as error:
            self._try(call, error, None)
            raise
        self._try(call, None, response)
        return response

    def _try(self, call: Call, error: BaseException | None, response: object) -> None:
        try:
            self._record(call, error, response)
        except Exception:  # noqa: BLE001 - a log that cannot be written must not fail what it is about
            _log.exception("a call was not recorded", extra={"facts": {"method": call.method.path}})

    def _record(self, call: Call, error: BaseException | None, response: object) -> None:
        caller = call.caller
        if caller is None or call.method.is_probe:
            return
        account_id, person_id = _who(call, caller, error)
        if account_id is None:
            return
        status, code = _outcome(call, error, believed=caller.is_service)
        ended = self._clock.now()
        began = _began(call, ended) if caller.is_service else None
        at = began or ended - timedelta(milliseconds=call.millis())
        surface, method, route, query = _asked(call, believed=caller.is_service)
        self._recorder.record(
            RequestFact(
                id=_id_of(caller.request_id, at) if began is not None else uuid7(),
                account_id=account_id,
                key_id=None if caller.key is None else caller.key.key_id,
                person_id=person_id,
                at=at,
                ended_at=ended,
                surface=surface,
                method=method,
                route=route,
                query=query,
                status=status,
                bse_code=code,
                millis=round(call.millis()),
                replayed=_is_replay(response),
                address_hash=self._address_hash(caller.client_address),
                user_agent=caller.user_agent,
                request_id=caller.request_id or None,
            )
        )


def _who(call: Call, caller: Caller, error: BaseException | None) -> tuple[UUID | None, UUID | None]:
    if caller.key is not None:
        return caller.key.account_id, None
    if caller.member is None:
        return None, None
    account_id = caller.member.account_id
    if account_id is None and call.method.permission and _refused_a_member(error):
        account_id = UUID(str(getattr(call.request, ACCOUNT_FIELD)))
    return account_id, caller.member.person_id


def _refused_a_member(error: BaseException | None) -> bool:
    """Whether authorization knew a member of the account and refused; a stranger hears that there is no such account."""
    return isinstance(error, BabySeaError) and error.reason in _OF_MEMBERS


def _outcome(call: Call, error: BaseException | None, *, believed: bool) -> tuple[int, str | None]:
    if error is None:
        return 200, None
    if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
        return _GONE, None
    spec = public_error(error).spec
    if believed and spec.grpc_code == "INVALID_ARGUMENT":
        # The gateway had refused the request already, and asked only whether something else comes first.
        told = reason_of_code(call.text(REFUSED))
        if told is not None:
            spec = spec_of(told)
    return spec.http_status, spec.bse_code


def _asked(call: Call, *, believed: bool) -> tuple[str, str, str, str]:
    told = _ROUTE.fullmatch(call.text(ROUTE)) if believed else None
    if told is None:
        return "grpc", "CALL", call.method.path.removeprefix("/"), ""
    query = call.text(QUERY)
    return "rest", told[1], told[2], query if _QUERY.fullmatch(query) else ""


def _began(call: Call, now: datetime) -> datetime | None:
    """When the gateway says that the request began; None unless it says so in a way that can be true."""
    text = call.text(BEGAN)
    if not call.caller or not call.caller.request_id or not (text.isdecimal() and len(text) <= 13):
        return None
    at = datetime.fromtimestamp(int(text) / 1000, UTC)
    return at if abs(now - at) < _FAR_OFF else None


def _id_of(request_id: str, at: datetime) -> UUID:
    return derived_uuid7(_first_uuid7(at), request_id.encode())


def _first_uuid7(at: datetime) -> UUID:
    millis = round(at.timestamp() * 1000)
    return UUID(int=millis << 80 | 0x7 << 76 | 0x2 << 62)


def _is_replay(response: object) -> bool:
    if not isinstance(response, Message) or "replayed" not in response.DESCRIPTOR.fields_by_name:
        return False
    return bool(getattr(response, "replayed"))  # noqa: B009 - of whichever message has it
