"""The chain: stages wrapped around every handler, outermost first."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from server.runtime.context import RpcContext
from server.runtime.interceptors.access import REFLECTION, Method, method_at
from server.runtime.interceptors.call import Call, Stage

if TYPE_CHECKING:
    _Handler = grpc.RpcMethodHandler[Any, Any]
else:
    _Handler = grpc.RpcMethodHandler

_LAST_WORD_SECONDS = 0.5
"""Given to those who watch our health to go elsewhere: calls that arrive while gRPC shuts down are lost."""

_MOST_WATCHES = 64
"""Open streams of probes and of reflection, each: they need no key, so they must not crowd out calls that have one."""


_Run = Callable[[Call], Awaitable[object]]
_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class ChainOrderError(Exception):
    """The stages stand in an order in which one of them cannot do its work; the message names it."""


def check_order(stages: Sequence[Stage]) -> None:
    """Checks that every stage stands after the ones that it relies on, and stands once.

    Raises:
        ChainOrderError: it does not; the server must not start.
    """
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise ChainOrderError(f'The interceptor stage "{stage.name}" is there twice.')
        for earlier in stage.after:
            if earlier not in seen:
                raise ChainOrderError(f'The interceptor stage "{stage.name}" must run after "{earlier}".')
        seen.add(stage.name)


class Chain(grpc.aio.ServerInterceptor):
    """Runs every unary and server-streaming call through the stages.

    Calls with a stream of requests exist for reflection only and pass by the stages.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        """Takes the stages, outermost first.

        Raises:
            ChainOrderError: a stage stands before one that it relies on.
        """
        check_order(stages)
        self.names = tuple(stage.name for stage in stages)
        self._stages = tuple(stages)
        self._wrapped: dict[str, _Handler] = {}
        self._watches: set[asyncio.Task[object]] = set()
        self._reflections = 0

    async def end_watches(self) -> None:
        """Ends the open streams of probes, which would otherwise last for ever, after they said their last word."""
        if not self._watches:
            return
        await asyncio.sleep(_LAST_WORD_SECONDS)
        for task in self._watches:
            task.cancel()

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler of a method with the stages around it."""
        path = handler_call_details.method
        wrapped = self._wrapped.get(path)
        if wrapped is not None:
            return wrapped
        handler: _Handler | None = await continuation(handler_call_details)
        if handler is None:
            return None
        self._wrapped[path] = wrapped = self._wrap(method_at(path), handler)
        return wrapped

    def _wrap(self, method: Method, handler: _Handler) -> _Handler:
        if handler.request_streaming and method.service == REFLECTION:
            return grpc.stream_stream_rpc_method_handler(
                partial(self._reflect, handler.stream_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.request_streaming:
            raise ChainOrderError(f"{method.path} streams requests, which no interceptor stage understands.")
        if handler.response_streaming:
            run = self._composed(partial(_stream, handler.unary_stream))
            if method.is_probe:
                run = partial(self._watch, run)
            return grpc.unary_stream_rpc_method_handler(
                partial(_serve, run, method, True),
                handler.request_deserializer,
                handler.response_serializer,
            )
        run = self._composed(partial(_answer, handler.unary_unary))
        return grpc.unary_unary_rpc_method_handler(
            partial(_serve, run, method, False),
            handler.request_deserializer,
            handler.response_serializer,
        )

    async def _reflect(
        self, behavior: Any, requests: AsyncIterable[Message], context: RpcContext
    ) -> AsyncIterator[Message]:
        if self._reflections >= _MOST_WATCHES:
            await _too_many(context)
        self._reflections += 1
        try:
            async for response in behavior(requests, context):
                yield response
        finally:
            self._reflections -= 1

    async def _watch(self, run: _Run, call: Call) -> object:
        if len(self._watches) >= _MOST_WATCHES:
            await _too_many(call.context)
        task = asyncio.ensure_future(run(call))
        self._watches.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            # Ended by us and not by the client: an orderly end of the stream.
            return None
        finally:
            self._watches.discard(task)

    def _composed(self, innermost: _Run) -> _Run:
        run = innermost
        for stage in reversed(self._stages):
            run = partial(_step, stage, run)
        return run


async def _too_many(context: RpcContext) -> None:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many open streams; close one and try again.")


async def _step(stage: Stage, inner: _Run, call: Call) -> object:
    return await stage.around(call, partial(inner, call))


async def _serve(
    run: _Run,
    method: Method,
    streaming: bool,
    request: Message,
    context: RpcContext,
) -> object:
    call = Call(method, request, context, streaming=streaming)
    response = await run(call)
    call.send_trailing()
    return response


async def _answer(behavior: Any, call: Call) -> object:
    return await behavior(call.request, call.context)


async def _stream(behavior: Any, call: Call) -> None:
    outcome: AsyncIterable[object] | Awaitable[None] = behavior(call.request, call.context)
    if inspect.isawaitable(outcome):
        # A handler that writes to the context itself, as the health service does.
        await outcome
        return
    try:
        async for message in outcome:
            await call.context.write(message)
    finally:
        # A client that leaves ends this between two messages; what the handler holds must not wait for the collector.
        if isinstance(outcome, AsyncGenerator):
            await outcome.aclose()
