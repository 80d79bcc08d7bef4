"""What can be made, by whom, for how much."""

from __future__ import annotations

from fastapi import Request, Response

from babysea.generation.v1 import generation_pb2
from babysea.routing.v1 import routing_pb2
from babysea.routing.v1 import routing_service_pb2 as routing
from gateway.envelope import success
from gateway.exchange import exchange_of
from gateway.methods import LIST_MODELS, LIST_PROVIDERS
from gateway.upstream import upstream_of
from gateway.v1.library_responses import ModelData, ModelSchemaData, ModelsData, ProviderData, ProvidersData
from gateway.v1.responses import Envelope
from gateway.v1.routing import v1_router
from gateway.v1.values import media_word, plain
from kit.money import json_number

router = v1_router()


@router.get("/library/models", response_model=Envelope[ModelsData])
async def models(request: Request) -> Response:
    """Every model with its prices, providers and fields."""
    exchange = exchange_of(request)
    answer = await upstream_of(request).call(exchange, LIST_MODELS, routing.ListModelsRequest())
    data: ModelsData = {
        "models": [model_data(model) for model in answer.models],
        "models_total": len(answer.models),
    }
    return success(exchange, "Models retrieved successfully", data)


@router.get("/library/providers", response_model=Envelope[ProvidersData])
async def providers(request: Request) -> Response:
    """Every inference provider and how we work with it."""
    exchange = exchange_of(request)
    answer = await upstream_of(request).call(exchange, LIST_PROVIDERS, routing.ListProvidersRequest())
    data: ProvidersData = {
        "providers": [provider_data(provider) for provider in answer.providers],
        "providers_total": len(answer.providers),
    }
    return success(exchange, "Providers retrieved successfully", data)


def model_data(model: routing_pb2.Model) -> ModelData:
    """A model as the library shows it; one without a price has no `model_pricing`."""
    data: ModelData = {
        "model_type": media_word(model.media),
        "model_identifier": model.model_identifier,
        "model_supported_provider": list(model.providers),
        "schema": _schema_data(model),
        "specific_schema": list(model.specific_fields),
    }
    if model.rate_card.HasField("flat_micros"):
        data["model_pricing"] = json_number(model.rate_card.flat_micros)
    elif model.rate_card.tier_micros:
        tiers = sorted(model.rate_card.tier_micros.items())
        data["model_pricing"] = {tier: json_number(micros) for tier, micros in tiers}
    return data


def _schema_data(model: routing_pb2.Model) -> ModelSchemaData:
    schema = model.schema
    data: ModelSchemaData = {
        "generation_prompt": True,
        "generation_ratio": list(schema.ratios),
        "generation_output_format": list(schema.output_formats),
        "generation_output_number": schema.output_number_max,
        "generation_input_file": schema.input_file,
    }
    if model.media == generation_pb2.MEDIA_VIDEO:
        data["generation_duration"] = [plain(seconds) for seconds in schema.durations]
        if schema.resolutions:
            data["generation_resolution"] = list(schema.resolutions)
        data["generation_generate_audio"] = schema.generate_audio
    return data


def provider_data(provider: routing_pb2.Provider) -> ProviderData:
    """A provider as the library shows it."""
    return {
        "provider_id": provider.provider_id,
        "provider_name": provider.name,
        "provider_description": provider.description,
        "provider_website": provider.website,
        "provider_docs": provider.docs,
        "provider_status": provider.status,
        "babysea_implementation": {
            "delivery_method": provider.delivery_method,
            "cancel_method": provider.cancel_method or None,
            "webhook_verification": provider.webhook_verification or None,
            "error_mapping": "bse_error_codes",
            "cost_tracking": "per_generation_usd",
            "schema_conversion": "unified_to_native",
            "failover_strategy": "sequential_provider_chain",
            "health_monitoring": "circuit_breaker",
            "supported_media_types": [media_word(media) for media in provider.media],
            "supported_models_total": provider.models_total,
        },
    }
