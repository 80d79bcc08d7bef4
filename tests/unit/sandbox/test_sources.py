"""What the sandbox's schemas of Replicate's models rest on is said by each of them, and in the handbook."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from sandbox.catalog.kinds import ModelSpec, Source
from sandbox.models import MODELS, find_model
from server.catalog import Model
from server.catalog.check import served
from server.providers.mapping import native_parameters
from tests.unit.server.providers.test_every_mapping import served_request, values_of
from tests.unit.server.providers.test_mapping import CATALOG, A

ROOT = Path(__file__).resolve().parent.parent.parent.parent
REPLICATE = [spec for spec in MODELS if spec.provider == "replicate"]


def _bullet() -> str:
    _, found, rest = (ROOT / "docs/sandbox.md").read_text().partition("* **Replicate's models**")
    assert found
    return rest.partition("\n* ")[0]


def _model(name: str) -> ModelSpec:
    spec = find_model("replicate", name)
    assert spec is not None
    return spec


def test_every_model_says_where_its_fields_come_from() -> None:
    assert {spec.id for spec in REPLICATE if spec.source not in get_args(Source)} == set()


def test_the_handbook_names_each_model_without_a_schema_under_its_source() -> None:
    said, bullet = {}, " ".join(_bullet().split())
    for source, end in (("seen", "`assumed`"), ("assumed", "Numbers of files")):
        said[source] = bullet.partition(f"`{source}`, ")[2].partition(end)[0]
    for spec in REPLICATE:
        for source, models in said.items():
            assert (f"`{spec.id}`" in models) == (spec.source == source), (spec.id, source)


@pytest.mark.parametrize(
    ("model", "given", "refused"),
    [
        ("openai/gpt-image-1-mini", {}, "openai_api_key"),
        ("openai/gpt-image-1.5", {"aspect_ratio": "16:9"}, "aspect_ratio"),
        ("qwen/qwen-image-2", {"output_format": "png"}, "output_format"),
        ("google/veo-3.1-lite", {"generate_audio": True}, "generate_audio"),
        ("google/veo-3.1-lite", {"negative_prompt": "rain"}, "negative_prompt"),
        ("google/nano-banana-2", {"safety_filter_level": "block_only_high"}, "safety_filter_level"),
        ("google/imagen-4-fast", {"image_size": "2K"}, "image_size"),
        ("bytedance/seedream-4.5", {"size": "1K"}, "size"),
        ("bytedance/seedance-2.0", {"camera_fixed": True}, "camera_fixed"),
        ("bytedance/seedance-2.0", {"prompt": "x" * 4001}, "prompt"),
        ("black-forest-labs/flux-3", {"duration": 5}, "duration"),
        ("black-forest-labs/flux-1.1-pro", {"aspect_ratio": "21:9"}, "aspect_ratio"),
        ("alibaba/wan-3", {"aspect_ratio": "21:9"}, "aspect_ratio"),
        ("prunaai/z-image-turbo", {"aspect_ratio": "1:1"}, "aspect_ratio"),
        ("runwayml/gen4-image", {"reference_tags": [1]}, "reference_tags"),
    ],
)
def test_what_the_schemas_do_not_have_is_refused(model: str, given: dict[str, object], refused: str) -> None:
    problems = _model(model).problems({"prompt": "x", **given}, "input")
    assert [problem.path for problem in problems] == [("input", refused)]


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("openai/gpt-image-2", {"aspect_ratio": "2048x1152"}),
        ("bytedance/seedance-1.5-pro", {"resolution": "1080p"}),
        ("bytedance/seedance-2.0", {"duration": -1, "aspect_ratio": "adaptive", "resolution": "4k"}),
        ("black-forest-labs/flux-3", {"duration": "20", "images": ["https://a.example/1.png"]}),
        ("alibaba/wan-3", {"duration": 30}),
        ("runwayml/gen4-image", {"reference_tags": ["park"]}),
    ],
)
def test_what_the_schemas_have_is_taken(model: str, given: dict[str, object]) -> None:
    assert _model(model).problems({"prompt": "x", **given}, "input") == []


def test_pictures_come_back_as_the_schema_says() -> None:
    listed = {spec.id for spec in REPLICATE if spec.media == "image" and not spec.single_output}
    assert listed == {
        "black-forest-labs/flux-schnell",
        "black-forest-labs/flux-dev",
        "black-forest-labs/flux-2-klein-4b",
        "black-forest-labs/flux-2-klein-9b",
        "bytedance/seedream-4",
        "bytedance/seedream-4.5",
        "bytedance/seedream-5-lite",
        "openai/gpt-image-1-mini",
        "openai/gpt-image-1.5",
        "openai/gpt-image-2",
        "qwen/qwen-image",
    }


@pytest.mark.parametrize(
    "model",
    [model for model in CATALOG.models.values() if "replicate" in model.provider_ids],
    ids=lambda model: model.identifier,
)
def test_whatever_is_said_to_replicate_fits_its_schema(model: Model) -> None:
    provider = model.provider("replicate")
    spec = _model(provider.path)
    if provider.closed:
        return
    choices: list[dict[str, object]] = [
        {name: value} for name, values in served(model, provider).items() for value in values
    ]
    choices += [{"extras": {extra.name: value}} for extra in model.extras for value in values_of(extra)]
    if provider.says("input_file"):
        choices.append({"input_file": (A,) * (provider.input_file_max or model.input_file_max)})
    if provider.says("input_file_last_content"):
        choices.append({"input_file": (A,), "input_file_last_content": A})
    if provider.makes_audio:
        choices.append({"generate_audio": True})
    for choice in choices:
        words = native_parameters(model, provider, served_request(model, provider, **choice), 1)
        assert spec.problems(words, "input") == [], choice
