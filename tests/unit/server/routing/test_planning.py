"""Which orders are accepted, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from babysea.routing.v1 import routing_service_pb2 as pb
from kit.errors import BabySeaError
from kit.settings import Region
from server.catalog import Catalog, load_catalog
from server.generation.request import normalise
from server.routing.planning import plan_order, resident_order
from server.routing.servicer import RoutingServicer

BOTH, ONE, PUBLISHED = "bfl/flux-schnell", "ideogram/v3-turbo", "bfl/flux-1.1-pro"
EXPLICIT, STATIC = pb.ORDER_SOURCE_EXPLICIT, pb.ORDER_SOURCE_STATIC


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.mark.parametrize(
    ("model", "order", "providers", "source"),
    [
        (BOTH, "", ("replicate", "fal"), STATIC),
        (BOTH, "fastest", ("replicate", "fal"), STATIC),
        (BOTH, " fastest ", ("replicate", "fal"), STATIC),
        (BOTH, "replicate, fal", ("replicate", "fal"), EXPLICIT),
        (BOTH, "fal, replicate", ("fal", "replicate"), EXPLICIT),
        (BOTH, "fal,replicate", ("fal", "replicate"), EXPLICIT),
        (BOTH, "fal", ("fal",), EXPLICIT),
        (PUBLISHED, "", ("replicate", "fal"), STATIC),
        (PUBLISHED, "replicate, fal", ("replicate", "fal"), EXPLICIT),
        (PUBLISHED, "fal, replicate", ("fal", "replicate"), EXPLICIT),
        (ONE, "", ("replicate",), STATIC),
        (ONE, "fastest", ("replicate",), STATIC),
        (ONE, "replicate", ("replicate",), EXPLICIT),
    ],
)
def test_an_accepted_order_is_order_and_set(
    catalog: Catalog, model: str, order: str, providers: tuple[str, ...], source: int
) -> None:
    plan = plan_order(catalog.model(model), order)
    assert (plan.providers, plan.source) == (providers, source)


@pytest.mark.parametrize(
    ("model", "order"),
    [
        (BOTH, "runway"),
        (BOTH, "Fal"),
        (BOTH, "replicate, bfl"),
        (BOTH, "fal, fal"),
        (BOTH, "fal,"),
        (BOTH, ","),
        (BOTH, "fastest, fal"),
        (BOTH, "replicate fal"),
        (ONE, "fal"),
        (ONE, "replicate, fal"),
    ],
)
def test_any_other_order_is_refused_naming_the_allowed_ones(catalog: Catalog, model: str, order: str) -> None:
    with pytest.raises(BabySeaError) as caught:
        plan_order(catalog.model(model), order)
    error = caught.value
    assert error.reason == error_reason_pb2.ERROR_REASON_INVALID_INPUT
    assert error.details == {"field": "provider_order"}
    assert all(provider in error.message for provider in catalog.model(model).provider_ids)


async def test_the_library_shows_every_model_with_a_price_and_lists_that_are_not_empty(
    catalog: Catalog,
) -> None:
    answer = await RoutingServicer(catalog).ListModels(pb.ListModelsRequest(), None)  # type: ignore[arg-type]
    assert [model.model_identifier for model in answer.models] == sorted(catalog.models)
    for model in answer.models:
        prices = [*model.rate_card.tier_micros.values(), model.rate_card.flat_micros]
        assert max(prices) > 0
        assert model.schema.ratios
        assert model.schema.output_formats
        assert all(field.startswith("generation_") for field in model.specific_fields)


async def test_a_provider_without_a_credential_is_shown_as_disabled(catalog: Catalog) -> None:
    answer = await RoutingServicer(catalog, active={"fal"}).ListProviders(pb.ListProvidersRequest(), None)  # type: ignore[arg-type]
    shown = {provider.provider_id: provider.status for provider in answer.providers}
    assert shown == dict.fromkeys(catalog.providers, "disabled") | {"fal": "active"}
    assert {provider.provider_id: provider.models_total for provider in answer.providers} == {
        provider_id: len(catalog.models_of(provider_id)) for provider_id in catalog.providers
    }


async def test_plan_order_of_an_unknown_model_is_bse2011(catalog: Catalog) -> None:
    with pytest.raises(BabySeaError, match="BSE2011"):
        await RoutingServicer(catalog).PlanOrder(pb.PlanOrderRequest(model_identifier="a/b"), None)  # type: ignore[arg-type]


def test_strict_residency_keeps_those_who_guarantee_the_very_region_in_the_same_order(
    catalog: Catalog,
) -> None:
    model = catalog.model(BOTH)
    message = CreateGenerationRequest(model_identifier=BOTH, media=model.media_value, prompt="a lighthouse")
    request = normalise(catalog, message)

    def left(region: Region, order: Sequence[str], **providers: Mapping[str, object]) -> tuple[str, ...]:
        changed = {name: replace(catalog.provider(name), **facts) for name, facts in providers.items()}  # type: ignore[arg-type]
        known = replace(catalog, providers={**catalog.providers, **changed})
        return resident_order(known, model, region, order, request)

    both = ("fal", "replicate")
    here = {"residency_guaranteed": ("us", "eu")}
    assert left("us", both) == ()
    assert left("us", both, fal=here) == ("fal",)
    assert left("us", both, replicate=here, fal=here) == both
    assert left("us", ("replicate",), fal=here) == ()
    assert left("jp", both, fal=here) == (), "guaranteed, but elsewhere"
    there = {"residency_guaranteed": (), "processing_region": {"us": "us", "eu": "eu", "jp": "jp"}}
    assert left("us", both, fal=there) == (), "there, but not guaranteed"
