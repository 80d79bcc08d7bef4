"""The models of all providers: input fields, defaults and prices, found by name.

Which fields come from provider documentation and which are assumed is said in docs/sandbox.md and by `ModelSpec.source`.
Prices are upstream list prices in micro-dollars; they feed the log's `billable` figure and what providers say of cost.
"""

from __future__ import annotations

from .catalog import (
    alibabacloud,
    bfl,
    byteplus,
    cloudflare,
    fal_assumed,
    fal_films,
    fal_pictures,
    openai,
    replicate,
    replicate_films,
    replicate_partners,
    runway,
)
from .catalog.kinds import ModelSpec, Price

__all__ = ["MODELS", "ModelSpec", "Price", "find_model"]

MODELS: tuple[ModelSpec, ...] = (
    *replicate.MODELS,
    *replicate_partners.PICTURES,
    *replicate_films.FILMS,
    *fal_pictures.MODELS,
    *fal_films.MODELS,
    *fal_assumed.MODELS,
    *alibabacloud.MODELS,
    *bfl.MODELS,
    *byteplus.MODELS,
    *cloudflare.MODELS,
    *openai.MODELS,
    *runway.MODELS,
)

_BY_NAME: dict[tuple[str, str, str], ModelSpec] = {
    (spec.provider, spec.id, spec.route): spec for spec in MODELS
}


def find_model(provider: str, model_id: str, route: str = "") -> ModelSpec | None:
    """Return the model `model_id` of `provider` on that route, or None when it does not serve one."""
    return _BY_NAME.get((provider, model_id, route))
