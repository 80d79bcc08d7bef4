"""Every provider that this process can call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpcore
from pydantic import SecretStr

from kit.settings import Settings
from server.catalog.types import Catalog, ProviderInfo
from server.providers.alibaba import Alibaba
from server.providers.bfl import BlackForestLabs
from server.providers.byteplus import BytePlus
from server.providers.cloudflare import Cloudflare
from server.providers.download import open_downloader
from server.providers.fal import Fal
from server.providers.fan_out import FanOut
from server.providers.http import ProviderHttp
from server.providers.openai import OpenAI
from server.providers.protocol import Adapter
from server.providers.replicate import Replicate
from server.providers.runway import Runway


@dataclass(frozen=True, slots=True)
class Providers:
    """The adapters by provider id, and the connections for their outputs."""

    adapters: Mapping[str, Adapter]
    missing: tuple[str, ...]
    """Ids of the catalog's providers that cannot be called, because the settings hold no credential for them."""
    downloader: httpcore.AsyncConnectionPool
    """For `fetch_output`."""
    allow_private: bool
    """For `fetch_output`: whether URLs of files may name private addresses, as the sandbox's do."""
    connections: tuple[ProviderHttp, ...]

    def get(self, provider_id: str) -> Adapter | None:
        """The adapter of that id; None when it cannot be called."""
        return self.adapters.get(provider_id)

    async def aclose(self) -> None:
        """Closes every connection."""
        for connection in self.connections:
            await connection.aclose()
        await self.downloader.aclose()


@dataclass(frozen=True, slots=True)
class _Access:
    """How one provider is called."""

    make: Callable[[ProviderHttp, ProviderInfo], Adapter]
    base_url: str
    """Empty for the catalog's."""
    credential: SecretStr
    scheme: str = "Bearer"
    header: str = "Authorization"
    own_domain: str = ""
    below: str = ""
    """Path that every call has in common, below the base URL."""


def open_providers(settings: Settings, catalog: Catalog, *, call_seconds: float = 30.0) -> Providers:
    """Makes the adapters; nothing connects before it is first used.

    Args:
        settings: hold base URLs and credentials.
        catalog: says what the providers offer.
        call_seconds: time for one call to a provider.

    Raises:
        ValueError: a credential holds a character that no HTTP header can carry, or production would call another address
            than the one whose region the catalog guarantees.
    """
    https: list[ProviderHttp] = []
    adapters: dict[str, Adapter] = {}
    configured = {
        provider_id: access
        for provider_id, access in _accesses(settings).items()
        if provider_id in catalog.providers and access.credential.get_secret_value()
    }
    for provider_id, access in configured.items():
        _check_credential(provider_id, access.credential)
        _check_address(catalog.provider(provider_id), access.base_url, settings)
    for provider_id, access in configured.items():
        info = catalog.provider(provider_id)
        http = ProviderHttp(
            provider_id,
            (access.base_url or info.endpoints[settings.region]).rstrip("/") + access.below,
            access.scheme,
            access.credential,
            header=access.header,
            own_domain=access.own_domain,
            call_seconds=call_seconds,
        )
        https.append(http)
        adapters[provider_id] = FanOut(access.make(http, info))
    embedded = settings.mode == "embedded"
    return Providers(
        adapters=adapters,
        missing=tuple(provider_id for provider_id in catalog.providers if provider_id not in adapters),
        downloader=open_downloader(allow_loopback=embedded),
        allow_private=embedded,
        connections=tuple(https),
    )


def _accesses(settings: Settings) -> dict[str, _Access]:
    return {
        "alibabacloud": _Access(Alibaba, settings.alibaba_base_url, settings.alibaba_key),
        # Its global host answers with polling URLs on the hosts of its regions.
        "bfl": _Access(
            BlackForestLabs, settings.bfl_base_url, settings.bfl_key, "", header="x-key", own_domain="bfl.ai"
        ),
        "byteplus": _Access(BytePlus, settings.byteplus_base_url, settings.byteplus_key),
        "cloudflare": _Access(
            Cloudflare,
            settings.cloudflare_base_url,
            settings.cloudflare_token if settings.cloudflare_account_id else SecretStr(""),
            below=f"/accounts/{quote(settings.cloudflare_account_id, safe='')}",
        ),
        # The keys of its reports are on another host of its own.
        "fal": _Access(Fal, settings.fal_base_url, settings.fal_key, "Key", own_domain="fal.ai"),
        "openai": _Access(OpenAI, settings.openai_base_url, settings.openai_key),
        "replicate": _Access(Replicate, settings.replicate_base_url, settings.replicate_token),
        "runway": _Access(Runway, settings.runway_base_url, settings.runway_key),
    }


def _check_address(info: ProviderInfo, base_url: str, settings: Settings) -> None:
    # Strict residency trusts the catalog's guarantee, which is about the catalog's endpoint and no other.
    guaranteed = info.endpoints[settings.region]
    if (
        settings.mode == "production"
        and info.keeps_in(settings.region)
        and base_url.rstrip("/") not in ("", guaranteed)
    ):
        raise ValueError(
            f"The base URL of {info.provider_id} is not the catalog's, whose residency in {settings.region} is guaranteed; "
            "leave it out, or name both in a catalog of your own."
        )


def _check_credential(provider_id: str, credential: SecretStr) -> None:
    # Found out later, every job would fail, with an error whose text holds the credential.
    if not all("!" <= letter <= "~" for letter in credential.get_secret_value()):
        raise ValueError(
            f"The credential of {provider_id} holds a space, a line break or a letter outside of ASCII; set it again."
        )
