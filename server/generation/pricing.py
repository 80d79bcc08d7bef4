"""What a request costs: exact arithmetic on the model's rate card. One credit is one dollar, in micro-dollars here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from server.catalog.types import Model, RateCard
from server.generation.request import (
    GenerationRequest,
    check_audio,
    check_duration,
    check_resolution,
)

FRAME_SLACK_SECONDS = 0.25
"""A video this much shorter than asked counts as whole: encoders end on a frame, not on a second."""


@dataclass(frozen=True, slots=True)
class PriceEstimate:
    """What one generation with one output would cost."""

    rate_card: str
    """Version of the card."""
    generation_micros: int
    second_micros: int | None
    """Video only."""
    duration: float | None
    """Video only: the seconds priced."""
    resolution: str | None
    """Only where the price depends on it."""


def price_micros(model: Model, request: GenerationRequest, card: RateCard | None = None) -> int:
    """The most that the request can cost, in micro-dollars; always more than zero.

    Admission records the version of `card`; without one, the card in effect now is meant.
    """
    return _price(_unit(model, request, card), request.output_number, request.duration)


def captured_micros(
    model: Model,
    request: GenerationRequest,
    delivered_outputs: int,
    delivered_seconds: float | None = None,
    card: RateCard | None = None,
) -> int:
    """The price of what was delivered, in micro-dollars: from 0 to the price of the request.

    Pass the card that admission recorded. `delivered_seconds` is the length of a video, None when it could not be
    measured; it then counts as delivered whole.
    """
    unit = _unit(model, request, card)
    outputs = max(0, min(delivered_outputs, request.output_number))
    seconds = request.duration
    if (
        seconds is not None
        and delivered_seconds is not None
        and delivered_seconds < seconds - FRAME_SLACK_SECONDS
    ):
        seconds = max(0.0, delivered_seconds)
    return min(_price(unit, outputs, seconds), _price(unit, request.output_number, request.duration))


def estimate_price(
    model: Model,
    *,
    duration: float | None = None,
    resolution: str = "",
    audio: bool | None = None,
    card: RateCard | None = None,
) -> PriceEstimate:
    """The price of one generation; a video without a duration is priced with the model's shortest.

    Raises:
        BabySeaError: INVALID_INPUT or PARAMETER_OUT_OF_RANGE for "duration", "resolution" or "audio".
    """
    if duration is None and model.durations:
        duration = model.durations[0]
    seconds = check_duration(model, duration)
    chosen = check_resolution(model, resolution)
    sound = check_audio(model, audio, "audio")
    rates = card or current_card(model)
    unit = rates.unit_micros(chosen, bool(sound))
    return PriceEstimate(
        rate_card=rates.version,
        generation_micros=_price(unit, 1, seconds),
        second_micros=None if seconds is None else unit,
        duration=seconds,
        resolution=chosen if rates.tier_micros else None,
    )


def current_card(model: Model) -> RateCard:
    """The model's rate card in effect now."""
    return model.card_at(datetime.now(UTC))


def _unit(model: Model, request: GenerationRequest, card: RateCard | None) -> int:
    return (card or current_card(model)).unit_micros(request.resolution, bool(request.generate_audio))


def _price(unit_micros: int, outputs: int, seconds: float | None) -> int:
    if seconds is None:
        return unit_micros * outputs
    exact = Decimal(unit_micros) * Decimal(repr(seconds)) * outputs
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
