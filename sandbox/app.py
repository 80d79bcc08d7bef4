"""The sandbox as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from . import control, files
from .config import SandboxConfig
from .providers import PROVIDERS
from .wire import SandboxApp
from .world import World


def create_app(config: SandboxConfig | None = None) -> FastAPI:
    """Return the sandbox with one path prefix per provider; its state lives and dies with the application."""
    config = config or SandboxConfig()
    world = World(config, PROVIDERS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await world.callbacks.close()
        world.media.close()

    app = SandboxApp(
        title="BabySea provider sandbox", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.include_router(control.router(world, list(PROVIDERS)))
    app.include_router(files.router(world))
    for provider in PROVIDERS.values():
        app.include_router(provider.routes(world), prefix=provider.prefix)
    return app
