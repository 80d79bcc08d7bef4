"""The pieces that every route of version 1 declares."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from gateway.auth import require_key
from gateway.v1.responses import ErrorEnvelope

ResponseDocs = dict[int | str, dict[str, Any]]

ERRORS: ResponseDocs = {
    "default": {"model": ErrorEnvelope, "description": "Any error; `error.code` says which."},
}


def v1_router() -> APIRouter:
    """A router whose routes need an API key."""
    return APIRouter(prefix="/v1", dependencies=[Depends(require_key)], responses=ERRORS)


def parameter(name: str, schema: dict[str, Any], description: str, *, where: str = "query") -> dict[str, Any]:
    """The description of an optional parameter that the route reads for itself."""
    return {"name": name, "in": where, "required": False, "schema": schema, "description": description}
