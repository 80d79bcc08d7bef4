"""One file per provider. A file offers `NAME` and `router(world)`; a new provider is added here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from ..world import World
from . import fal, replicate

PROVIDERS: dict[str, Callable[[World], APIRouter]] = {
    replicate.NAME: replicate.router,
    fal.NAME: fal.router,
}
"""The router of each provider by name; the name is also its path prefix."""
