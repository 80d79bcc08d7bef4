"""The public description of the API, made from the routes and committed as docs/openapi.json."""

from __future__ import annotations

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from kit.settings import REGIONS

TITLE = "BabySea API"
VERSION = "1"
DESCRIPTION = (
    "One API for image and video generation over many inference providers. An API key belongs to one region and works "
    "on that region's host only. Repeat a failed request when `error.retryable` is true, after `Retry-After` seconds "
    "where that header is given; give a create an `Idempotency-Key`, and repeating it never makes a second generation."
)


def document(app: FastAPI) -> bytes:
    """The OpenAPI 3.1 document of the routes, as JSON."""
    if app.openapi_schema is None:
        schema = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=app.routes)
        schema["servers"] = [{"url": f"https://api.{region}.babysea.ai"} for region in REGIONS]
        schema["components"]["securitySchemes"] = {
            "api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "bye_…"}
        }
        schema["security"] = [{"api_key": []}]
        # FastAPI describes its own validation error, which this API never sends.
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"].get("schemas", {}).pop(name, None)
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        app.openapi_schema = schema
    return orjson.dumps(app.openapi_schema)
