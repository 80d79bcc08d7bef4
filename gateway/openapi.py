"""The public description of the API, made from the routes and committed as docs/openapi.json."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

from gateway.session import require_nobody, require_session
from kit.settings import REGIONS

TITLE = "BabySea API"
VERSION = "1"
DESCRIPTION = (
    "One API for image and video generation over many inference providers. An API key belongs to one region and works "
    "on that region's host only; so does a person, whose session opens the routes that manage accounts. Repeat a failed request when `error.retryable` is true, after `Retry-After` seconds "
    "where that header is given; give a create an `Idempotency-Key`, and repeating it never makes a second generation."
)

_SCHEMES = {
    "api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "bye_…"},
    "session": {"type": "http", "scheme": "bearer", "bearerFormat": "ses_…"},
    "session_cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "babysea_session_{region}",
        "description": "Over https its name begins with __Host-. Changes something only with the Origin header of the same host.",
    },
}


def document(app: FastAPI) -> bytes:
    """The OpenAPI 3.1 document of the routes, as JSON."""
    if app.openapi_schema is None:
        schema = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=app.routes)
        schema["servers"] = [{"url": f"https://api.{region}.babysea.ai"} for region in REGIONS]
        schema["components"]["securitySchemes"] = _SCHEMES
        schema["security"] = [{"api_key": []}]
        # FastAPI describes its own validation error, which this API never sends.
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"].get("schemas", {}).pop(name, None)
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for route in described(app):
            for method in route.methods or ():
                _secure(schema["paths"][route.path_format][method.lower()], route)
        app.openapi_schema = schema
    return orjson.dumps(app.openapi_schema)


def described(app: FastAPI) -> list[RouteContext]:
    """Every route that the description names."""
    return [route for route in iter_route_contexts(app.routes) if route.include_in_schema]


def _secure(operation: dict[str, Any], route: RouteContext) -> None:
    """Says who may call; what a route says nothing about needs an API key."""
    needs = {dependency.call for dependency in route.dependant.dependencies}
    if require_session in needs:
        operation["security"] = [{"session": []}, {"session_cookie": []}]
    elif require_nobody in needs:
        operation["security"] = []
