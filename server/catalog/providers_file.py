"""providers.toml: what each inference provider offers."""

from __future__ import annotations

from typing import cast

from kit.settings import REGIONS, Region
from server.catalog.table import Table
from server.catalog.types import MediaName, ProviderInfo

_SOURCES = ("doc", "sdk", "assumed")
_FACTS = (
    "delivery_method",
    "cancel_method",
    "webhook_verification",
    "min_poll_seconds",
    "output_lifetime_seconds",
    "processing_region",
)


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
        residency_guaranteed=table.flag("residency_guaranteed"),
        sources=_sources(table.table("sources")),
    )
    table.finish()
    return info


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
    sources = {fact: table.one_of(fact, _SOURCES) for fact in _FACTS}
    table.finish()
    return sources
