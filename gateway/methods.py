"""Every regional call that the routes for programs make; those of people stand in `gateway.member_methods`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.generation.v1 import callback_service_pb2 as callbacks
from babysea.generation.v1 import generation_service_pb2 as generation
from babysea.keys.v1 import key_service_pb2 as keys
from babysea.routing.v1 import routing_service_pb2 as routing
from gateway.errors import CREATE_FIELDS, PAGE_FIELDS

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[Q, R]):
    """One method of a regional service."""

    service: str
    """Full name, for example "babysea.keys.v1.KeyService"."""
    name: str
    """Name within the service."""
    request: type[Q]
    """What it takes."""
    response: type[R]
    """What it answers, once or as a stream."""
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Public names of the request's fields where they differ."""

    @property
    def path(self) -> str:
        """How gRPC addresses it."""
        return f"/{self.service}/{self.name}"


_GENERATION = "babysea.generation.v1.GenerationService"
_ACCOUNTS = "babysea.accounts.v1.AccountService"
_ROUTING = "babysea.routing.v1.RoutingService"

GET_CALLER_KEY = Method(
    "babysea.keys.v1.KeyService", "GetCallerKey", keys.GetCallerKeyRequest, keys.GetCallerKeyResponse
)
GET_ACCOUNT = Method(_ACCOUNTS, "GetAccount", accounts.GetAccountRequest, accounts.GetAccountResponse)
GET_BILLING = Method(_ACCOUNTS, "GetBilling", accounts.GetBillingRequest, accounts.GetBillingResponse)
CREATE_GENERATION = Method(
    _GENERATION,
    "CreateGeneration",
    generation.CreateGenerationRequest,
    generation.CreateGenerationResponse,
    CREATE_FIELDS,
)
GET_GENERATION = Method(
    _GENERATION, "GetGeneration", generation.GetGenerationRequest, generation.GetGenerationResponse
)
LIST_GENERATIONS = Method(
    _GENERATION,
    "ListGenerations",
    generation.ListGenerationsRequest,
    generation.ListGenerationsResponse,
    PAGE_FIELDS,
)
CANCEL_GENERATION = Method(
    _GENERATION, "CancelGeneration", generation.CancelGenerationRequest, generation.CancelGenerationResponse
)
DELETE_GENERATION = Method(
    _GENERATION, "DeleteGeneration", generation.DeleteGenerationRequest, generation.DeleteGenerationResponse
)
GET_TIMELINE = Method(
    _GENERATION, "GetTimeline", generation.GetTimelineRequest, generation.GetTimelineResponse
)
ESTIMATE_GENERATION = Method(
    _GENERATION,
    "EstimateGeneration",
    generation.EstimateGenerationRequest,
    generation.EstimateGenerationResponse,
)
LIST_MODELS = Method(_ROUTING, "ListModels", routing.ListModelsRequest, routing.ListModelsResponse)
LIST_PROVIDERS = Method(
    _ROUTING, "ListProviders", routing.ListProvidersRequest, routing.ListProvidersResponse
)
READ_FILE = Method(
    "babysea.generation.v1.FileService", "ReadFile", generation.ReadFileRequest, generation.ReadFileResponse
)
RECEIVE_CALLBACK = Method(
    "babysea.generation.v1.CallbackService",
    "ReceiveCallback",
    callbacks.ReceiveCallbackRequest,
    callbacks.ReceiveCallbackResponse,
)
CHECK_HEALTH = Method(
    "grpc.health.v1.Health", "Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
)
