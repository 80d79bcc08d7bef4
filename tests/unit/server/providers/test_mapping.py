"""A normalised request in each provider's own words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.catalog import load_catalog
from server.generation.request import GenerationRequest
from server.providers.mapping import native_parameters

CATALOG = load_catalog()
A, B, C = "https://example.com/a.png", "https://example.com/b.png", "https://example.com/c.png"


def request(identifier: str, **fields: object) -> GenerationRequest:
    """The model's defaults, with some fields changed."""
    model = CATALOG.model(identifier)
    made = GenerationRequest(
        model_identifier=identifier,
        media=model.media,
        prompt="a lighthouse",
        ratio=model.ratios[0],
        output_format=model.formats[0],
        output_number=1,
        input_file=(),
        input_file_last_content="",
        duration=model.durations[0] if model.durations else None,
        resolution=model.resolutions[0] if model.resolutions else None,
        generate_audio=False if model.audio else None,
        extras={},
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def native(identifier: str, provider_id: str, outputs: int = 1, **fields: object) -> dict[str, object]:
    model = CATALOG.model(identifier)
    return native_parameters(model, model.provider(provider_id), request(identifier, **fields), outputs)


def test_dotted_names_become_objects_inside_of_objects() -> None:
    assert native("wan/3.0-video", "alibabacloud", resolution="480p", extras={"seed": 7}) == {
        "model": "wan3.0-video",
        "input": {"prompt": "a lighthouse"},
        "parameters": {
            "ratio": "16:9",
            "duration": 2,
            "resolution": "480P",
            "audio": False,
            "seed": 7,
            "watermark": False,
        },
    }


def test_a_size_can_be_spread_over_two_parameters() -> None:
    assert native("bfl/flux-2-pro", "bfl", ratio="16:9", output_format="jpg") == {
        "prompt": "a lighthouse",
        "width": 1280,
        "height": 720,
        "output_format": "jpeg",
    }


def test_a_format_writes_the_value_into_a_text() -> None:
    words = native("google/veo-3.1", "cloudflare", duration=8.0)
    assert words["model"] == "google/veo-3.1"
    assert words["input"] == {
        "prompt": "a lighthouse",
        "aspect_ratio": "16:9",
        "duration": "8s",
        "resolution": "720p",
        "generate_audio": False,
    }
    assert native("bytedance/seedance-2.0", "fal", duration=15.0)["duration"] == "15"


def test_several_files_are_a_list_or_numbered_parameters() -> None:
    files = (A, B, C)
    assert native("bfl/flux-2-pro", "replicate", input_file=files)["input_images"] == [A, B, C]
    numbered = native("bfl/flux-2-pro", "bfl", input_file=files)
    assert [numbered[name] for name in ("input_image", "input_image_2", "input_image_3")] == [A, B, C]
    assert "input_image_2" not in native("bfl/flux-2-pro", "bfl", input_file=(A,))


def test_what_an_adapter_says_in_code_is_left_to_it() -> None:
    model = CATALOG.model("bytedance/seedance-2.0")
    provider = model.provider("byteplus")
    words = native(model.identifier, "byteplus", input_file=(A,), input_file_last_content=B)
    assert set(words) == {"model", "watermark", "ratio", "duration", "resolution", "generate_audio"}
    assert all(provider.says(field) for field in ("prompt", "input_file", "input_file_last_content"))


def test_the_number_said_is_that_of_the_call_and_not_of_the_request() -> None:
    assert native("gpt/image-2", "openai", 3, output_number=10)["n"] == 3
    assert native("qwen/image-2", "alibabacloud", 2, output_number=6)["parameters"] == {
        "size": "1024*1024",
        "n": 2,
        "watermark": False,
    }


@pytest.mark.parametrize(
    ("provider_id", "name", "word"),
    [
        ("openai", "size", "1536x1024"),
        ("replicate", "aspect_ratio", "3:2"),
        ("fal", "image_size", "1536x1024"),
    ],
)
def test_one_ratio_has_the_word_of_each_provider(provider_id: str, name: str, word: str) -> None:
    assert native("gpt/image-1.5", provider_id, ratio="3:2")[name] == word


def test_an_extra_goes_only_to_the_providers_that_have_it() -> None:
    extras = {"output_quality": 90, "moderation": True}
    assert native("bfl/flux-2-pro", "replicate", extras=extras)["output_quality"] == 90
    assert "output_quality" not in native("bfl/flux-2-pro", "bfl", extras=extras)
    assert native("bfl/flux-2-pro", "fal", extras=extras)["safety_tolerance"] == "1"


def test_who_adds_to_a_request_does_not_add_to_the_catalog() -> None:
    first = native("bfl/flux-schnell", "fal", ratio="2:3")
    size = first["image_size"]
    assert isinstance(size, dict)
    size["width"] = 1
    assert native("bfl/flux-schnell", "fal", ratio="2:3")["image_size"] == {"width": 768, "height": 1152}


def test_a_second_path_is_for_requests_with_files() -> None:
    provider = CATALOG.model("bfl/flux-2-pro").provider("fal")
    assert provider.path_for(with_files=False) == "fal-ai/flux-2-pro"
    assert provider.path_for(with_files=True) == "fal-ai/flux-2-pro/edit"
    other = CATALOG.model("bfl/flux-2-pro").provider("replicate")
    assert other.path_for(with_files=True) == other.path


def test_replicate_hears_a_length_of_flux_3_as_a_text_and_its_first_frame_in_a_list() -> None:
    assert native("bfl/flux-3-video", "replicate", input_file=(A,)) == {
        "prompt": "a lighthouse",
        "aspect_ratio": "16:9",
        "duration": "5",
        "resolution": "720p",
        "generate_audio": False,
        "images": [A],
    }


def test_replicate_is_not_told_of_sound_where_its_model_has_no_word_for_it() -> None:
    for identifier in ("google/veo-3.1-lite", "wan/3.0-video"):
        assert "generate_audio" not in native(identifier, "replicate", generate_audio=True)
