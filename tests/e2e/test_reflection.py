"""A client that knows none of our contracts finds its way by reflection, as grpcurl does."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.e2e.conftest import Stack

pytestmark = pytest.mark.timeout(240)

SERVICE = "babysea.generation.v1.GenerationService"


def _call(channel: grpc.Channel, method: str, metadata: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Calls a method with an empty request, knowing only what reflection says."""
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    found = pool.FindServiceByName(SERVICE).FindMethodByName(method)
    request = message_factory.GetMessageClass(found.input_type)()
    response = message_factory.GetMessageClass(found.output_type)
    call: Any = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    return json_format.MessageToDict(call(request, metadata=metadata, timeout=10))


def test_a_reflection_client_lists_describes_and_calls_with_the_key_of_rest(stack: Stack) -> None:
    generation_id = stack.start_generation("us", "a lighthouse")
    place = stack.region("us")
    with grpc.insecure_channel(place["grpc"]) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        assert {SERVICE, "babysea.ledger.v1.LedgerService", "grpc.health.v1.Health"} <= services
        answer = _call(channel, "ListGenerations", (("authorization", f"Bearer {place['api_key']}"),))
    assert generation_id in {generation["generationId"] for generation in answer["generations"]}


def test_without_a_key_the_same_call_is_unauthenticated_with_an_error_info(stack: Stack) -> None:
    with (
        grpc.insecure_channel(stack.region("us")["grpc"]) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        _call(channel, "ListGenerations", ())
    error: Any = refused.value
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    packed = dict(error.trailing_metadata())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(packed).details[0].Unpack(info)
    assert (info.reason, info.domain) == ("AUTHENTICATION_REQUIRED", "babysea.ai")
