"""What a provider bills us for a request, as far as the catalog knows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

from server.catalog.types import ProviderModel


class Billed(Protocol):
    """The part of a request that an upstream price depends on."""

    @property
    def ratio(self) -> str:
        """The ratio."""
        ...

    @property
    def input_file(self) -> Sequence[str]:
        """The input files."""
        ...

    @property
    def duration(self) -> float | None:
        """Seconds of a video; None for images."""
        ...

    @property
    def resolution(self) -> str | None:
        """Resolution of a video; None where there is nothing to choose."""
        ...

    @property
    def generate_audio(self) -> bool | None:
        """Whether a video shall have sound."""
        ...


def upstream_micros(
    provider_model: ProviderModel, request: Billed, outputs: int, seconds: float | None = None
) -> int | None:
    """What the provider bills for `outputs` files, in micro-dollars; None when the catalog does not know.

    `seconds` is the length of a video that was made; None counts the one that was asked for.
    """
    price = provider_model.upstream
    if price is None:
        return None
    unit = price.unit_micros(request.resolution, bool(request.generate_audio), request.ratio)
    if unit is None:
        return None
    unit += price.input_micros * len(request.input_file)
    length = request.duration if seconds is None else seconds
    if price.whole or request.duration is None or length is None:
        return unit * outputs
    exact = Decimal(unit) * Decimal(repr(length)) * outputs
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
