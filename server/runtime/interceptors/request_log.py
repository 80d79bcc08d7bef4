"""Request log: one line a call. Who, what, how it ended and how long it took; never a body, a key or an address."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar

import grpc

from server.runtime.interceptors.call import Call, Proceed
from server.runtime.interceptors.outcome import code_after

_log = logging.getLogger("babysea.requests")


class RequestLog:
    """Writes the line when the call has ended; health checks and reflection write none."""

    name: ClassVar[str] = "request_log"
    after: ClassVar[tuple[str, ...]] = ("tracing", "recovery")

    def __init__(self, address_hash: Callable[[str], str]) -> None:
        """Takes the region's keyed hash of client addresses."""
        self._address_hash = address_hash

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Runs the rest of the call and writes its line."""
        if call.method.is_probe:
            return await proceed()
        try:
            response = await proceed()
        except BaseException as error:
            self._write(call, code_after(call, error))
            raise
        self._write(call, code_after(call, None))
        return response

    def _write(self, call: Call, code: grpc.StatusCode) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        facts: dict[str, object] = {
            "method": call.method.path,
            "code": code.name,
            "millis": round(call.millis(), 1),
        }
        caller = call.caller
        if caller is not None:
            facts["request_id"] = caller.request_id
            facts["address"] = self._address_hash(caller.client_address)
            if caller.key is not None:
                facts["account_id"] = str(caller.key.account_id)
                facts["key_id"] = str(caller.key.key_id)
        _log.info("call", extra={"facts": facts})
