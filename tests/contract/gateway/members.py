"""The services for people as a fake region has them: every method answers with something in every field."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from tests.contract.gateway import fake_region
from tests.contract.gateway.fake_region import Region

SESSION = "ses_us_" + "s" * 43
NEW_SESSION = "ses_us_" + "n" * 43
BROWSER = "browser-token"
SOME_ID = "01935000-0000-7000-8000-00000000000a"
SERVICES = (
    "babysea.accounts.v1.IdentityService",
    "babysea.accounts.v1.TeamService",
    "babysea.accounts.v1.SettingsService",
    "babysea.keys.v1.KeyService",
    "babysea.logs.v1.LogService",
    "babysea.notifications.v1.NotificationService",
    "babysea.privacy.v1.ConsentService",
)
_KNOWN: dict[str, Any] = {
    "session_token": NEW_SESSION,
    "browser_token": BROWSER,
    "avatar_type": "image/png",
    "avatar": b"\x89PNG",
    "second_factor_token": "",
}


def filled(descriptor: Descriptor) -> Message:
    """A message with a value in every field."""
    made: Message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.containing_oneof is not None and made.WhichOneof(field.containing_oneof.name):
            continue
        value = _value(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(made, field.name)["n"] = "1"
        elif field.message_type is not None and field.is_repeated:
            getattr(made, field.name).append(value)
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(value)
        elif field.is_repeated:
            getattr(made, field.name).append(value)
        else:
            setattr(made, field.name, value)
    return made


def _value(field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return filled(field.message_type)
    if field.name in _KNOWN:
        return _KNOWN[field.name]
    if field.name.endswith("_id"):
        return SOME_ID
    if field.enum_type is not None:
        return field.enum_type.values[1].number
    return {
        FieldDescriptor.CPPTYPE_STRING: b"x" if field.type == FieldDescriptor.TYPE_BYTES else "text",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_DOUBLE: 1.5,
        FieldDescriptor.CPPTYPE_FLOAT: 1.5,
    }.get(field.cpp_type, 1)


class People(grpc.GenericRpcHandler):
    """Answers every method of the services for people."""

    def __init__(self, region: Region) -> None:
        self._region = region

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a method; none where it belongs to another service."""
        service, _, name = details.method[1:].partition("/")
        if service not in SERVICES or name == "GetCallerKey":
            return None
        method: MethodDescriptor = Default().FindServiceByName(service).methods_by_name[name]
        decode = GetMessageClass(method.input_type).FromString
        encode = GetMessageClass(method.output_type).SerializeToString
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(method), decode, encode)
        return grpc.unary_unary_rpc_method_handler(self._unary(method), decode, encode)

    async def _enter(self, method: MethodDescriptor, request: Message, context: Any) -> None:
        shown = dict(context.invocation_metadata()).get("authorization", "")
        if shown not in {"", f"Bearer {SESSION}"}:
            await fake_region.abort(
                context, BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED)
            )
        await self._region.enter(method.name, request, context, key=False)

    def _unary(self, method: MethodDescriptor) -> Any:
        async def answer(request: Message, context: Any) -> Message:
            await self._enter(method, request, context)
            return self._region.answers.get(method.name) or filled(method.output_type)

        return answer

    def _stream(self, method: MethodDescriptor) -> Any:
        async def answer(request: Message, context: Any) -> Any:
            await self._enter(method, request, context)
            yield filled(method.output_type)
            yield filled(method.output_type)

        return answer
