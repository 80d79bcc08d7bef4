"""A regional server with canned answers: real gRPC, real validation rules, no database."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
import protovalidate
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.accounts.v1 import account_service_pb2_grpc, accounts_pb2
from babysea.common.v1 import error_reason_pb2, money_pb2, paging_pb2
from babysea.generation.v1 import callback_service_pb2 as callbacks
from babysea.generation.v1 import (
    callback_service_pb2_grpc,
    generation_pb2,
    generation_service_pb2_grpc,
    timeline_pb2,
)
from babysea.generation.v1 import generation_service_pb2 as generation
from babysea.keys.v1 import key_service_pb2 as keys
from babysea.keys.v1 import keys_pb2
from babysea.routing.v1 import routing_pb2, routing_service_pb2_grpc
from babysea.routing.v1 import routing_service_pb2 as routing
from kit import rpc
from kit.errors import BabySeaError, invalid

KEY = "Bearer bye_us_fake"
TOKEN = "service-token-of-the-test"
ACCOUNT_ID = "01935000-0000-7000-8000-000000000001"
GENERATION_ID = "01935000-0000-7000-8000-000000000002"
ATTEMPT_ID = "01935000-0000-7000-8000-000000000003"
PICTURE = bytes(range(256)) * 400
FILE_TOKEN = "token_of_the_picture"
SIGNATURE = "good"
BORN = datetime(2026, 11, 22, 1, 2, 3, 4_000, tzinfo=UTC)

Context = Any
Hook = Callable[[Message, Context], Awaitable[None]]


@dataclass
class Region:
    """What one fake region saw, and how it is told to behave."""

    name: str
    port: int = 0
    seen: list[tuple[str, dict[str, str], Message]] = field(default_factory=list)
    hooks: dict[str, Hook] = field(default_factory=dict)
    generation: generation_pb2.Generation = field(default_factory=lambda: image())
    admitted: dict[str, str] = field(default_factory=dict)
    """request_id -> generation_id."""
    answers: dict[str, Message] = field(default_factory=dict)
    """What methods for people answer where it is not the usual."""
    replayed: bool = False
    bytes_sent: int = 0
    files_cancelled: int = 0
    files_open: int = 0
    """Streams of files that have not ended."""

    def requests(self, method: str) -> list[Any]:
        """The messages that a method received."""
        return [message for name, _, message in self.seen if name == method]

    def metadata(self, method: str) -> dict[str, str]:
        """The metadata of the last call of a method."""
        return next(metadata for name, metadata, _ in reversed(self.seen) if name == method)

    async def enter(self, method: str, request: Message, context: Context, *, key: bool = True) -> None:
        """What the interceptors of a real region do, in their order."""
        metadata = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        self.seen.append((method, metadata, request))
        trailing = [(rpc.SERVER_MILLIS, "1.50"), (rpc.DATABASE_MILLIS, "0.75")]
        context.set_trailing_metadata(trailing)
        if key and metadata.get("authorization") != KEY:
            await abort(context, BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED), trailing)
        if key:
            limits = ((rpc.RATE_LIMIT_LIMIT, "60"), (rpc.RATE_LIMIT_REMAINING, "59"))
            trailing += [*limits, (rpc.RATE_LIMIT_RESET, "1800000000")]
            context.set_trailing_metadata(trailing)
        violations = protovalidate.collect_violations(request)
        if violations:
            broken: Any = violations[0].proto
            path = ".".join(element.field_name for element in broken.field.elements)
            await abort(context, invalid(path, f"{path} breaks a rule."), trailing)
        if method in self.hooks:
            await self.hooks[method](request, context)


async def abort(context: Context, error: BabySeaError, trailing: list[tuple[str, str]] | None = None) -> None:
    """Ends a call with one of our errors."""
    status: Any = rpc_status.to_status(rpc.status_of(error))
    if trailing:
        status = status._replace(trailing_metadata=(*status.trailing_metadata, *trailing))
    await context.abort_with_status(status)


def failing(reason: error_reason_pb2.ErrorReason.ValueType, **details: str) -> Hook:
    """A hook that refuses with a reason."""

    async def hook(_request: Message, context: Context) -> None:
        await abort(context, BabySeaError(reason, details=details))

    return hook


def image() -> generation_pb2.Generation:
    """A picture that succeeded."""
    made = generation_pb2.Generation(
        generation_id=GENERATION_ID,
        account_id=ACCOUNT_ID,
        model_identifier="bfl/flux-schnell",
        media=generation_pb2.MEDIA_IMAGE,
        state=generation_pb2.STATE_SUCCEEDED,
        provider_order=["replicate", "fal"],
        provider_used="replicate",
        prediction_id=ATTEMPT_ID,
        prompt="a lighthouse",
        ratio="1:1",
        output_format="png",
        output_number=1,
        outputs=[generation_pb2.OutputFile(url="https://files.example/1.png", content_type="image/png")],
        predict_seconds=1.25,
    )
    made.created_at.FromDatetime(BORN)
    made.started_at.FromDatetime(BORN.replace(second=4))
    made.completed_at.FromDatetime(BORN.replace(second=5, microsecond=504_000))
    made.output_expires_at.FromDatetime(BORN.replace(day=23))
    made.extras.update({"guidance_scale": 3.5, "steps": 28, "enhance": True})
    return made


def entries() -> list[timeline_pb2.TimelineEntry]:
    """A timeline up to its first failover."""
    error = generation_pb2.ProviderError(
        provider="replicate", code="BSE4003", type="provider_unavailable", message="Away."
    )
    made = [
        timeline_pb2.TimelineEntry(
            state=timeline_pb2.StateChange(state=generation_pb2.STATE_PENDING, amount_micros=5_000)
        ),
        timeline_pb2.TimelineEntry(
            decision=timeline_pb2.Decision(
                kind=timeline_pb2.DECISION_KIND_ORDER_PLANNED, providers=["replicate", "fal"]
            )
        ),
        timeline_pb2.TimelineEntry(
            attempt=timeline_pb2.AttemptChange(
                attempt_id=ATTEMPT_ID,
                ordinal=1,
                provider="replicate",
                state=generation_pb2.ATTEMPT_STATE_FAILED,
                error=error,
            )
        ),
        timeline_pb2.TimelineEntry(
            decision=timeline_pb2.Decision(
                kind=timeline_pb2.DECISION_KIND_FAILED_OVER, providers=["fal"], cause_code="BSE4003"
            )
        ),
    ]
    for entry in made:
        entry.at.FromDatetime(BORN)
    return made


def video() -> generation_pb2.Generation:
    """A video that waits."""
    made = generation_pb2.Generation(
        generation_id=GENERATION_ID,
        account_id=ACCOUNT_ID,
        model_identifier="wan/video",
        media=generation_pb2.MEDIA_VIDEO,
        state=generation_pb2.STATE_PENDING,
        provider_order=["fal"],
        prediction_id=ATTEMPT_ID,
        prompt="waves",
        output_format="mp4",
        output_number=1,
        duration=5.0,
        resolution="720p",
        generate_audio=False,
    )
    made.created_at.FromDatetime(BORN)
    return made


class Keys:
    def __init__(self, region: Region) -> None:
        self.region = region

    async def GetCallerKey(self, request: keys.GetCallerKeyRequest, context: Context) -> Any:  # noqa: N802
        await self.region.enter("GetCallerKey", request, context)
        key = keys_pb2.ApiKey(key_id=ATTEMPT_ID, account_id=ACCOUNT_ID, name="main", prefix="bye_us_4fJ0")
        key.created_at.FromDatetime(BORN)
        return keys.GetCallerKeyResponse(key=key)


class Accounts(account_service_pb2_grpc.AccountServiceServicer):
    def __init__(self, region: Region) -> None:
        self.region = region

    async def CreateAccount(self, request: Any, context: Context) -> Any: ...  # noqa: N802

    async def GetAccount(self, request: accounts.GetAccountRequest, context: Context) -> Any:  # noqa: N802
        await self.region.enter("GetAccount", request, context)
        owner = accounts_pb2.Account(account_id=ACCOUNT_ID, name="Acme", personal=False)
        owner.created_at.FromDatetime(BORN)
        return accounts.GetAccountResponse(account=owner)

    async def GetBilling(self, request: accounts.GetBillingRequest, context: Context) -> Any:  # noqa: N802
        await self.region.enter("GetBilling", request, context)
        state = accounts_pb2.Billing(
            account_id=ACCOUNT_ID, plan_title="Starter Monthly", balance_micros=12_345_678
        )
        return accounts.GetBillingResponse(billing=state)


class Routing(routing_service_pb2_grpc.RoutingServiceServicer):
    def __init__(self, region: Region) -> None:
        self.region = region

    async def PlanOrder(self, request: Any, context: Context) -> Any: ...  # noqa: N802

    async def ListModels(self, request: routing.ListModelsRequest, context: Context) -> Any:  # noqa: N802
        await self.region.enter("ListModels", request, context)
        picture = routing_pb2.Model(
            model_identifier="bfl/flux-schnell",
            media=generation_pb2.MEDIA_IMAGE,
            rate_card=money_pb2.RateCard(flat_micros=5_000),
            providers=["replicate", "fal"],
            schema=routing_pb2.ModelSchema(ratios=["1:1"], output_formats=["png"], output_number_max=1),
            specific_fields=["generation_guidance_scale"],
        )
        film = routing_pb2.Model(
            model_identifier="wan/video",
            media=generation_pb2.MEDIA_VIDEO,
            rate_card=money_pb2.RateCard(tier_micros={"720p": 62_000, "480p": 30_000}),
            providers=["fal"],
            schema=routing_pb2.ModelSchema(
                ratios=["16:9"],
                output_formats=["mp4"],
                output_number_max=1,
                input_file=True,
                durations=[5.0, 2.5],
                resolutions=["720p"],
                generate_audio=True,
            ),
        )
        return routing.ListModelsResponse(models=[picture, film])

    async def ListProviders(self, request: routing.ListProvidersRequest, context: Context) -> Any:  # noqa: N802
        await self.region.enter("ListProviders", request, context)
        provider = routing_pb2.Provider(
            provider_id="replicate",
            name="Replicate",
            description="Runs models.",
            website="https://replicate.com",
            docs="https://replicate.com/docs",
            status="active",
            delivery_method="polling",
            media=[generation_pb2.MEDIA_IMAGE, generation_pb2.MEDIA_VIDEO],
            models_total=2,
        )
        return routing.ListProvidersResponse(providers=[provider])


class Generations(generation_service_pb2_grpc.GenerationServiceServicer):
    def __init__(self, region: Region) -> None:
        self.region = region

    async def CreateGeneration(  # noqa: N802
        self, request: generation.CreateGenerationRequest, context: Context
    ) -> Any:
        self.region.admitted.setdefault(request.request_id, GENERATION_ID) if request.request_id else None
        await self.region.enter("CreateGeneration", request, context)
        return generation.CreateGenerationResponse(
            generation=self.region.generation, replayed=self.region.replayed
        )

    async def GetGeneration(self, request: generation.GetGenerationRequest, context: Context) -> Any:  # noqa: N802
        await self.region.enter("GetGeneration", request, context)
        if request.generation_id != GENERATION_ID:
            await abort(context, BabySeaError(error_reason_pb2.ERROR_REASON_GENERATION_NOT_FOUND))
        return generation.GetGenerationResponse(generation=self.region.generation)

    async def ListGenerations(  # noqa: N802
        self, request: generation.ListGenerationsRequest, context: Context
    ) -> Any:
        await self.region.enter("ListGenerations", request, context)
        page = paging_pb2.PageInfo(total=7, page_size=request.page.page_size, offset=request.page.offset)
        return generation.ListGenerationsResponse(generations=[image(), video()], page=page)

    async def CancelGeneration(  # noqa: N802
        self, request: generation.CancelGenerationRequest, context: Context
    ) -> Any:
        await self.region.enter("CancelGeneration", request, context)
        return generation.CancelGenerationResponse(
            generation=self.region.generation, provider_cancel_sent=False, credits_refunded=True
        )

    async def DeleteGeneration(  # noqa: N802
        self, request: generation.DeleteGenerationRequest, context: Context
    ) -> Any:
        await self.region.enter("DeleteGeneration", request, context)
        return generation.DeleteGenerationResponse(generation_id=request.generation_id, files_deleted=1)

    async def WatchGeneration(  # noqa: N802
        self, request: generation.WatchGenerationRequest, context: Context
    ) -> AsyncIterator[generation.WatchGenerationResponse]:
        await self.region.enter("WatchGeneration", request, context)
        yield generation.WatchGenerationResponse(generation=self.region.generation)

    async def GetTimeline(self, request: generation.GetTimelineRequest, context: Context) -> Any:  # noqa: N802
        await self.region.enter("GetTimeline", request, context)
        return generation.GetTimelineResponse(generation_id=request.generation_id, entries=entries())

    async def EstimateGeneration(  # noqa: N802
        self, request: generation.EstimateGenerationRequest, context: Context
    ) -> Any:
        await self.region.enter("EstimateGeneration", request, context)
        return generation.EstimateGenerationResponse(
            model_identifier=request.model_identifier,
            media=generation_pb2.MEDIA_IMAGE,
            count=request.count,
            generation_micros=52_000,
            total_micros=52_000 * request.count,
            balance_micros=12_480_000,
        )


class Files(generation_service_pb2_grpc.FileServiceServicer):
    def __init__(self, region: Region) -> None:
        self.region = region

    async def ReadFile(  # noqa: N802
        self, request: generation.ReadFileRequest, context: Context
    ) -> AsyncIterator[generation.ReadFileResponse]:
        await self.region.enter("ReadFile", request, context, key=False)
        if self.region.metadata("ReadFile").get(rpc.SERVICE_TOKEN) != TOKEN:
            await abort(context, BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED))
        if request.file_token != FILE_TOKEN or request.signature != SIGNATURE:
            await abort(context, BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND))
        size = len(PICTURE)
        if request.suffix_length:
            length = min(request.suffix_length, size)
            offset = size - length
        else:
            offset = min(request.offset, size)
            length = min(request.length if request.length > 0 else size, size - offset)
        facts = generation.FileFacts(
            content_type="image/png",
            size_bytes=size,
            sha256=hashlib.sha256(PICTURE).digest(),
            offset=offset,
            length=length,
            file_name="picture.png",
        )
        yield generation.ReadFileResponse(facts=facts)
        if request.length == -1:
            return
        self.region.files_open += 1
        try:
            for start in range(offset, offset + length, 10_000):
                chunk = PICTURE[start : min(start + 10_000, offset + length)]
                self.region.bytes_sent += len(chunk)
                yield generation.ReadFileResponse(chunk=chunk)
                if "Chunk" in self.region.hooks:
                    await self.region.hooks["Chunk"](request, context)
        except asyncio.CancelledError:
            self.region.files_cancelled += 1
            raise
        finally:
            self.region.files_open -= 1


class Callbacks(callback_service_pb2_grpc.CallbackServiceServicer):
    def __init__(self, region: Region) -> None:
        self.region = region

    async def ReceiveCallback(  # noqa: N802
        self, request: callbacks.ReceiveCallbackRequest, context: Context
    ) -> Any:
        await self.region.enter("ReceiveCallback", request, context, key=False)
        if self.region.metadata("ReceiveCallback").get(rpc.SERVICE_TOKEN) != TOKEN:
            await abort(context, BabySeaError(error_reason_pb2.ERROR_REASON_AUTHENTICATION_REQUIRED))
        return callbacks.ReceiveCallbackResponse()


async def start(region: Region, *handlers: grpc.GenericRpcHandler) -> grpc.aio.Server:
    """Serves a region on a free loopback port, which it notes in `region.port`; `handlers` are asked first."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(handlers)
    caller_key = grpc.unary_unary_rpc_method_handler(
        Keys(region).GetCallerKey,
        keys.GetCallerKeyRequest.FromString,
        keys.GetCallerKeyResponse.SerializeToString,
    )
    own = grpc.method_handlers_generic_handler("babysea.keys.v1.KeyService", {"GetCallerKey": caller_key})
    server.add_generic_rpc_handlers((own,))
    account_service_pb2_grpc.add_AccountServiceServicer_to_server(Accounts(region), server)
    routing_service_pb2_grpc.add_RoutingServiceServicer_to_server(Routing(region), server)
    generation_service_pb2_grpc.add_GenerationServiceServicer_to_server(Generations(region), server)
    generation_service_pb2_grpc.add_FileServiceServicer_to_server(Files(region), server)
    callback_service_pb2_grpc.add_CallbackServiceServicer_to_server(Callbacks(region), server)
    probe = health.aio.HealthServicer()
    await probe.set("", health_pb2.HealthCheckResponse.SERVING)
    await probe.set("babysea.accepting", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(probe, server)
    region.port = server.add_insecure_port(f"127.0.0.1:{region.port}")
    await server.start()
    return server
