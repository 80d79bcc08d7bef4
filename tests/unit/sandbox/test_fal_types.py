"""Fal's schemas in the sandbox are those of Fal's official SDK, field by field, and not what our adapter happens to send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.catalog import fal_assumed
from sandbox.models import MODELS, ModelSpec
from sandbox.schema import Choice, Field, Flag, Link, Links, Number, Size, Text, Whole
from sandbox.shapes import ListOf, Record

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("fal_types.json").read_text("utf-8"))
"""Made by scripts/fal_types.py."""
ASSUMED = {
    "bytedance/seedance-2.0/fast/image-to-video",
    "bytedance/seedance-2.0/fast/text-to-video",
    "bytedance/seedance-2.0/image-to-video",
    "bytedance/seedance-2.0/text-to-video",
    "fal-ai/wan/v3.0/image-to-video",
    "fal-ai/wan/v3.0/text-to-video",
    "openai/gpt-image-2",
    "openai/gpt-image-2/edit",
}
"""Paths that the SDK's types do not have."""
SPECS = [spec for spec in MODELS if spec.provider == "fal"]
TYPED = [spec for spec in SPECS if spec.id in FACTS["endpoints"]]


def named(spec: ModelSpec) -> str:
    return spec.id


def fact(field: Field) -> dict[str, Any]:
    """A field of the sandbox in the form of the facts, which know no ranges and no difference between whole and other numbers."""
    found: dict[str, Any] = {"kind": kind(field)}
    return found | {"required": True} if field.required else found


def kind(field: Field) -> Any:
    match field:
        case Text():
            return "text"
        case Link():
            return "link"
        case Links():
            # The SDK writes lists of files as lists of texts.
            return {"list": "text"}
        case Flag():
            return "flag"
        case Whole() | Number():
            return "number"
        case Choice():
            return {"choice": sorted(map(str, field.options))}
        case Size():
            side = {"kind": "number"}
            return {"any": [{"record": {"height": side, "width": side}}, {"choice": sorted(field.named)}]}
        case ListOf():
            return {"list": kind(field.item)}
        case Record():
            return {"record": {name: fact(inner) for name, inner in field.fields.items()}}
    raise AssertionError(f"the facts have no word for {field}")


def bare(known: Any) -> Any:
    """Facts without their defaults."""
    if isinstance(known, dict):
        return {name: bare(inner) for name, inner in known.items() if name != "default"}
    return [bare(each) for each in known] if isinstance(known, list) else known


def test_every_path_is_the_sdks_or_is_listed_as_assumed() -> None:
    paths = {spec.id for spec in SPECS}
    assert len(paths) == len(SPECS)
    assert paths - set(FACTS["endpoints"]) == ASSUMED
    assert {spec.id for spec in fal_assumed.MODELS} == ASSUMED
    assert set(FACTS["endpoints"]) <= paths


@pytest.mark.parametrize("spec", TYPED, ids=named)
def test_a_schema_has_the_sdks_fields_kinds_options_and_required_flags(spec: ModelSpec) -> None:
    known = bare(FACTS["endpoints"][spec.id]["input"])
    assert {name: fact(field) for name, field in spec.fields.items()} == known


@pytest.mark.parametrize("spec", TYPED, ids=named)
def test_what_is_left_out_has_the_sdks_default(spec: ModelSpec) -> None:
    known = FACTS["endpoints"][spec.id]["input"]
    told = {name: known[name]["default"] for name in spec.defaults if "default" in known.get(name, {})}
    assert {name: spec.defaults[name] for name in told} == told


@pytest.mark.parametrize("spec", TYPED, ids=named)
def test_a_result_holds_what_the_sdk_requires_and_nothing_that_it_lacks(spec: ModelSpec) -> None:
    known = FACTS["endpoints"][spec.id]["output"]
    required = {name for name, about in known.items() if about.get("required")}
    assert required <= set(spec.answers) <= set(known)
    assert [about["kind"] for name, about in known.items() if name in ("image", "images", "video")] == [
        {"list": "file"} if "images" in spec.answers else "file"
    ]
    assert ("video" in spec.answers) == (spec.media == "video")
