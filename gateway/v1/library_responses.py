"""Payloads of the library routes."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from gateway.v1.values import Number


class ModelSchemaData(TypedDict):
    """What a request to a model may say; the first value of a list is the default."""

    generation_prompt: bool
    generation_ratio: list[str]
    generation_output_format: list[str]
    generation_output_number: int
    generation_input_file: bool
    generation_duration: NotRequired[list[Number]]
    generation_resolution: NotRequired[list[str]]
    generation_generate_audio: NotRequired[bool]


class ModelData(TypedDict):
    """A model of the library."""

    model_type: Literal["image", "video"]
    model_identifier: str
    model_pricing: NotRequired[Number | dict[str, Number]]
    model_supported_provider: list[str]
    schema: ModelSchemaData
    specific_schema: list[str]


class ModelsData(TypedDict):
    """Every model."""

    models: list[ModelData]
    models_total: int


class ImplementationData(TypedDict):
    """How we work with a provider."""

    delivery_method: str
    cancel_method: str | None
    webhook_verification: str | None
    error_mapping: Literal["bse_error_codes"]
    cost_tracking: Literal["per_generation_usd"]
    schema_conversion: Literal["unified_to_native"]
    failover_strategy: Literal["sequential_provider_chain"]
    health_monitoring: Literal["circuit_breaker"]
    supported_media_types: list[Literal["image", "video"]]
    supported_models_total: int


class ProviderData(TypedDict):
    """An inference provider."""

    provider_id: str
    provider_name: str
    provider_description: str
    provider_website: str
    provider_docs: str
    provider_status: str
    babysea_implementation: ImplementationData


class ProvidersData(TypedDict):
    """Every provider."""

    providers: list[ProviderData]
    providers_total: int
