"""What a provider cannot serve is known before anything is sent, and refused where nobody else could."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from server.catalog import load_catalog
from server.catalog.types import FieldMap, ProviderModel
from server.generation.request import GenerationRequest, normalise
from server.providers.serving import served_by_none, why_not

_CATALOG = load_catalog()
_VIDEO = _CATALOG.model("google/veo-3.1-fast")
_FILE = "https://files.example/first.png"
_DROPPED = FieldMap("", {})
_SAID = FieldMap("@x", {})


def _request(**changes: Any) -> GenerationRequest:
    message = CreateGenerationRequest(
        model_identifier=_VIDEO.identifier,
        media=_VIDEO.media_value,
        prompt="a red cube",
        duration=_VIDEO.durations[0],
    )
    return replace(normalise(_CATALOG, message), **{"generate_audio": False, **changes})


def _provider(**changes: Any) -> ProviderModel:
    said = dict.fromkeys(("input_file", "input_file_last_content", "generate_audio"), _SAID)
    everything: dict[str, Any] = {
        "fields": {**_VIDEO.providers[0].fields, **said},
        "input_file_max": None,
        **dict.fromkeys(("ratios", "formats", "durations", "resolutions")),
    }
    return replace(_VIDEO.providers[0], **{**everything, **changes})


def test_a_provider_without_limits_serves_whatever_the_model_allows() -> None:
    full = _request(input_file=(_FILE,), input_file_last_content=_FILE, generate_audio=True)
    assert why_not(_provider(), full) is None


@pytest.mark.parametrize(
    ("field", "limits", "asked"),
    [
        ("ratio", {"ratios": ("1:2",)}, {}),
        ("output_format", {"formats": ("none",)}, {}),
        ("duration", {"durations": (99.0,)}, {}),
        ("prompt", {"prompt_max": 2}, {"prompt": "three"}),
        ("prompt", {"prompt_max": 2}, {"prompt": "a\U0001f534"}),
        ("resolution", {"resolutions": ("8k",)}, {"resolution": "720p"}),
        ("input_file", {"input_file_max": 1}, {"input_file": (_FILE, _FILE)}),
        ("input_file", {"fields": {"input_file": _DROPPED}}, {"input_file": (_FILE,)}),
        ("input_file_last_content", {"fields": {}}, {"input_file_last_content": _FILE}),
        ("generate_audio", {"fields": {"generate_audio": _DROPPED}}, {"generate_audio": True}),
        ("generate_audio", {"fields": {}, "always_audible": True}, {"generate_audio": False}),
        ("prompt", {"prompt_max": 11}, {"prompt": "a red cube \U0001f9ca"}),
        ("provider_order", {"closed": "This provider needs a key of its own."}, {}),
    ],
)
def test_each_limit_is_told_in_one_sentence_and_names_its_field(
    field: str, limits: dict[str, Any], asked: dict[str, Any]
) -> None:
    request, provider = _request(**asked), _provider(**limits)
    sentence = why_not(provider, request)
    assert sentence is not None
    assert sentence.endswith(".")
    assert _FILE not in sentence
    model = replace(_VIDEO, providers=(provider,))
    unserved = served_by_none(model, [provider.provider_id], request)
    assert unserved is not None
    assert unserved.field == field


def test_what_is_not_asked_for_is_no_reason() -> None:
    silent = _provider(fields={}, input_file_max=0)
    assert why_not(silent, _request()) is None
    assert why_not(silent, _request(generate_audio=None)) is None


def test_films_that_always_have_sound_serve_who_asks_for_sound() -> None:
    audible = _provider(fields={"generate_audio": _DROPPED}, always_audible=True)
    assert why_not(audible, _request(generate_audio=True)) is None


def test_a_prompt_is_counted_in_utf_16_units() -> None:
    assert why_not(_provider(prompt_max=13), _request(prompt="a red cube \U0001f9ca")) is None
    assert why_not(_provider(prompt_max=12), _request(prompt="a red cube \U0001f9ca")) is not None


@pytest.mark.parametrize(
    ("model", "most"),
    [("wan/2.2-t2i", 2_000), ("wan/2.7-t2v", 5_000), ("wan/3.0-video", 5_000)],
)
def test_a_prompt_that_is_too_long_for_alibaba_goes_to_the_others(model: str, most: int) -> None:
    found = _CATALOG.model(model)
    alibaba, replicate = found.provider("alibabacloud"), found.provider("replicate")
    message = CreateGenerationRequest(
        model_identifier=model,
        media=found.media_value,
        prompt="x" * most,
        duration=found.durations[0] if found.durations else None,
        generate_audio=True if found.audio else None,
    )
    longest = normalise(_CATALOG, message)
    longer = replace(longest, prompt=longest.prompt + "x")
    assert why_not(alibaba, longest) is None
    assert why_not(alibaba, longer) == "This provider takes a shorter prompt only."
    assert why_not(replicate, longer) is None


def test_one_provider_of_the_order_that_serves_it_is_enough() -> None:
    cannot = replace(_provider(durations=(99.0,)), provider_id="fal")
    can = replace(_provider(), provider_id="replicate")
    model = replace(_VIDEO, providers=(cannot, can))
    assert served_by_none(model, ["fal", "replicate"], _request()) is None
    assert served_by_none(model, ["fal"], _request()) is not None


def test_the_field_that_all_lack_is_named_before_another() -> None:
    one = replace(_provider(ratios=("1:2",), durations=(99.0,)), provider_id="fal")
    two = replace(_provider(durations=(98.0,)), provider_id="replicate")
    model = replace(_VIDEO, providers=(one, two))
    unserved = served_by_none(model, ["fal", "replicate"], _request())
    assert unserved is not None
    assert unserved.field == "duration"
