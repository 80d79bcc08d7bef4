"""Reports of providers over gRPC: the gateway passes them on, and only the region can check them."""

from __future__ import annotations

from babysea.generation.v1 import callback_service_pb2 as pb
from babysea.generation.v1 import callback_service_pb2_grpc
from server.generation.callbacks import Callbacks
from server.runtime.context import RpcContext


class CallbackServicer(callback_service_pb2_grpc.CallbackServiceServicer):
    """Serves babysea.generation.v1.CallbackService to the gateway."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks

    async def ReceiveCallback(  # noqa: N802
        self, request: pb.ReceiveCallbackRequest, context: RpcContext
    ) -> pb.ReceiveCallbackResponse:
        """Takes a report."""
        headers: dict[str, str] = {}
        for header in request.headers:
            # Joined, as HTTP has it, so that no signature of two can be meant.
            earlier = headers.get(header.name)
            headers[header.name] = header.value if earlier is None else f"{earlier}, {header.value}"
        await self._callbacks.receive(request.provider, request.token, headers, request.body)
        return pb.ReceiveCallbackResponse()
