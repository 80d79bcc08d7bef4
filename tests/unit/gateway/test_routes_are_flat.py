"""Routes of the gateway are one flat list, because nested routers are slow: see `gateway.v1.routes`."""

from __future__ import annotations

from fastapi.routing import APIRoute

from gateway.app import create_routes
from gateway.limits import FailureLimit
from kit.clock import SystemClock


def test_no_router_is_nested_in_the_application() -> None:
    routes = create_routes(FailureLimit(SystemClock())).routes
    assert len(routes) > 90
    assert [route for route in routes if not isinstance(route, APIRoute)] == []
