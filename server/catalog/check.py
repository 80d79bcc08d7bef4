"""Asks of a whole catalog what no single file can say: that nothing sells below cost and that all that is sold is served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import cast

from server.catalog.errors import UnsoundCatalogError
from server.catalog.types import (
    Catalog,
    ExtraValue,
    Model,
    ProviderModel,
    value_key,
)
from server.catalog.upstream import upstream_micros

CONTRACT_STACKS = (
    "replicate",
    "bfl, replicate",
    "openai, replicate",
    "runway, replicate",
    "replicate, fal",
    "alibabacloud, replicate, fal",
    "bfl, replicate, cloudflare",
    "bfl, replicate, fal",
    "byteplus, replicate, fal",
    "openai, replicate, fal",
    "replicate, fal, cloudflare",
)
"""Every provider order that the public contract lists, beside "fastest"."""


@dataclass(frozen=True, slots=True)
class CatalogReport:
    """What a sound catalog holds, and what may deserve a look."""

    stacks: dict[str, int]
    """Models by stack."""
    price_kinds: dict[str, int]
    """Models by kind of price."""
    warnings: tuple[str, ...]


def check_catalog(catalog: Catalog) -> CatalogReport:
    """Checks every model and the whole.

    Raises:
        UnsoundCatalogError: the first thing that is wrong.
    """
    stacks: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for model in catalog.models.values():
        _check_library(model)
        _check_words(model)
        _check_service(model)
        _check_extras(model)
        _check_money(model)
        stack = ", ".join(model.provider_ids)
        stacks[stack] = stacks.get(stack, 0) + 1
        kinds[price_kind(model)] = kinds.get(price_kind(model), 0) + 1
    for stack in CONTRACT_STACKS:
        if stack not in stacks:
            raise UnsoundCatalogError(
                "The catalog", f'has no model with the stack "{stack}", which the contract lists'
            )
    return CatalogReport(stacks, kinds, tuple(_warnings(catalog)))


def price_kind(model: Model) -> str:
    """How a model is priced: "per image", "per second", "per resolution" or "audio tiers"."""
    tiers = model.rate_cards[-1].tier_micros
    if any(tier.endswith("_audio") for tier in tiers):
        return "audio tiers"
    if tiers:
        return "per resolution"
    return "per second" if model.media == "video" else "per image"


def _check_library(model: Model) -> None:
    """A customer of ours fails when the library shows it an empty list or a price that is not positive."""
    lists: dict[str, Sequence[object]] = {
        "ratios": model.ratios,
        "formats": model.formats,
        "providers": model.providers,
    }
    if model.media == "video":
        lists["durations"] = model.durations
    for name, values in lists.items():
        if not values:
            raise UnsoundCatalogError(model.identifier, f"has no {name}")
    for card in model.rate_cards:
        amounts = [card.flat_micros] if card.flat_micros is not None else list(card.tier_micros.values())
        if not amounts or min(amounts) <= 0:
            raise UnsoundCatalogError(
                model.identifier, f"has a price that is not positive in rate card {card.version}"
            )


def _check_words(model: Model) -> None:
    for provider in model.providers:
        for name, rule in provider.fields.items():
            for key in map(value_key, served(model, provider).get(name, ())):
                if rule.values and key not in rule.values:
                    raise UnsoundCatalogError(
                        model.identifier, f"has no word of {provider.provider_id} for {name} {key}"
                    )


def served(model: Model, provider: ProviderModel) -> dict[str, tuple[ExtraValue, ...]]:
    """What the provider serves of each field of the model whose values can be listed."""
    return {
        "ratio": provider.ratios or model.ratios,
        "output_format": provider.formats or model.formats,
        "duration": provider.durations or model.durations,
        "resolution": provider.resolutions or model.resolutions,
    }


def _check_service(model: Model) -> None:
    offers = [served(model, provider) for provider in model.providers]
    wanted = (model.ratios, model.formats, model.durations or (None,), model.resolutions or (None,))
    for choice in product(*wanted):
        named = dict(zip(("ratio", "output_format", "duration", "resolution"), choice, strict=True))
        able = [
            provider
            for provider, offer in zip(model.providers, offers, strict=True)
            if not provider.closed
            and all(value is None or value in offer[name] for name, value in named.items())
        ]
        shown = " ".join(value_key(value) for value in choice if value is not None)
        if not able:
            raise UnsoundCatalogError(
                model.identifier, f"offers {shown}, which no provider of its stack serves"
            )
        for what, makers in _options(model, able).items():
            if not any(makers):
                raise UnsoundCatalogError(
                    model.identifier, f"offers {what} with {shown}, which no provider of its stack serves"
                )
        if model.input_file_max and not any(_files_of(model, each) == model.input_file_max for each in able):
            raise UnsoundCatalogError(
                model.identifier,
                f"takes {model.input_file_max} input files, which no provider does with {shown}",
            )


def _options(model: Model, able: Sequence[ProviderModel]) -> dict[str, list[bool]]:
    """For each choice that the model offers, whether each of these providers can serve it."""
    options: dict[str, list[bool]] = {}
    if model.audio:
        options["generate_audio"] = [provider.makes_audio for provider in able]
        options["silence"] = [not provider.always_audible for provider in able]
    if model.last_content:
        options["input_file_last_content"] = [provider.says("input_file_last_content") for provider in able]
    return options


def _files_of(model: Model, provider: ProviderModel) -> int:
    if not provider.says("input_file"):
        return 0
    return provider.input_file_max or model.input_file_max


def _check_extras(model: Model) -> None:
    for extra in model.extras:
        bounded = extra.minimum is not None and extra.maximum is not None
        if extra.type in ("int", "number") and not bounded:
            raise UnsoundCatalogError(model.identifier, f"has no bounds for {extra.name}")
        if extra.type == "enum" and not extra.values:
            raise UnsoundCatalogError(model.identifier, f"has no values for {extra.name}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request says that prices depend on."""

    ratio: str
    resolution: str | None
    generate_audio: bool
    duration: float | None
    input_file: tuple[str, ...]


def _check_money(model: Model) -> None:
    """Whatever a customer may ask of a provider must not cost us more than it costs them, at any of our prices."""
    for provider in model.providers:
        for asked in _requests(model, provider):
            cost = upstream_micros(provider, asked, 1)
            for card in model.rate_cards:
                unit = card.unit_micros(asked.resolution, asked.generate_audio)
                price = unit if asked.duration is None else round(unit * asked.duration)
                if cost is not None and cost > price:
                    raise UnsoundCatalogError(
                        model.identifier,
                        f"sells for {price} micro-dollars in rate card {card.version} what {provider.provider_id}"
                        f" bills at {cost}",
                    )


def _requests(model: Model, provider: ProviderModel) -> Iterator[_Asked]:
    """Every request that the provider serves and that may have a price of its own, with as many files as it takes."""
    files = ("",) * _files_of(model, provider)
    offer = served(model, provider)
    for ratio, resolution, sound, duration in product(
        offer["ratio"],
        offer["resolution"] or (None,),
        [True] * provider.makes_audio + [False] * (not provider.always_audible),
        offer["duration"] or (None,),
    ):
        yield _Asked(
            cast("str", ratio), cast("str | None", resolution), sound, cast("float | None", duration), files
        )


def _warnings(catalog: Catalog) -> Iterator[str]:
    for provider_id in catalog.providers:
        if not catalog.models_of(provider_id):
            yield f"No model is served by {provider_id}."
    for model in catalog.models.values():
        stack = ", ".join(model.provider_ids)
        if stack not in CONTRACT_STACKS:
            yield f'{model.identifier} has the stack "{stack}", which the contract does not list.'
        for extra in model.extras:
            if not extra.native:
                yield f"{model.identifier}: no provider of the stack takes {extra.name}."
        for provider in model.providers:
            if provider.upstream is None:
                yield f"{model.identifier}: nothing is known of what {provider.provider_id} bills."
        first = served(model, model.providers[0])
        defaults = {"ratio": model.ratios[0], "output_format": model.formats[0]}
        if any(value not in first[name] for name, value in defaults.items()):
            yield f"{model.identifier}: {model.provider_ids[0]} does not serve the defaults."
