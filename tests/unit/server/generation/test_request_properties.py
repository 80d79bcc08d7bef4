"""Whatever a model's schema allows can be normalised, priced exactly, and said to each of its providers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.errors import BabySeaError
from sandbox.models import find_model
from sandbox.schema import check
from server.catalog import Model
from server.generation.pricing import captured_micros, estimate_price, price_micros
from server.generation.request import GenerationRequest, normalise
from server.providers.mapping import native_parameters
from server.providers.serving import why_not
from tests.support.requests import CATALOG, allowed


@given(allowed())
@settings(max_examples=100, deadline=None)
def test_every_allowed_request_is_understood_by_each_of_its_providers(
    case: tuple[Model, CreateGenerationRequest],
) -> None:
    model, message = case
    request = normalise(CATALOG, message)
    # Where one provider alone serves the rest of a request, its longest prompt is everybody's.
    shorter = replace(request, prompt="x")
    assert any(why_not(provider, shorter) is None for provider in model.providers)
    able = [provider for provider in model.providers if why_not(provider, request) is None]
    for provider in able:
        outputs = min(request.output_number, provider.outputs_per_call or request.output_number)
        native = native_parameters(model, provider, request, outputs)
        if provider.provider_id not in ("replicate", "fal"):
            continue
        assert native["prompt"] == message.prompt
        path = provider.path_for(with_files=bool(request.input_file))
        spec = find_model(provider.provider_id, path)
        assert spec is not None, path
        assert check(spec.fields, native, "input") == [], path


@given(allowed())
@settings(max_examples=100, deadline=None)
def test_stored_requests_come_back_equal_and_equal_requests_have_equal_bytes(
    case: tuple[Model, CreateGenerationRequest],
) -> None:
    request = normalise(CATALOG, case[1])
    stored = request.to_json()
    assert GenerationRequest.from_json(stored) == request
    assert GenerationRequest.from_json(stored).to_json() == stored
    again = normalise(CATALOG, CreateGenerationRequest.FromString(case[1].SerializeToString()))
    assert again.to_json() == stored


@given(allowed(), st.integers(-1, 20), st.none() | st.floats(-1, 1e6))
@settings(max_examples=100, deadline=None)
def test_a_price_is_exact_and_what_is_captured_never_exceeds_it(
    case: tuple[Model, CreateGenerationRequest], outputs: int, seconds: float | None
) -> None:
    model, message = case
    request, card = normalise(CATALOG, message), model.rate_cards[-1]
    price = price_micros(model, request, card)
    unit = card.unit_micros(request.resolution, bool(request.generate_audio))
    assert price > 0
    assert Decimal(price) == Decimal(unit) * request.output_number * Decimal(request.duration or 1)
    assert 0 <= captured_micros(model, request, outputs, seconds, card) <= price
    assert captured_micros(model, request, request.output_number, request.duration, card) == price
    assert captured_micros(model, request, request.output_number, None, card) == price
    assert captured_micros(model, request, 0, seconds, card) == 0
    estimate = estimate_price(
        model,
        duration=request.duration,
        resolution=message.resolution,
        audio=request.generate_audio,
        card=card,
    )
    assert estimate.generation_micros * request.output_number == price


def test_fewer_pictures_and_shorter_films_cost_less() -> None:
    schnell, veo = CATALOG.model("bfl/flux-schnell"), CATALOG.model("google/veo-3.1-fast")
    four = normalise(
        CATALOG,
        CreateGenerationRequest(
            model_identifier=schnell.identifier, media=schnell.media_value, prompt="x", output_number=4
        ),
    )
    assert price_micros(schnell, four) == 20_000
    assert captured_micros(schnell, four, 2) == 10_000
    film = normalise(
        CATALOG,
        CreateGenerationRequest(
            model_identifier=veo.identifier,
            media=veo.media_value,
            prompt="x",
            duration=8,
            generate_audio=True,
        ),
    )
    assert price_micros(veo, film) == 1_440_000
    assert captured_micros(veo, film, 1, 4.0) == 720_000
    assert captured_micros(veo, film, 1, 7.9) == 1_440_000


def test_an_estimate_without_a_duration_prices_the_shortest_film() -> None:
    estimate = estimate_price(CATALOG.model("bytedance/seedance-1-pro"), resolution="1080p")
    assert (estimate.duration, estimate.second_micros, estimate.generation_micros) == (2.0, 166_000, 332_000)
    assert estimate.resolution == "1080p"
    assert estimate_price(CATALOG.model("minimax/video-01")).resolution is None


def test_an_estimate_names_the_field_it_refuses() -> None:
    with pytest.raises(BabySeaError) as caught:
        estimate_price(CATALOG.model("bfl/flux-schnell"), audio=True)
    assert caught.value.details == {"field": "audio"}
