"""The library of the whole catalog, in the shape that the public contract gives it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from babysea.routing.v1 import routing_service_pb2 as pb
from gateway.v1.library import model_data, provider_data
from gateway.v1.library_responses import ModelData, ProviderData
from server.catalog import load_catalog
from server.routing.servicer import RoutingServicer

CATALOG = load_catalog()
MODEL_KEYS = {
    "model_type",
    "model_identifier",
    "model_pricing",
    "model_supported_provider",
    "schema",
    "specific_schema",
}
SCHEMA_KEYS = {
    "generation_prompt",
    "generation_ratio",
    "generation_output_format",
    "generation_output_number",
    "generation_input_file",
}
PUBLISHED_NAMES = {
    "alibabacloud": "Alibaba Cloud",
    "bfl": "BFL",
    "byteplus": "BytePlus",
    "cloudflare": "Cloudflare",
    "fal": "FAL",
    "openai": "OpenAI",
    "replicate": "Replicate",
    "runway": "Runway",
}


async def library() -> dict[str, dict[str, Any]]:
    answer = await RoutingServicer(CATALOG).ListModels(pb.ListModelsRequest(), None)  # type: ignore[arg-type]
    return {model.model_identifier: json.loads(json.dumps(model_data(model))) for model in answer.models}


async def providers() -> dict[str, dict[str, Any]]:
    answer = await RoutingServicer(CATALOG).ListProviders(pb.ListProvidersRequest(), None)  # type: ignore[arg-type]
    return {each.provider_id: json.loads(json.dumps(provider_data(each))) for each in answer.providers}


@pytest.mark.parametrize("identifier", CATALOG.models)
async def test_every_field_of_every_model_is_there_and_right(identifier: str) -> None:
    model, shown = CATALOG.model(identifier), (await library())[identifier]
    TypeAdapter(ModelData).validate_python(shown, strict=True)
    assert set(shown) == MODEL_KEYS
    assert (shown["model_type"], shown["model_identifier"]) == (model.media, identifier)
    assert shown["model_supported_provider"] == list(model.provider_ids)
    assert shown["specific_schema"] == [f"generation_{extra.name}" for extra in model.extras]
    schema = shown["schema"]
    assert schema["generation_prompt"] is True
    assert schema["generation_ratio"] == list(model.ratios) != []
    assert schema["generation_output_format"] == list(model.formats) != []
    assert schema["generation_output_number"] == model.output_number_max
    assert schema["generation_input_file"] is (model.input_file_max > 0)
    optional = set(schema) - SCHEMA_KEYS
    if model.media == "image":
        assert optional == set()
        return
    resolution = {"generation_resolution"} if model.resolutions else set()
    assert optional == {"generation_duration", "generation_generate_audio"} | resolution
    assert schema["generation_duration"] == list(model.durations) != []
    assert schema.get("generation_resolution", []) == list(model.resolutions)
    assert schema["generation_generate_audio"] is model.audio


async def test_every_price_is_a_positive_number_or_a_map_of_them_by_known_tiers() -> None:
    for identifier, shown in (await library()).items():
        pricing, resolutions = shown["model_pricing"], shown["schema"].get("generation_resolution", [])
        if isinstance(pricing, dict):
            assert pricing, identifier
            assert {tier.split("_")[0] for tier in pricing} == set(resolutions), identifier
            assert all(tier.split("_")[1:] in ([], ["audio"], ["noaudio"]) for tier in pricing), identifier
        amounts = pricing.values() if isinstance(pricing, dict) else [pricing]
        assert all(isinstance(amount, int | float) and amount > 0 for amount in amounts), identifier


@pytest.mark.parametrize("provider_id", CATALOG.providers)
async def test_every_field_of_every_provider_is_there_and_right(provider_id: str) -> None:
    info, shown = CATALOG.provider(provider_id), (await providers())[provider_id]
    TypeAdapter(ProviderData).validate_python(shown, strict=True)
    assert shown == {
        "provider_id": provider_id,
        "provider_name": PUBLISHED_NAMES[provider_id],
        "provider_description": info.description,
        "provider_website": info.website,
        "provider_docs": info.docs,
        "provider_status": "active",
        "babysea_implementation": {
            "delivery_method": info.delivery_method,
            "cancel_method": info.cancel_method or None,
            "webhook_verification": info.webhook_verification or None,
            "error_mapping": "bse_error_codes",
            "cost_tracking": "per_generation_usd",
            "schema_conversion": "unified_to_native",
            "failover_strategy": "sequential_provider_chain",
            "health_monitoring": "circuit_breaker",
            "supported_media_types": list(info.media),
            "supported_models_total": len(CATALOG.models_of(provider_id)),
        },
    }
    implementation = shown["babysea_implementation"]
    assert implementation["delivery_method"] in ("webhook_with_polling", "synchronous", "polling")
    assert implementation["cancel_method"] in ("prediction_cancel_api", "queue_cancel_api", None)
    assert implementation["webhook_verification"] in ("hmac_sha256", "ed25519", None)
    assert implementation["supported_models_total"] > 0


async def test_exactly_the_published_providers_are_listed() -> None:
    assert set(await providers()) == set(PUBLISHED_NAMES)
