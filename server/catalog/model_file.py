"""models/*.toml: one model a file. What a file says about itself is checked here; `mapping_file` reads the maps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from server.catalog.mapping_file import read_extras, read_provider_model
from server.catalog.table import Table
from server.catalog.types import MediaName, Model, ProviderInfo, RateCard

_IDENTIFIER = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+")
_RATIO = re.compile(r"[1-9][0-9]?:[1-9][0-9]?")
_FORMATS = {"image": ("png", "jpg", "webp"), "video": ("mp4",)}
_MOST_OUTPUTS = 16
_LONGEST_DEADLINE = 6 * 3600


def read_model(file: Table, known: Mapping[str, ProviderInfo]) -> Model:
    """The model of one file.

    Raises:
        CatalogError: the file has a missing, unknown or wrong key, or a value that a provider has no word for.
    """
    identifier = file.text("identifier")
    if not _IDENTIFIER.fullmatch(identifier):
        raise file.error("identifier", 'must look like "maker/model", in lower case')
    media = cast("MediaName", file.one_of("media", tuple(_FORMATS)))
    model = Model(
        identifier=identifier,
        media=media,
        providers=(),
        ratios=_ratios(file),
        formats=_formats(file, media),
        output_number_max=file.whole("output_number_max", 1, _MOST_OUTPUTS if media == "image" else 1),
        input_file_max=file.whole("input_file_max", 0, 16, default=0),
        last_content=file.flag("last_content", default=False),
        durations=file.numbers("durations") if media == "video" else (),
        resolutions=file.texts("resolutions", default=()) if media == "video" else (),
        audio=file.flag("audio", default=False) if media == "video" else False,
        extras=(),
        rate_cards=(),
        attempt_seconds=file.whole("attempt_seconds", 5, _LONGEST_DEADLINE),
        deadline_seconds=file.whole("deadline_seconds", 10, _LONGEST_DEADLINE),
    )
    if model.last_content and (media == "image" or model.input_file_max == 0):
        raise file.error("last_content", "needs a video model that takes a first frame in input_file")
    if model.deadline_seconds < model.attempt_seconds:
        raise file.error("deadline_seconds", "must not be less than attempt_seconds")
    return _completed(file, model, known)


def _completed(file: Table, model: Model, known: Mapping[str, ProviderInfo]) -> Model:
    cards = _rate_cards(file, model)
    tables = file.tables("provider")
    if not tables:
        raise file.error("provider", "must name at least one provider")
    providers = tuple(read_provider_model(table, model, known) for table in tables)
    ids = [provider.provider_id for provider in providers]
    if len(set(ids)) != len(ids):
        raise file.error("provider", "names a provider twice")
    extras = read_extras(file, providers)
    file.finish()
    return replace(model, providers=providers, extras=extras, rate_cards=cards)


def _ratios(file: Table) -> tuple[str, ...]:
    ratios = file.texts("ratios")
    for ratio in ratios:
        if not _RATIO.fullmatch(ratio):
            raise file.error("ratios", f'holds {ratio!r}, which is not of the form "16:9"')
    return ratios


def _formats(file: Table, media: MediaName) -> tuple[str, ...]:
    formats = file.texts("formats")
    for each in formats:
        if each not in _FORMATS[media]:
            raise file.error(
                "formats", f"holds {each!r}; a model of this media makes {', '.join(_FORMATS[media])}"
            )
    return formats


def _rate_cards(file: Table, model: Model) -> tuple[RateCard, ...]:
    tables = file.tables("rate_card")
    if not tables:
        raise file.error("rate_card", "must hold at least one rate card")
    cards = [_rate_card(table, model) for table in tables]
    moments = [card.effective_from for card in cards]
    if moments != sorted(set(moments)):
        raise file.error("rate_card", "must be in ascending order of effective_from")
    if len({card.version for card in cards}) != len(cards):
        raise file.error("rate_card", "has two cards of one version")
    return tuple(cards)


def _rate_card(table: Table, model: Model) -> RateCard:
    version, effective_from = table.text("version"), table.moment("effective_from")
    if table.has("flat") == table.has("tiers"):
        raise table.error("flat", "or tiers must be given, and not both")
    if table.has("flat"):
        flat = table.money("flat")
        table.finish()
        return RateCard(version, effective_from, flat, {})

    tiers_table = table.table("tiers")
    tiers = {name: tiers_table.money(name) for name in tiers_table.names()}
    card = RateCard(version, effective_from, None, tiers)
    used: set[str] = set()
    for resolution in model.resolutions:
        pair = {f"{resolution}_audio", f"{resolution}_noaudio"} if model.audio else set()
        found = pair if pair and pair <= set(tiers) else {resolution}
        for tier in sorted(found - set(tiers)):
            raise tiers_table.error(tier, "is missing: every resolution needs a price")
        used |= found
    for tier in sorted(set(tiers) - used):
        raise tiers_table.error(tier, "is a price that no request can have")
    table.finish()
    return card
