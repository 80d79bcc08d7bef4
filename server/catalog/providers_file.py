"""providers.toml: what each inference provider offers."""

from __future__ import annotations

import re
from typing import cast

from kit.settings import REGIONS, Region
from server.catalog.prices_file import SOURCES
from server.catalog.table import Table
from server.catalog.types import MediaName, ProviderInfo

_FACTS = (
    "delivery_method",
    "cancel_method",
    "webhook_verification",
    "media",
    "min_poll_seconds",
    "output_lifetime_seconds",
    "processing_region",
    "residency_guaranteed",
    "transfer_mechanism",
    "endpoints",
    "lookup",
    "callbacks",
)
_ENDPOINT = re.compile(r"https://[a-z0-9.-]+(/[A-Za-z0-9._-]+)*")


def read_providers(file: Table) -> dict[str, ProviderInfo]:
    """The providers by id."""
    providers = {
        provider_id: _read_provider(provider_id, file.table(provider_id)) for provider_id in file.names()
    }
    file.finish()
    return providers


def _read_provider(provider_id: str, table: Table) -> ProviderInfo:
    media = table.texts("media")
    if not set(media) <= {"image", "video"}:
        raise table.error("media", "may hold 'image' and 'video' only")
    info = ProviderInfo(
        provider_id=provider_id,
        name=table.text("name"),
        description=table.text("description"),
        website=table.text("website"),
        docs=table.text("docs"),
        delivery_method=table.one_of("delivery_method", ("webhook_with_polling", "synchronous", "polling")),
        cancel_method=table.one_of("cancel_method", ("prediction_cancel_api", "queue_cancel_api", "")),
        webhook_verification=table.one_of("webhook_verification", ("hmac_sha256", "ed25519", "")),
        media=cast("tuple[MediaName, ...]", media),
        min_poll_seconds=_positive(table, "min_poll_seconds"),
        output_lifetime_seconds=table.whole("output_lifetime_seconds", 60),
        processing_region=_per_region(table.table("processing_region")),
        residency_guaranteed=_guaranteed(table),
        transfer_mechanism=table.one_of("transfer_mechanism", ("none_needed", "scc", "unknown")),
        endpoints=_endpoints(table.table("endpoints")),
        lookup=table.flag("lookup"),
        callbacks=table.flag("callbacks"),
        sources=_sources(table.table("sources")),
    )
    _refuse_contradictions(table, info)
    table.finish()
    return info


def _refuse_contradictions(table: Table, info: ProviderInfo) -> None:
    if info.callbacks != bool(info.webhook_verification):
        raise table.error("callbacks", "must be true exactly where webhook_verification names a method")
    if info.callbacks != (info.delivery_method == "webhook_with_polling"):
        raise table.error("delivery_method", "must be 'webhook_with_polling' exactly where callbacks is true")
    if info.delivery_method == "synchronous" and info.cancel_method:
        raise table.error(
            "cancel_method", "must be empty: a synchronous call has ended when it could be canceled"
        )
    for region in info.residency_guaranteed:
        # The very word: "eu-west" may well lie in eu, but nobody has said so here.
        if info.processing_region[region] != region:
            raise table.error(
                "residency_guaranteed", f"holds '{region}', whose processing_region is elsewhere"
            )


def _endpoints(table: Table) -> dict[Region, str]:
    endpoints = _per_region(table)
    for region, url in endpoints.items():
        if not _ENDPOINT.fullmatch(url):
            raise table.error(region, "must be an https URL without a slash, query or user at its end")
    return endpoints


def _guaranteed(table: Table) -> tuple[Region, ...]:
    named = table.texts("residency_guaranteed", empty=True)
    if not set(named) <= set(REGIONS):
        raise table.error("residency_guaranteed", f"may hold {', '.join(REGIONS)} only")
    return cast("tuple[Region, ...]", named)


def _positive(table: Table, name: str) -> float:
    value = table.number(name)
    if value <= 0:
        raise table.error(name, "must be more than zero")
    return value


def _per_region(table: Table) -> dict[Region, str]:
    regions = {region: table.text(region) for region in REGIONS}
    table.finish()
    return regions


def _sources(table: Table) -> dict[str, str]:
    sources = {fact: table.one_of(fact, SOURCES) for fact in _FACTS}
    table.finish()
    return sources
