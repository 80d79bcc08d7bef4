"""Every provider that this process can call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from kit.settings import Settings
from server.catalog.types import Catalog
from server.providers.download import open_downloader
from server.providers.fal import Fal
from server.providers.http import ProviderHttp
from server.providers.protocol import Adapter
from server.providers.replicate import Replicate


@dataclass(frozen=True, slots=True)
class Providers:
    """The adapters by provider id, and the client for their outputs."""

    adapters: Mapping[str, Adapter]
    missing: tuple[str, ...]
    """Ids of the catalog's providers that cannot be called, because the settings hold no credential for them."""
    downloader: httpx.AsyncClient
    """For `fetch_output`."""
    allow_private: bool
    """For `fetch_output`: whether file hosts may have private addresses, as the sandbox has."""
    connections: tuple[ProviderHttp, ...]

    def get(self, provider_id: str) -> Adapter | None:
        """The adapter of that id; None when it cannot be called."""
        return self.adapters.get(provider_id)

    async def aclose(self) -> None:
        """Closes every connection."""
        for connection in self.connections:
            await connection.aclose()
        await self.downloader.aclose()


def open_providers(settings: Settings, catalog: Catalog, *, call_seconds: float = 30.0) -> Providers:
    """Makes the adapters; nothing connects before it is first used.

    Args:
        settings: hold base URLs and credentials.
        catalog: says what the providers offer.
        call_seconds: time for one call to a provider.

    Raises:
        ValueError: a credential holds a character that no HTTP header can carry.
    """
    places = {
        "replicate": (settings.replicate_base_url, "Bearer", settings.replicate_token),
        "fal": (settings.fal_base_url, "Key", settings.fal_key),
    }
    callable_ids = configured_providers(settings) & set(catalog.providers)
    for provider_id in sorted(callable_ids):
        _check_credential(provider_id, places[provider_id][2])
    https = {
        provider_id: ProviderHttp(provider_id, base_url, scheme, credential, call_seconds=call_seconds)
        for provider_id, (base_url, scheme, credential) in places.items()
        if provider_id in callable_ids
    }
    adapters: dict[str, Adapter] = {}
    if "replicate" in https:
        adapters["replicate"] = Replicate(https["replicate"], catalog.provider("replicate"))
    if "fal" in https:
        adapters["fal"] = Fal(https["fal"], catalog.provider("fal"))
    return Providers(
        adapters=adapters,
        missing=tuple(provider_id for provider_id in catalog.providers if provider_id not in adapters),
        downloader=open_downloader(),
        allow_private=settings.mode == "embedded",
        connections=tuple(https.values()),
    )


def configured_providers(settings: Settings) -> frozenset[str]:
    """Ids of the providers whose credential the settings hold."""
    credentials = {"replicate": settings.replicate_token, "fal": settings.fal_key}
    return frozenset(name for name, credential in credentials.items() if credential.get_secret_value())


def _check_credential(provider_id: str, credential: SecretStr) -> None:
    # Found out later, every job would fail, with an error whose text holds the credential.
    if not all("!" <= letter <= "~" for letter in credential.get_secret_value()):
        raise ValueError(
            f"The credential of {provider_id} holds a space, a line break or a letter outside of ASCII; set it again."
        )
