"""In which order a request's providers are tried. Pure: no input and output, no clock, no chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from babysea.routing.v1 import routing_service_pb2
from kit.errors import invalid
from kit.settings import Region
from server.catalog.types import Catalog, Model
from server.generation.request import GenerationRequest
from server.providers.serving import served_by_none

FASTEST = "fastest"


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """Who is tried, first to last. Nobody else ever receives the request."""

    providers: tuple[str, ...]
    source: routing_service_pb2.OrderSource.ValueType


def plan_order(model: Model, provider_order: str) -> OrderPlan:
    """The plan for what a customer wrote: nothing, "fastest", or provider ids joined by commas.

    A list is both the order and the set; any part of the model's stack in any order is good.

    Raises:
        BabySeaError: INVALID_INPUT for "provider_order".
    """
    if provider_order.strip() in ("", FASTEST):
        return OrderPlan(model.provider_ids, routing_service_pb2.ORDER_SOURCE_STATIC)

    named = tuple(part.strip() for part in provider_order.split(","))
    allowed = set(model.provider_ids)
    if not allowed.issuperset(named):
        raise invalid("provider_order", _sentence(model, "names a provider that does not serve it"))
    if len(set(named)) != len(named):
        raise invalid("provider_order", _sentence(model, "names a provider twice"))
    return OrderPlan(named, routing_service_pb2.ORDER_SOURCE_EXPLICIT)


def resident_order(
    catalog: Catalog, model: Model, region: Region, providers: Sequence[str], request: GenerationRequest
) -> tuple[str, ...]:
    """What is left of an order for an account whose residency is strict, in the same order.

    Empty when nobody promises to process the request in `region`, or none of those can serve it.
    """
    left = tuple(name for name in providers if catalog.provider(name).keeps_in(region))
    return left if served_by_none(model, left, request) is None else ()


def _sentence(model: Model, problem: str) -> str:
    stack = ", ".join(model.provider_ids)
    return f'The provider order for {model.identifier} {problem}; write "{FASTEST}" or each of these at most once: {stack}.'
