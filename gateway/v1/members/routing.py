"""The pieces that every route for people declares."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from gateway.session import require_nobody, require_session
from gateway.v1.routing import ERRORS, parameter

PAGE_PARAMETERS = [
    parameter("limit", {"type": "integer", "default": 50}, "Rows; clamped to 1..100."),
    parameter("offset", {"type": "integer", "default": 0}, "Rows to skip from the newest."),
]
"""The description of the parameters of a list."""


def member_router() -> APIRouter:
    """A router whose routes need a session."""
    return APIRouter(prefix="/v1", dependencies=[Depends(require_session)], responses=ERRORS)


def open_router() -> APIRouter:
    """A router whose routes need no credential and pass none on."""
    return APIRouter(prefix="/v1", dependencies=[Depends(require_nobody)], responses=ERRORS)


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a JSON body that the route reads for itself."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    required = bool(schema.get("required"))
    content = {"application/json": {"schema": _inlined(schema, definitions)}}
    return {"requestBody": {"required": required, "content": content}}


def lists(*parameters: dict[str, Any]) -> dict[str, Any]:
    """The description of a list with its page and further parameters."""
    return {"parameters": [*PAGE_PARAMETERS, *parameters]}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    # A body's own definitions would be looked for among those of the whole document.
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}
