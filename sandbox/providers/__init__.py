"""One file per provider. A file offers `NAME` and `router(world)`; a new provider is added here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter

from ..world import World
from . import (
    alibabacloud,
    bfl,
    byteplus,
    cloudflare,
    fal,
    fal_input,
    openai,
    replicate,
    replicate_input,
    runway,
)


@dataclass(frozen=True)
class Provider:
    """Where a provider is found in the sandbox."""

    prefix: str
    """Path in front of the provider's own ones."""

    routes: Callable[[World], APIRouter]


PROVIDERS: dict[str, Provider] = {
    replicate_input.NAME: Provider("/replicate", replicate.router),
    fal_input.NAME: Provider("/fal", fal.router),
    alibabacloud.NAME: Provider("/alibaba/api/v1", alibabacloud.router),
    byteplus.NAME: Provider("/byteplus/api/v3", byteplus.router),
    cloudflare.NAME: Provider("/cloudflare/client/v4", cloudflare.router),
    openai.NAME: Provider("/openai/v1", openai.router),
    runway.NAME: Provider("/runway/v1", runway.router),
    # At the root of the host, because its SDK drops every prefix of the base URL.
    bfl.NAME: Provider("", bfl.router),
}
"""The providers by name."""
