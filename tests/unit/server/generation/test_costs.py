"""What a finished film costs us, whatever its file says about itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.generation.execution.costs import finished_micros
from server.providers.protocol import Finished, RemoteOutput
from tests.unit.server.providers.test_mapping import CATALOG, request

FILM = "bytedance/seedance-1-pro"
PER_SECOND = 60_000
MADE = Finished((RemoteOutput("https://files.example.com/a.mp4", None),))


def work(**fields: object) -> Any:
    asked = request(FILM, resolution="720p", duration=5.0, **fields)
    return SimpleNamespace(model=CATALOG.model(FILM), request=asked)


@pytest.mark.parametrize(
    ("seconds", "counted"), [(None, 5), (4.5, 4.5), (5.0, 5), (5.04, 5.04), (6.0, 6), (3600.0, 6)]
)
def test_no_more_seconds_count_than_were_asked_for_and_one(seconds: float | None, counted: float) -> None:
    assert finished_micros(work(), "replicate", MADE, seconds) == round(counted * PER_SECOND)


@given(st.floats(min_value=0, allow_nan=False))
def test_no_length_makes_a_cost_that_no_record_takes(seconds: float) -> None:
    cost = finished_micros(work(), "replicate", MADE, seconds)
    assert cost is not None
    assert 0 <= cost <= 6 * PER_SECOND


def test_a_providers_own_figure_comes_before_any_length() -> None:
    assert finished_micros(work(), "replicate", Finished(MADE.outputs, cost_micros=7), 4.0) == 7
