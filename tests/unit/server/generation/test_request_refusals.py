"""Every refused request names the field and the contract's code."""

from __future__ import annotations

from typing import Any

import pytest

from babysea.common.v1 import error_reason_pb2 as reasons
from babysea.generation.v1 import generation_pb2
from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.errors import BabySeaError
from server.catalog import Catalog, load_catalog
from server.generation.request import GenerationRequest, normalise

INVALID, RANGE = reasons.ERROR_REASON_INVALID_INPUT, reasons.ERROR_REASON_PARAMETER_OUT_OF_RANGE
SCHNELL, PRO = "bfl/flux-schnell", "bfl/flux-1.1-pro"
VEO, SEEDANCE, MINIMAX = "google/veo-3.1-fast", "bytedance/seedance-1-pro", "minimax/video-01"
URL = "https://example.com/a.png"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def message(
    catalog: Catalog, model: str, extras: dict[str, Any] | None = None, **fields: Any
) -> CreateGenerationRequest:
    media = catalog.model(model).media_value
    if media == generation_pb2.MEDIA_VIDEO:
        fields.setdefault("duration", catalog.model(model).durations[0])
    fields = {"prompt": "a red cube", "media": media, **fields}
    made = CreateGenerationRequest(
        model_identifier=model, **{k: v for k, v in fields.items() if v is not None}
    )
    made.extras.update(extras or {})
    return made


@pytest.mark.parametrize(
    ("model", "fields", "reason", "field"),
    [
        (SCHNELL, {"prompt": ""}, INVALID, "prompt"),
        (SCHNELL, {"prompt": " \n\t"}, INVALID, "prompt"),
        (SCHNELL, {"prompt": "a\0b"}, INVALID, "prompt"),
        (SCHNELL, {"ratio": "16:10"}, INVALID, "ratio"),
        (SCHNELL, {"ratio": "16:9 "}, INVALID, "ratio"),
        (SCHNELL, {"output_format": "PNG"}, INVALID, "output_format"),
        (SCHNELL, {"output_format": "mp4"}, INVALID, "output_format"),
        (SCHNELL, {"output_number": 0}, RANGE, "output_number"),
        (SCHNELL, {"output_number": -1}, RANGE, "output_number"),
        (SCHNELL, {"output_number": 5}, RANGE, "output_number"),
        (PRO, {"output_number": 2}, RANGE, "output_number"),
        (VEO, {"output_number": 2}, RANGE, "output_number"),
        (SCHNELL, {"duration": 5}, INVALID, "duration"),
        (SCHNELL, {"resolution": "720p"}, INVALID, "resolution"),
        (SCHNELL, {"generate_audio": False}, INVALID, "generate_audio"),
        (SCHNELL, {"input_file": [URL]}, INVALID, "input_file"),
        (SCHNELL, {"input_file_last_content": URL}, INVALID, "input_file_last_content"),
        (VEO, {"duration": None}, INVALID, "duration"),
        (VEO, {"duration": 5}, INVALID, "duration"),
        (VEO, {"duration": 4.5}, INVALID, "duration"),
        (VEO, {"duration": 3}, RANGE, "duration"),
        (VEO, {"duration": 1e300}, RANGE, "duration"),
        (VEO, {"duration": -4}, RANGE, "duration"),
        (VEO, {"duration": float("nan")}, INVALID, "duration"),
        (VEO, {"duration": float("inf")}, INVALID, "duration"),
        (VEO, {"resolution": "480p"}, INVALID, "resolution"),
        (MINIMAX, {"resolution": "720p"}, INVALID, "resolution"),
        (MINIMAX, {"generate_audio": True}, INVALID, "generate_audio"),
        (PRO, {"input_file": [URL, URL]}, RANGE, "input_file"),
        (SEEDANCE, {"input_file_last_content": URL}, INVALID, "input_file_last_content"),
        (SEEDANCE, {"input_file": [URL], "input_file_last_content": "x"}, INVALID, "input_file_last_content"),
        (SCHNELL, {"extras": {"foo": 1}}, INVALID, "extras.foo"),
        (SCHNELL, {"extras": {"seed": 3.5}}, INVALID, "extras.seed"),
        (SCHNELL, {"extras": {"seed": "3"}}, INVALID, "extras.seed"),
        (SCHNELL, {"extras": {"seed": True}}, INVALID, "extras.seed"),
        (SCHNELL, {"extras": {"seed": None}}, INVALID, "extras.seed"),
        (SCHNELL, {"extras": {"seed": [1]}}, INVALID, "extras.seed"),
        (SCHNELL, {"extras": {"seed": float("nan")}}, INVALID, "extras.seed"),
        (SCHNELL, {"extras": {"seed": -1}}, RANGE, "extras.seed"),
        (SCHNELL, {"extras": {"seed": 1e300}}, RANGE, "extras.seed"),
        (SCHNELL, {"extras": {"num_inference_steps": 5}}, RANGE, "extras.num_inference_steps"),
        (PRO, {"extras": {"enhance_prompt": "on"}}, INVALID, "extras.enhance_prompt"),
        (PRO, {"extras": {"enhance_prompt": True}}, INVALID, "extras.enhance_prompt"),
        (PRO, {"extras": {"moderation": "true"}}, INVALID, "extras.moderation"),
        (PRO, {"extras": {"moderation": 1}}, INVALID, "extras.moderation"),
        (PRO, {"extras": {"guidance_scale": 20.5}}, RANGE, "extras.guidance_scale"),
        (VEO, {"extras": {"negative_prompt": "x" * 2001}}, INVALID, "extras.negative_prompt"),
        (VEO, {"extras": {"negative_prompt": "a\0"}}, INVALID, "extras.negative_prompt"),
    ],
)  # fmt: skip
def test_a_refusal_names_its_field_and_code(
    catalog: Catalog, model: str, fields: dict[str, Any], reason: int, field: str
) -> None:
    with pytest.raises(BabySeaError) as caught:
        normalise(catalog, message(catalog, model, **fields))
    assert (caught.value.reason, caught.value.details) == (reason, {"field": field})
    assert caught.value.message.endswith(".")


def test_an_unknown_model_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(BabySeaError) as caught:
        normalise(catalog, CreateGenerationRequest(model_identifier="bfl/none", prompt="x"))
    assert caught.value.reason == reasons.ERROR_REASON_MODEL_NOT_FOUND


@pytest.mark.parametrize(("model", "media"), [(SCHNELL, "MEDIA_VIDEO"), (VEO, "MEDIA_IMAGE")])
def test_a_model_on_the_other_route_is_a_type_mismatch(catalog: Catalog, model: str, media: str) -> None:
    with pytest.raises(BabySeaError) as caught:
        normalise(catalog, message(catalog, model, media=generation_pb2.Media.Value(media)))
    assert caught.value.reason == reasons.ERROR_REASON_MODEL_TYPE_MISMATCH
    assert "use the generate/" in caught.value.message


def test_a_refused_extra_with_a_hostile_name_is_quoted_short_and_printable(catalog: Catalog) -> None:
    with pytest.raises(BabySeaError) as caught:
        normalise(catalog, message(catalog, SCHNELL, {"\x1b[31m" + "x" * 500: 1}))
    assert len(caught.value.details["field"]) < 80
    assert caught.value.message.isprintable()


def test_defaults_are_filled_in(catalog: Catalog) -> None:
    assert normalise(catalog, message(catalog, SCHNELL)) == GenerationRequest(
        model_identifier=SCHNELL,
        media="image",
        prompt="a red cube",
        ratio="1:1",
        output_format="png",
        output_number=1,
        input_file=(),
        input_file_last_content="",
        duration=None,
        resolution=None,
        generate_audio=None,
        extras={},
    )
    video = normalise(catalog, message(catalog, VEO, duration=6))
    assert (video.duration, video.resolution, video.generate_audio) == (6.0, "720p", False)
    pro = normalise(catalog, message(catalog, PRO))
    assert pro.extras == {"enhance_prompt": "off", "moderation": False}


def test_a_whole_number_may_arrive_as_a_double(catalog: Catalog) -> None:
    request = normalise(catalog, message(catalog, SCHNELL, {"seed": 3.0}))
    assert request.extras == {"seed": 3}
    assert isinstance(request.extras["seed"], int)


def test_stored_requests_of_another_version_are_refused(catalog: Catalog) -> None:
    content = normalise(catalog, message(catalog, SCHNELL)).to_json()
    with pytest.raises(ValueError, match="version"):
        GenerationRequest.from_json(content.replace(b'"version":1', b'"version":2'))
