"""Watching a generation and remembering what was seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from babysea.generation.v1 import generation_pb2, generation_service_pb2, generation_service_pb2_grpc
from tests.support.stack import Customer


@dataclass
class Seen:
    """What a customer saw."""

    records: list[generation_service_pb2.WatchGenerationResponse] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """Unix seconds at which each record came."""

    @property
    def states(self) -> list[generation_pb2.State.ValueType]:
        """The states, each once."""
        states = [record.generation.state for record in self.records]
        return [state for n, state in enumerate(states) if not n or states[n - 1] != state]


async def watch(
    customer: Customer,
    generation_id: str,
    seen: Seen | None = None,
    stub: generation_service_pb2_grpc.GenerationServiceAsyncStub | None = None,
) -> Seen:
    """Watches until the stream ends."""
    seen = seen if seen is not None else Seen()
    request = generation_service_pb2.WatchGenerationRequest(generation_id=generation_id)
    generations = stub if stub is not None else customer.stack.generations
    async for record in generations.WatchGeneration(request, metadata=customer.metadata):
        seen.records.append(record)
        seen.times.append(time.time())
    return seen
