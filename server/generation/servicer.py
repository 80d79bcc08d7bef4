"""Generations over gRPC: protobuf in, protobuf out, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from babysea.generation.v1 import generation_service_pb2 as pb
from babysea.generation.v1 import generation_service_pb2_grpc
from server.generation.admission import AdmissionDesk
from server.generation.cancellation import Cancellation
from server.generation.deletion import Deletion
from server.generation.estimation import Estimator
from server.generation.reading import Reading
from server.generation.timeline import Timelines
from server.generation.watching import Watching
from server.runtime.context import RpcContext
from server.runtime.identity import key_holder
from server.runtime.paging import page_info, page_of


class GenerationServicer(generation_service_pb2_grpc.GenerationServiceServicer):
    """Serves babysea.generation.v1.GenerationService for the caller's account."""

    def __init__(
        self,
        desk: AdmissionDesk,
        reading: Reading,
        cancellation: Cancellation,
        deletion: Deletion,
        watching: Watching,
        timelines: Timelines,
        estimator: Estimator,
    ) -> None:
        self._desk = desk
        self._reading = reading
        self._cancellation = cancellation
        self._deletion = deletion
        self._watching = watching
        self._timelines = timelines
        self._estimator = estimator

    async def CreateGeneration(  # noqa: N802
        self, request: pb.CreateGenerationRequest, context: RpcContext
    ) -> pb.CreateGenerationResponse:
        """Admits a request."""
        admitted = await self._desk.admit(key_holder(), request)
        return pb.CreateGenerationResponse(generation=admitted.generation, replayed=admitted.replayed)

    async def GetGeneration(  # noqa: N802
        self, request: pb.GetGenerationRequest, context: RpcContext
    ) -> pb.GetGenerationResponse:
        """Shows one generation."""
        record = await self._reading.get(key_holder().account_id, UUID(request.generation_id))
        return pb.GetGenerationResponse(generation=record.generation, attempts=record.attempts)

    async def ListGenerations(  # noqa: N802
        self, request: pb.ListGenerationsRequest, context: RpcContext
    ) -> pb.ListGenerationsResponse:
        """Shows a page of generations."""
        page = page_of(request.page, key_parts=2)
        generations, total, token = await self._reading.listing(key_holder().account_id, page)
        return pb.ListGenerationsResponse(generations=generations, page=page_info(page, total, token))

    async def CancelGeneration(  # noqa: N802
        self, request: pb.CancelGenerationRequest, context: RpcContext
    ) -> pb.CancelGenerationResponse:
        """Cancels a generation."""
        canceled = await self._cancellation.cancel(key_holder().account_id, UUID(request.generation_id))
        return pb.CancelGenerationResponse(
            generation=canceled.generation,
            provider_cancel_sent=canceled.provider_cancel_sent,
            credits_refunded=True,
        )

    async def DeleteGeneration(  # noqa: N802
        self, request: pb.DeleteGenerationRequest, context: RpcContext
    ) -> pb.DeleteGenerationResponse:
        """Deletes a generation."""
        generation_id = UUID(request.generation_id)
        files = await self._deletion.delete(key_holder().account_id, generation_id)
        return pb.DeleteGenerationResponse(generation_id=str(generation_id), files_deleted=files)

    async def WatchGeneration(  # noqa: N802
        self, request: pb.WatchGenerationRequest, context: RpcContext
    ) -> AsyncIterator[pb.WatchGenerationResponse]:
        """Streams one generation."""
        async with aclosing(self._watching.watch(key_holder(), UUID(request.generation_id))) as records:
            async for record in records:
                yield pb.WatchGenerationResponse(generation=record.generation, attempts=record.attempts)

    async def GetTimeline(  # noqa: N802
        self, request: pb.GetTimelineRequest, context: RpcContext
    ) -> pb.GetTimelineResponse:
        """Tells what became of one generation."""
        generation_id = UUID(request.generation_id)
        entries = await self._timelines.timeline(key_holder().account_id, generation_id)
        return pb.GetTimelineResponse(generation_id=str(generation_id), entries=entries)

    async def EstimateGeneration(  # noqa: N802
        self, request: pb.EstimateGenerationRequest, context: RpcContext
    ) -> pb.EstimateGenerationResponse:
        """Prices a request."""
        return await self._estimator.estimate(key_holder().account_id, request)
