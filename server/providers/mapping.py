"""Says a normalised request in a provider's own words, as the catalog declares them."""

from __future__ import annotations

from server.catalog.types import ExtraValue, Model, ProviderModel
from server.generation.request import GenerationRequest


def native_parameters(
    model: Model, provider_model: ProviderModel, request: GenerationRequest
) -> dict[str, object]:
    """The provider's parameters for the request: a JSON object. Extras that the provider lacks are left out."""
    native: dict[str, object] = dict(provider_model.constants)
    for name, value in _unified(request).items():
        rule = provider_model.fields.get(name)
        if value is not None and rule is not None and rule.to:
            native[rule.to] = rule.native(value)
    files = provider_model.fields.get("input_file")
    if files is not None and files.to and request.input_file:
        native[files.to] = list(request.input_file) if files.as_list else request.input_file[0]
    for name, value in request.extras.items():
        extra = model.extra_named(name)
        rule = extra.native.get(provider_model.provider_id) if extra is not None else None
        if rule is not None:
            native[rule.to] = rule.native(value)
    return native


def _unified(request: GenerationRequest) -> dict[str, ExtraValue | None]:
    return {
        "prompt": request.prompt,
        "ratio": request.ratio,
        "output_format": request.output_format,
        "output_number": request.output_number,
        "input_file_last_content": request.input_file_last_content or None,
        "duration": request.duration,
        "resolution": request.resolution,
        "generate_audio": request.generate_audio,
    }
