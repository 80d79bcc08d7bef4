"""RoutingService: the library, and planned orders. Protobuf in, protobuf out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from babysea.common.v1 import money_pb2
from babysea.generation.v1 import generation_pb2
from babysea.routing.v1 import routing_pb2, routing_service_pb2, routing_service_pb2_grpc
from kit.clock import Clock, SystemClock
from server.catalog.types import Catalog, Model, ProviderInfo, RateCard
from server.routing.planning import plan_order
from server.runtime.context import RpcContext

_MEDIA = {"image": generation_pb2.MEDIA_IMAGE, "video": generation_pb2.MEDIA_VIDEO}


class RoutingServicer(routing_service_pb2_grpc.RoutingServiceServicer):
    """Answers from the catalog in memory.

    Args:
        catalog: what there is.
        active: ids of the providers that can be called; None for all of them.
        clock: tells which rate card holds.
    """

    def __init__(
        self, catalog: Catalog, active: Collection[str] | None = None, clock: Clock | None = None
    ) -> None:
        self._catalog = catalog
        self._active = frozenset(catalog.providers if active is None else active)
        self._clock = clock or SystemClock()

    async def ListModels(  # noqa: N802
        self, request: routing_service_pb2.ListModelsRequest, context: RpcContext
    ) -> routing_service_pb2.ListModelsResponse:
        """Every model, by identifier."""
        now = self._clock.now()
        models = [_model(model, now) for model in self._catalog.models.values()]
        return routing_service_pb2.ListModelsResponse(models=models)

    async def ListProviders(  # noqa: N802
        self, request: routing_service_pb2.ListProvidersRequest, context: RpcContext
    ) -> routing_service_pb2.ListProvidersResponse:
        """Every provider, by id."""
        providers = [
            _provider(info, info.provider_id in self._active, len(self._catalog.models_of(info.provider_id)))
            for info in self._catalog.providers.values()
        ]
        return routing_service_pb2.ListProvidersResponse(providers=providers)

    async def PlanOrder(  # noqa: N802
        self, request: routing_service_pb2.PlanOrderRequest, context: RpcContext
    ) -> routing_service_pb2.PlanOrderResponse:
        """The order for one model."""
        plan = plan_order(self._catalog.model(request.model_identifier), request.provider_order)
        return routing_service_pb2.PlanOrderResponse(providers=plan.providers, source=plan.source)


def _model(model: Model, at: datetime) -> routing_pb2.Model:
    return routing_pb2.Model(
        model_identifier=model.identifier,
        media=model.media_value,
        rate_card=_rate_card(model.card_at(at)),
        providers=model.provider_ids,
        schema=routing_pb2.ModelSchema(
            ratios=model.ratios,
            output_formats=model.formats,
            output_number_max=model.output_number_max,
            input_file=model.input_file_max > 0,
            durations=model.durations,
            resolutions=model.resolutions,
            generate_audio=model.audio,
        ),
        specific_fields=[f"generation_{extra.name}" for extra in model.extras],
    )


def _rate_card(card: RateCard) -> money_pb2.RateCard:
    return money_pb2.RateCard(
        version=card.version, flat_micros=card.flat_micros, tier_micros=dict(card.tier_micros)
    )


def _provider(info: ProviderInfo, active: bool, models_total: int) -> routing_pb2.Provider:
    return routing_pb2.Provider(
        provider_id=info.provider_id,
        name=info.name,
        description=info.description,
        website=info.website,
        docs=info.docs,
        status="active" if active else "disabled",
        delivery_method=info.delivery_method,
        cancel_method=info.cancel_method,
        webhook_verification=info.webhook_verification,
        media=[_MEDIA[media] for media in info.media],
        models_total=models_total,
    )
