"""Prices in the catalog's files: what customers pay, and what providers bill us."""

from __future__ import annotations

from collections.abc import Sequence

from server.catalog.table import Table
from server.catalog.types import MediaName, Model, RateCard, UpstreamPrice

SOURCES = ("doc", "sdk", "assumed")


def read_rate_cards(file: Table, model: Model) -> tuple[RateCard, ...]:
    """Every `[[rate_card]]` of a model."""
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


def read_upstream(
    table: Table, media: MediaName, ratios: Sequence[str], resolutions: Sequence[str], *, audio: bool
) -> UpstreamPrice:
    """The `upstream` table of a provider that serves these ratios and resolutions, with sound or without."""
    flat, tiers = _amounts(table, resolutions, audio=audio)
    price = UpstreamPrice(
        flat,
        tiers,
        table.one_of("source", SOURCES),
        table.money("each_input") if table.has("each_input") else 0,
        _by_ratio(table.table("ratios"), ratios),
        table.flag("whole", default=False),
    )
    if price.ratio_micros and flat is None:
        raise table.error("ratios", "go with a flat price only")
    if price.whole and (flat is None or media == "image"):
        raise table.error("whole", "is for the flat price of a video")
    table.finish()
    return price


def _by_ratio(table: Table, ratios: Sequence[str]) -> dict[str, int]:
    for ratio in table.names():
        if ratio not in ratios:
            raise table.error(ratio, "is a ratio that no request can have")
    return {ratio: table.money(ratio) for ratio in table.names()}


def _rate_card(table: Table, model: Model) -> RateCard:
    version, effective_from = table.text("version"), table.moment("effective_from")
    flat, tiers = _amounts(table, model.resolutions, audio=model.audio)
    table.finish()
    return RateCard(version, effective_from, flat, tiers)


def _amounts(table: Table, resolutions: Sequence[str], *, audio: bool) -> tuple[int | None, dict[str, int]]:
    if table.has("flat") == table.has("tiers"):
        raise table.error("flat", "or tiers must be given, and not both")
    if table.has("flat"):
        return table.money("flat"), {}

    tiers_table = table.table("tiers")
    tiers = {name: tiers_table.money(name) for name in tiers_table.names()}
    used: set[str] = set()
    for resolution in resolutions:
        pair = {f"{resolution}_audio", f"{resolution}_noaudio"} if audio else set()
        found = pair if pair and pair <= set(tiers) else {resolution}
        for tier in sorted(found - set(tiers)):
            raise tiers_table.error(tier, "is missing: every resolution needs a price")
        used |= found
    for tier in sorted(set(tiers) - used):
        raise tiers_table.error(tier, "is a price that no request can have")
    return None, tiers
