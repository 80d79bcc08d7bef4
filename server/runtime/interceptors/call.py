"""One call on its way through the stages, and what a stage is."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, Protocol

from google.protobuf.message import Message
from grpc_status import rpc_status

from kit.errors import BabySeaError
from kit.rpc import code_of, metadata_text, status_of
from server.runtime.context import RpcContext
from server.runtime.identity import Caller, set_caller
from server.runtime.interceptors.access import Method

Proceed = Callable[[], Awaitable[object]]
"""Runs the rest of the stages and the handler; gives the response, or None where messages were streamed."""


class Call:
    """One call: what came in, who it came from, and what will trail its answer."""

    __slots__ = ("caller", "context", "metadata", "method", "request", "started", "streaming", "trailing")

    def __init__(
        self,
        method: Method,
        request: Message,
        context: RpcContext,
        *,
        streaming: bool = False,
    ) -> None:
        self.method = method
        self.request = request
        self.context = context
        self.streaming = streaming
        """Whether the answer is a stream of messages."""
        self.metadata: Mapping[str, str | bytes] = dict(context.invocation_metadata() or ())
        self.started = time.perf_counter()
        """Monotonic seconds."""
        self.caller: Caller | None = None
        """Who calls; None before authentication."""
        self.trailing: dict[str, str] = {}
        """Trailing metadata, gathered from every stage and sent once."""

    def text(self, key: str) -> str:
        """A text value of the call's metadata; empty when absent."""
        return metadata_text(self.metadata, key)

    def millis(self) -> float:
        """Milliseconds since the call began."""
        return (time.perf_counter() - self.started) * 1000

    def identify(self, caller: Caller) -> None:
        """Names the caller, for later stages and for the handler."""
        self.caller = caller
        set_caller(caller)

    def send_trailing(self) -> None:
        """Sends what was gathered with a successful answer."""
        self.context.set_trailing_metadata(tuple(self.trailing.items()))

    async def refuse(self, error: BabySeaError) -> None:
        """Ends the call with an error; what was gathered trails it together with the rich status.

        Raises:
            AbortError: always; it ends the handler.
        """
        status = rpc_status.to_status(status_of(error))
        trailing = (*self.trailing.items(), *status.trailing_metadata)
        await self.context.abort(code_of(error), error.message, trailing)


class Stage(Protocol):
    """One thing that happens around a call."""

    name: ClassVar[str]
    """Its name in messages and in `after` of other stages."""
    after: ClassVar[tuple[str, ...]]
    """Stages that must stand before this one, because it relies on what they do."""

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Does its part, lets the call proceed, and gives the response; or raises to refuse the call."""
        ...
