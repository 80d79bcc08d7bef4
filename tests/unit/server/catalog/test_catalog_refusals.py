"""A wrong catalog file is refused with one sentence that names the file and the key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from server.catalog import CatalogError, load_catalog

DATA = Path(load_catalog.__code__.co_filename).parent / "data"
SCHNELL = "models/bfl-flux-schnell.toml"
VEO = "models/google-veo-3.1-fast.toml"
MINIMAX = "models/minimax-video-01.toml"
FLUX2 = "models/bfl-flux-2-pro.toml"
GEN45 = "models/runway-gen-4.5.toml"
WAN = "models/wan-3.0-video.toml"
GPT = "models/gpt-image-1-mini.toml"
KLEIN = "models/bfl-flux-2-klein-4b.toml"
VEO31 = "models/google-veo-3.1.toml"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("plans.toml", "in_flight = 2\n", "in_flight = 0\n", "plans.free.in_flight must be a whole number of at least 1"),
        ("plans.toml", "in_flight = 2\n", "", "plans.free.in_flight is missing"),
        ("plans.toml", 'monthly_price = "9"', "monthly_price = 9", "plans.starter.monthly_price must be dollars"),
        ("plans.toml", "in_flight = 2\n", "in_flight = 2\nflights = 2\n", "plans.free.flights is not a key"),
        ("plans.toml", "[plans.free]", "[plans.free", "is not TOML"),
        ("providers.toml", '"queue_cancel_api"', '"hope"', "alibabacloud.cancel_method must be one of"),
        ("providers.toml", 'jp = "global"', "", "bfl.processing_region.jp is missing"),
        ("providers.toml", "min_poll_seconds = 0.5", "min_poll_seconds = 0", "min_poll_seconds must be more than zero"),
        ("providers.toml", "min_poll_seconds = 0.5", "min_poll_seconds = nan", "min_poll_seconds must be a number"),
        (SCHNELL, 'flat = "0.005"', 'flat = "0"', "rate_card[0].flat must be more than zero"),
        (SCHNELL, 'flat = "0.005"', 'flat = "-1"', "rate_card[0].flat must be dollars"),
        (SCHNELL, 'flat = "0.005"', "", "rate_card[0].flat or tiers must be given"),
        (SCHNELL, 'formats = ["png", "jpg"]', "formats = []", "formats must be a list of texts that is not empty"),
        (SCHNELL, 'formats = ["png", "jpg"]', 'formats = ["png", "gif"]', "formats holds 'gif'"),
        (SCHNELL, 'formats = ["png", "jpg"]', 'formats = ["png", "jpg", "webp"]', "output_format.values.webp is missing"),
        (SCHNELL, '"3:4", "4:3"', '"3:4", "4:3", "21:9"', "ratio.values.21:9 is missing"),
        (SCHNELL, '"3:4", "4:3"', '"3:4", "wide"', "ratios holds 'wide'"),
        (SCHNELL, '"4:3" = "landscape_4_3"', '"4:3" = "x"\n"5:4" = "y"', "ratio.values.5:4 is not a value of the model"),
        (SCHNELL, 'output_number = { to = "num_images" }', "", "fields.output_number is missing"),
        (SCHNELL, '{ to = "num_images" }', "{ drop = true }", "output_number.drop is possible only where"),
        (SCHNELL, '{ to = "num_images" }', '{ to = "prompt" }', "say the native parameter 'prompt' twice"),
        (SCHNELL, 'id = "fal"', 'id = "fall"', "provider[1].id must be one of"),
        (SCHNELL, 'id = "fal"', 'id = "replicate"', "provider names a provider twice"),
        (SCHNELL, 'name = "output_quality"', 'name = "seed"', "extra names a field twice"),
        (SCHNELL, 'name = "output_quality"', 'name = "prompt"', "extra[2].name must be a new name"),
        (SCHNELL, "min = 0\nmax = 100", "min = 100\nmax = 0", "extra[2].max must be more than min"),
        (SCHNELL, "deadline_seconds = 300", "deadline_seconds = 30", "deadline_seconds must not be less"),
        (SCHNELL, 'media = "image"', 'media = "sound"', "media must be one of"),
        (SCHNELL, "bfl/flux-schnell", "bfl/flux-dev", "belongs to another file already"),
        (VEO, '1080p_audio = "0.18"\n', "", "tiers.1080p is missing: every resolution needs a price"),
        (VEO, '720p_audio = "0.18"', '720p_audio = "0.18"\n4k = "1"', "tiers.4k is a price that no request can have"),
        (VEO, "durations = [4, 6, 8]", "durations = [4, 6, 8, 10]", "duration.values.10 is missing"),
        (VEO, "durations = [4, 6, 8]", "durations = [8, 4]", "durations must be positive numbers in ascending order"),
        (MINIMAX, "durations = [6]", "durations = [6, 10]", "duration.drop is possible only where"),
        ("providers.toml", "callbacks = true", "callbacks = false", "bfl.callbacks must be true exactly where"),
        ("providers.toml", '"webhook_with_polling"', '"polling"', "bfl.delivery_method must be 'webhook_with_polling'"),
        ("providers.toml", '"https://api.eu.bfl.ai"', '"http://api.eu.bfl.ai"', "bfl.endpoints.eu must be an https URL"),
        ("providers.toml", '"https://api.eu.bfl.ai"', '"https://api.eu.bfl.ai/"', "bfl.endpoints.eu must be an https URL"),
        ("providers.toml", 'lookup = "doc"', "", "bfl.sources.lookup is missing"),
        ("providers.toml", "lookup = true", 'lookup = "yes"', "alibabacloud.lookup must be true or false"),
        ("providers.toml", 'transfer_mechanism = "unknown"', 'transfer_mechanism = "hope"', "transfer_mechanism must be one of"),
        ("providers.toml", 'delivery_method = "synchronous"\ncancel_method = ""',
         'delivery_method = "synchronous"\ncancel_method = "queue_cancel_api"', "cloudflare.cancel_method must be empty"),
        ("providers.toml", '["us", "eu"]', '["us", "jp"]',
         "bfl.residency_guaranteed holds 'jp', whose processing_region is elsewhere"),
        ("providers.toml", '["us", "eu"]', '["us", "mars"]', "bfl.residency_guaranteed may hold us, eu, jp only"),
        ("providers.toml", '["us", "eu"]', '["us", "us"]', "bfl.residency_guaranteed names something twice"),
        ("providers.toml", '["us", "eu"]', "true", "bfl.residency_guaranteed must be a list of texts"),
        (FLUX2, "outputs_per_call = 1", "outputs_per_call = 4", "outputs_per_call must be less than the model's own 4"),
        (FLUX2, "outputs_per_call = 1\n", "", "output_number.drop is possible only where"),
        (FLUX2, 'to = "input_image", numbered = true', 'to = "input_image"', "input_file.list must be true"),
        (FLUX2, "numbered = true", "numbered = true, list = true", "input_file.numbered and list exclude each other"),
        (FLUX2, "{ width = 1024, height = 1024 }", '"square"', "ratio.values must have a table for each value"),
        (FLUX2, "{ width = 1024, height = 1024 }", "{ prompt = 1024 }", "say the native parameter 'prompt' twice"),
        (FLUX2, 'formats = ["png", "jpg"]', 'formats = ["gif"]', "provider[2].formats holds 'gif', which the model does not"),
        (FLUX2, 'formats = ["png", "jpg"]', 'formats = ["png", "jpg", "webp"]', "formats holds everything that the model has"),
        (FLUX2, 'source = "doc"', 'source = "rumour"', "provider[0].upstream.source must be one of"),
        (FLUX2, 'input_file = { to = "image_urls", list = true }', "input_file = { drop = true }",
         "provider[2].path_with_files is of no use"),
        (FLUX2, 'path = "flux-2-pro"', 'path = "https://x"', 'path must look like "owner/model"'),
        (FLUX2, 'to = "aspect_ratio"', 'to = "aspect ratio"', "ratio.to must be a parameter's name"),
        (GEN45, "durations = [5, 10]", "durations = [5, 11]", "provider[1].durations holds '11', which the model does not"),
        (GEN45, "prompt_max = 1000", "prompt_max = 0", "provider[0].prompt_max must be a whole number"),
        (GEN45, "durations = [5, 10]", "outputs_per_call = 1", "outputs_per_call is needless"),
        (WAN, 'input_file = { to = "@input_file" }', "input_file = { drop = true }",
         "fields.input_file_last_content needs a provider that takes a first frame too"),
        (WAN, '"parameters.watermark" = false', "parameters = { watermark = false }",
         "say the native parameter 'parameters.ratio' twice"),
        (WAN, '{ 480p = "0.0413", 720p', "{ 720p", "provider[0].upstream.tiers.480p is missing"),
        (FLUX2, 'each_input = "0.015"', 'ratios = { "5:4" = "1" }', "5:4 is a ratio that no request can have"),
        (FLUX2, 'each_input = "0.015"', "whole = true", "upstream.whole is for the flat price of a video"),
        (WAN, ' }, source = "doc"', ' }, whole = true, source = "doc"', "upstream.whole is for the flat price"),
        (
            WAN,
            ' }, source = "doc"',
            ' }, ratios = { "1:1" = "1" }, source = "doc"',
            "upstream.ratios go with a flat price only",
        ),
        (KLEIN, 'formats = ["jpg"]\n', "", "output_format.drop is possible only where"),
        (WAN, "always_audible = true", 'always_audible = "yes"', "provider[1].always_audible must be true or false"),
        (WAN, "generate_audio = { drop = true }", 'generate_audio = { to = "sound" }',
         "provider[1].always_audible needs a model with audio whose generate_audio is dropped here"),
        (GPT, 'closed = "', 'closed = ""#', "provider[1].closed must be a text that is not empty"),
        (VEO31, 'format = "{}s"', 'format = "s"', 'duration.format must hold "{}" once'),
        (VEO31, 'format = "{}s"', 'format = "{0}s"', 'duration.format must hold "{}" once'),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, file: str, old: str, new: str, said: str) -> None:
    text = (DATA / file).read_text()
    assert old in text
    (tmp_path / "models").mkdir()
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    sentence = str(caught.value)
    assert said in sentence
    assert file in sentence or "another file" in sentence
    assert sentence.endswith(".")


def test_an_override_replaces_the_file_of_its_name_and_leaves_the_others(tmp_path: Path) -> None:
    text = (DATA / "plans.toml").read_text()
    (tmp_path / "plans.toml").write_text(text.replace("in_flight = 200", "in_flight = 100000"))
    catalog = load_catalog(tmp_path)
    assert catalog.plan("enterprise").in_flight == 100_000
    assert catalog.models.keys() == load_catalog().models.keys()


def test_an_override_can_add_a_model(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    text = (DATA / SCHNELL).read_text()
    (tmp_path / "models/mine.toml").write_text(text.replace("bfl/flux-schnell", "acme/mine"))
    assert "acme/mine" in load_catalog(tmp_path).models


def test_an_override_that_replaces_nothing_is_refused(tmp_path: Path) -> None:
    shutil.copy(DATA / "plans.toml", tmp_path / "plan.toml")
    with pytest.raises(CatalogError, match=r"plan\.toml: replaces nothing"):
        load_catalog(tmp_path)


def test_a_missing_override_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="is not a folder"):
        load_catalog(tmp_path / "none")
