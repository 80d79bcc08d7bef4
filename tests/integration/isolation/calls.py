"""Calls of any method of the contract, and what exactly came back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from babysea.options.v1 import options_pb2
from kit.rpc import SERVICE_TOKEN, STATUS_METADATA, error_of
from tests.support.stack import Stack

Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Status:
    """How a call ended, to the byte."""

    code: grpc.StatusCode
    details: str
    rich: bytes
    """The packed google.rpc.Status; empty for a success."""
    reason: str
    """Name of the reason; empty for a success."""
    info: tuple[tuple[str, str], ...] = ()
    """Metadata of the ErrorInfo."""


@dataclass(frozen=True)
class Rpc:
    """A method of the contract."""

    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        """As on the wire."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def audiences(self) -> frozenset[int]:
        """Who may call it."""
        return frozenset(self.descriptor.GetOptions().Extensions[options_pb2.access].audience)

    @property
    def scope(self) -> str:
        """Scope that a customer needs."""
        return str(self.descriptor.GetOptions().Extensions[options_pb2.access].scope)

    async def call(self, stack: Stack, metadata: Metadata, request: Message | None = None) -> Status:
        """Calls it with a request, or with an empty one."""
        message = request if request is not None else GetMessageClass(self.descriptor.input_type)()
        serialize, parse = (
            type(message).SerializeToString,
            GetMessageClass(self.descriptor.output_type).FromString,
        )
        try:
            if self.descriptor.server_streaming:
                stream: Any = stack.channel.unary_stream(self.path, serialize, parse)
                async for _ in stream(message, metadata=metadata):
                    pass
            else:
                unary: Any = stack.channel.unary_unary(self.path, serialize, parse)
                await unary(message, metadata=metadata)
        except grpc.aio.AioRpcError as failed:
            return status_of(failed)
        return Status(grpc.StatusCode.OK, "", b"", "")


def status_of(failed: grpc.aio.AioRpcError) -> Status:
    """The status of a failed call."""
    rich = [value for key, value in failed.trailing_metadata() or () if key == STATUS_METADATA]
    packed = rich[0] if rich else b""
    error = error_of(failed)
    return Status(
        failed.code(),
        failed.details() or "",
        packed if isinstance(packed, bytes) else packed.encode("latin-1"),
        error.spec.name,
        tuple(sorted(error.details.items())),
    )


def rpc(path: str) -> Rpc:
    """A method by its path, for example "generation.v1.GenerationService/GetGeneration"."""
    service, _, name = path.partition("/")
    return Rpc(Default().FindServiceByName(f"babysea.{service}").methods_by_name[name])


def rpcs(stack: Stack) -> Iterator[Rpc]:
    """Every method that a server serves."""
    for service in stack.server.services:
        for descriptor in Default().FindServiceByName(service).methods:
            yield Rpc(descriptor)


def bearer(credential: str) -> Metadata:
    """Presents a key or an operator token."""
    return (("authorization", f"Bearer {credential}"),)


def service(stack: Stack) -> Metadata:
    """The gateway's identity."""
    return ((SERVICE_TOKEN, stack.service_token),)
