"""What a provider bills is known before the provider says it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.catalog import load_catalog
from server.catalog.upstream import upstream_micros
from tests.unit.server.providers.test_mapping import request

CATALOG = load_catalog()


@pytest.mark.parametrize(
    ("model", "provider_id", "fields", "outputs", "seconds", "micros"),
    [
        ("bfl/flux-schnell", "replicate", {}, 3, None, 9_000),
        ("bfl/flux-2-pro", "bfl", {"input_file": ("a", "b")}, 2, None, 120_000),
        ("runway/gen-4.5", "runway", {"duration": 5.0}, 1, None, 600_000),
        ("runway/gen-4.5", "runway", {"duration": 5.0}, 1, 4.5, 540_000),
        ("bytedance/seedance-2.0", "fal", {"resolution": "480p", "duration": 4.0}, 1, None, 560_000),
        ("google/veo-3.1", "cloudflare", {"duration": 8.0, "generate_audio": True}, 1, None, 3_200_000),
        ("google/veo-3.1", "cloudflare", {"duration": 8.0, "generate_audio": False}, 1, None, 1_600_000),
        ("gpt/image-1-mini", "openai", {"ratio": "1:1"}, 2, None, 22_000),
        ("gpt/image-1-mini", "openai", {"ratio": "3:2", "input_file": ("a",)}, 2, None, 34_000),
        ("minimax/video-01", "fal", {"duration": 6.0}, 1, 5.9, 500_000),
        ("bytedance/seedance-2.0", "fal", {"resolution": "1080p", "duration": 4.0}, 1, None, None),
    ],
)
def test_a_bill_follows_outputs_files_seconds_ratio_resolution_and_sound(
    model: str,
    provider_id: str,
    fields: dict[str, object],
    outputs: int,
    seconds: float | None,
    micros: int | None,
) -> None:
    provider = CATALOG.model(model).provider(provider_id)
    assert upstream_micros(provider, request(model, **fields), outputs, seconds) == micros


def test_nothing_is_guessed_where_no_price_is_known() -> None:
    provider = replace(CATALOG.model("bfl/flux-schnell").provider("fal"), upstream=None)
    assert upstream_micros(provider, request("bfl/flux-schnell"), 1) is None
