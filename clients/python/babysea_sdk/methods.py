"""Typed methods: a service of the contract becomes a class whose attributes are its methods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


class Caller(Protocol):
    """What makes the calls."""

    async def unary(self, method: Unary[Q, R], request: Q, seconds: float | None) -> R:
        """One answer."""
        ...

    def stream(self, method: Stream[Q, R], request: Q, seconds: float | None) -> AsyncIterator[R]:
        """Many answers."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """The methods of one service, bound to a caller."""

    caller: Caller


class _Method(Generic[Q, R]):
    def __init__(self, descriptor: MethodDescriptor, request: type[Q], response: type[R]) -> None:
        self.descriptor = descriptor
        self.path = f"/{descriptor.containing_service.full_name}/{descriptor.name}"
        """As on the wire, for example "/babysea.keys.v1.KeyService/ListKeys"."""
        self.serialize: Callable[[Q], bytes] = request.SerializeToString
        self.parse: Callable[[bytes], R] = response.FromString


class Unary(_Method[Q, R]):
    """A method with one answer. On a bound service it is called with a request; on the class it is itself."""

    @overload
    def __get__(self, service: None, owner: type[Service]) -> Self: ...
    @overload
    def __get__(self, service: Service, owner: type[Service]) -> BoundUnary[Q, R]: ...
    def __get__(self, service: Service | None, owner: type[Service]) -> Self | BoundUnary[Q, R]:
        """The method itself, or bound to a caller."""
        return self if service is None else BoundUnary(service.caller, self)


class Stream(_Method[Q, R]):
    """A method with a stream of answers."""

    @overload
    def __get__(self, service: None, owner: type[Service]) -> Self: ...
    @overload
    def __get__(self, service: Service, owner: type[Service]) -> BoundStream[Q, R]: ...
    def __get__(self, service: Service | None, owner: type[Service]) -> Self | BoundStream[Q, R]:
        """The method itself, or bound to a caller."""
        return self if service is None else BoundStream(service.caller, self)


@dataclass(frozen=True, slots=True)
class BoundUnary(Generic[Q, R]):
    """A method that can be called."""

    caller: Caller
    method: Unary[Q, R]

    def __call__(self, request: Q, *, seconds: float | None = None) -> Awaitable[R]:
        """Makes the call.

        Args:
            request: what to send.
            seconds: time for the answer; the method's own limit and any `time_limit` hold in any case.

        Raises:
            RefusedError: the region said no.
            NoAnswerError: no server answered in time.
        """
        return self.caller.unary(self.method, request, seconds)


@dataclass(frozen=True, slots=True)
class BoundStream(Generic[Q, R]):
    """A streaming method that can be called."""

    caller: Caller
    method: Stream[Q, R]

    def __call__(self, request: Q, *, seconds: float | None = None) -> AsyncIterator[R]:
        """Makes the call; leaving the iteration ends it. Raises as unary calls do, while iterating."""
        return self.caller.stream(self.method, request, seconds)


def methods_of(service: type[Service]) -> dict[str, Unary[Any, Any] | Stream[Any, Any]]:
    """The methods of a service class by their wire path."""
    found = (value for value in vars(service).values() if isinstance(value, Unary | Stream))
    return {method.path: method for method in found}
