"""A catalog that could not be sold from is refused with one sentence, and the built-in one is sound."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.catalog import Catalog, CatalogError, load_catalog
from server.catalog.check import CONTRACT_STACKS, check_catalog
from server.catalog.errors import UnsoundCatalogError

DATA = Path(load_catalog.__code__.co_filename).parent / "data"
SCHNELL, VEO = "models/bfl-flux-schnell.toml", "models/google-veo-3.1-fast.toml"
SEEDANCE, GPT = "models/bytedance-seedance-2.0.toml", "models/gpt-image-1-mini.toml"
MINIMAX = "models/minimax-video-01.toml"
KLEIN, ONE_PROVIDER_WITH_A_LAST_FRAME = (
    "models/bfl-flux-2-klein-4b.toml",
    "models/bytedance-seedance-1-pro.toml",
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_every_stack_of_the_contract_has_a_model(catalog: Catalog) -> None:
    assert set(check_catalog(catalog).stacks) == set(CONTRACT_STACKS)


def test_there_are_more_than_thirty_models_of_both_media_and_all_kinds_of_price(catalog: Catalog) -> None:
    report = check_catalog(catalog)
    assert len(catalog.models) >= 34
    assert set(report.price_kinds) == {"per image", "per second", "per resolution", "audio tiers"}


def test_every_provider_serves_each_of_its_media(catalog: Catalog) -> None:
    served = {info.provider_id: set(info.media) for info in catalog.providers.values()}
    made = {name: {model.media for model in catalog.models_of(name)} for name in catalog.providers}
    assert made == served
    assert len(made) == 8
    assert served["openai"] == {"image"}


@pytest.mark.parametrize(
    ("identifier", "changes", "said"),
    [
        ("wan/3.0-video", {"always_audible": True}, "offers silence with 16:9 mp4 2 720p"),
        ("gpt/image-1-mini", {"closed": "It is closed."}, "offers 1:1 png"),
    ],
)
def test_what_no_provider_of_a_stack_serves_is_refused(
    catalog: Catalog, identifier: str, changes: dict[str, Any], said: str
) -> None:
    model = catalog.model(identifier)
    nobody = replace(model, providers=tuple(replace(each, **changes) for each in model.providers))
    with pytest.raises(UnsoundCatalogError, match=said):
        check_catalog(replace(catalog, models={**catalog.models, identifier: nobody}))


def test_nothing_is_said_of_the_built_in_catalog_but_what_the_published_fields_force(
    catalog: Catalog,
) -> None:
    assert all("bfl/flux-1.1-pro: no provider" in warning for warning in check_catalog(catalog).warnings)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        (SCHNELL, {'flat = "0.005"': 'flat = "0.002"'}, "bfl/flux-schnell sells for 2000 micro-dollars"),
        (SEEDANCE, {'720p = "0.38"': '720p = "0.3"'}, "what byteplus bills at 1240000"),
        (VEO, {'720p_noaudio = "0.12"': '720p_noaudio = "0.09"'}, "what replicate bills at 400000"),
        (
            MINIMAX,
            {'flat = "0.09"': 'flat = "0.08"'},
            "sells for 480000 micro-dollars in rate card 2026-11-01 what replicate bills at 500000",
        ),
        (GPT, {'"1:1" = "0.011"': '"1:1" = "0.03"'}, "what openai bills at 38000"),
        (GPT, {'each_input = "0.002", source': 'each_input = "0.004", source'}, "what openai bills at 27000"),
        (
            KLEIN,
            {
                'id = "bfl"\n': 'id = "bfl"\nformats = ["jpg"]\n',
                'id = "replicate"\n': 'id = "replicate"\nformats = ["jpg"]\n',
            }
            | {', png = "png" }': " }"},
            "bfl/flux-2-klein-4b offers 1:1 png, which no provider of its stack serves",
        ),
        (
            ONE_PROVIDER_WITH_A_LAST_FRAME,
            {
                'input_file_last_content = { to = "last_frame_image" }': "input_file_last_content = { drop = true }"
            },
            "bytedance/seedance-1-pro offers input_file_last_content with 16:9 mp4 2 480p, which no provider",
        ),
        (
            ONE_PROVIDER_WITH_A_LAST_FRAME,
            {
                'input_file_last_content = { to = "last_frame_image" }': "",
                'input_file = { to = "image" }': "input_file = { drop = true }",
                "last_content = true\n": "",
            },
            "bytedance/seedance-1-pro takes 1 input files, which no provider does",
        ),
        (
            GPT,
            {'id = "openai"\npath = "gpt-image-1-mini"': 'id = "fal"\npath = "a/b"', "openai = {": "fal = {"},
            'The catalog has no model with the stack "openai, replicate", which the contract lists',
        ),
    ],
)
def test_a_catalog_that_loses_money_or_sells_what_nobody_makes_is_refused(
    tmp_path: Path, file: str, changes: dict[str, str], said: str
) -> None:
    override(tmp_path, file, changes)
    with pytest.raises(CatalogError) as caught:
        check_catalog(load_catalog(tmp_path))
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_provider_more_than_the_contract_lists_is_a_note(tmp_path: Path) -> None:
    override(tmp_path, SCHNELL, {'id = "fal"\npath': 'id = "bfl"\npath', "fal = {": "bfl = {"})
    said = check_catalog(load_catalog(tmp_path)).warnings
    assert 'bfl/flux-schnell has the stack "replicate, bfl", which the contract does not list.' in said


def test_the_command_prints_every_model_and_ends_with_zero() -> None:
    ended = run("catalog", "check")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(name in ended.stdout for name in load_catalog().models)
    facts = json.loads(run("catalog", "check", "--json").stdout)
    assert facts["models"]["bfl/flux-2-klein-4b"] == ["bfl", "replicate", "cloudflare"]


def test_the_command_ends_with_one_sentence_about_the_first_error(tmp_path: Path) -> None:
    override(tmp_path, SCHNELL, {'flat = "0.005"': 'flat = "0.002"'})
    ended = run("catalog", "check", "--catalog-dir", str(tmp_path))
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "bfl/flux-schnell sells for 2000 micro-dollars" in ended.stderr


def override(folder: Path, file: str, changes: dict[str, str]) -> None:
    text = (DATA / file).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "models").mkdir()
    (folder / file).write_text(text)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
