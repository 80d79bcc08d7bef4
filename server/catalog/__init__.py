"""Models, prices, plans and providers: data files, checked when they are loaded."""

from server.catalog.errors import CatalogError
from server.catalog.loading import load_catalog
from server.catalog.types import (
    Catalog,
    Extra,
    ExtraValue,
    FieldMap,
    MediaName,
    Model,
    Plan,
    ProviderInfo,
    ProviderModel,
    RateCard,
    Retention,
)

__all__ = [
    "Catalog",
    "CatalogError",
    "Extra",
    "ExtraValue",
    "FieldMap",
    "MediaName",
    "Model",
    "Plan",
    "ProviderInfo",
    "ProviderModel",
    "RateCard",
    "Retention",
    "load_catalog",
]
