"""The built-in data files say what the public contract publishes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.catalog import Catalog, load_catalog

DAY = 86_400


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_published_prices_are_the_prices(catalog: Catalog) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    assert catalog.model("bfl/flux-schnell").card_at(at).flat_micros == 5_000
    assert catalog.model("bfl/flux-1.1-pro").card_at(at).flat_micros == 52_000


def test_published_schema_of_flux_pro_holds(catalog: Catalog) -> None:
    model = catalog.model("bfl/flux-1.1-pro")
    assert model.ratios[0] == "1:1"
    assert set(model.ratios) == {"1:1", "3:4", "4:3", "9:16", "16:9"}
    assert model.formats == ("png", "jpg", "webp")
    assert model.output_number_max == 1
    published = {"enhance_prompt", "guidance_scale", "moderation", "num_inference_steps", "output_quality"}
    assert published <= {extra.name for extra in model.extras}
    assert model.provider_ids == ("replicate", "fal")


def test_fal_makes_flux_pro_without_a_picture_or_webp_and_for_no_more_than_one_megapixel(
    catalog: Catalog,
) -> None:
    model = catalog.model("bfl/flux-1.1-pro")
    fal = model.provider("fal")
    assert (fal.formats, fal.says("input_file")) == (("png", "jpg"), False)
    sizes = [fal.fields["ratio"].native(ratio) for ratio in model.ratios]
    named = ("portrait_4_3", "landscape_4_3", "portrait_16_9", "landscape_16_9")
    assert [size for size in sizes if size not in named] == [{"width": 992, "height": 992}]


def test_moderation_is_off_by_default_in_every_model_that_has_it(catalog: Catalog) -> None:
    fields = {model.identifier: model.extra_named("moderation") for model in catalog.models.values()}
    defaults = {name: field.default for name, field in fields.items() if field is not None}
    assert {"runway/gen-4-image", "runway/gen-4.5", "bfl/flux-2-pro"} <= set(defaults)
    assert set(defaults.values()) == {False}


@pytest.mark.parametrize(
    ("plan", "requests", "in_flight", "files", "records", "ledger", "monthly"),
    [
        ("free", 60, 2, 3_600, DAY, 30 * DAY, 0),
        ("starter", 120, 5, 12 * 3_600, 7 * DAY, 90 * DAY, 9_000_000),
        ("pro", 300, 20, DAY, 30 * DAY, 180 * DAY, 29_000_000),
        ("scale", 1_000, 50, 5 * DAY, 180 * DAY, 365 * DAY, 99_000_000),
        ("enterprise", 3_000, 200, 7 * DAY, 365 * DAY, 365 * DAY, 199_000_000),
    ],
)
def test_plans_have_the_published_limits_and_windows(
    catalog: Catalog,
    plan: str,
    requests: int,
    in_flight: int,
    files: int,
    records: int,
    ledger: int,
    monthly: int,
) -> None:
    found = catalog.plan(plan)
    kept = found.retention
    assert (found.requests_per_minute, found.in_flight, found.monthly_micros) == (
        requests,
        in_flight,
        monthly,
    )
    assert (kept.output_files, kept.records, kept.ledger) == (files, records, ledger)
    assert kept.api_logs == kept.webhook_logs == kept.activity == records


def test_both_media_can_fail_over_and_some_models_have_one_provider(catalog: Catalog) -> None:
    stacks = {(model.media, len(model.providers)) for model in catalog.models.values()}
    assert {("image", 2), ("video", 2)} <= stacks
    assert any(count == 1 for _, count in stacks)


def test_residency_is_guaranteed_only_where_a_document_says_so(catalog: Catalog) -> None:
    promises = {
        name: info.residency_guaranteed
        for name, info in catalog.providers.items()
        if info.residency_guaranteed
    }
    assert promises == {"bfl": ("us", "eu")}
    assert catalog.provider("bfl").sources["residency_guaranteed"] == "doc"
    assert all(set(info.processing_region) == {"us", "eu", "jp"} for info in catalog.providers.values())


def test_an_unknown_model_is_bse2011(catalog: Catalog) -> None:
    with pytest.raises(BabySeaError) as caught:
        catalog.model("bfl/none")
    assert caught.value.reason == error_reason_pb2.ERROR_REASON_MODEL_NOT_FOUND


def test_a_price_change_holds_from_its_moment_and_the_old_card_stays_known(tmp_path: Path) -> None:
    source = Path(load_catalog.__code__.co_filename).parent / "data/models/bfl-flux-schnell.toml"
    later = '\n[[rate_card]]\nversion = "2027-01-01"\neffective_from = 2027-01-01\nflat = "0.006"\n'
    (tmp_path / "models").mkdir()
    (tmp_path / "models/bfl-flux-schnell.toml").write_text(source.read_text() + later)
    model = load_catalog(tmp_path).model("bfl/flux-schnell")
    assert model.card_at(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)).flat_micros == 5_000
    assert model.card_at(datetime(2027, 1, 1, tzinfo=UTC)).flat_micros == 6_000
    assert model.card_named("2026-11-01").flat_micros == 5_000
