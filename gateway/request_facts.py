"""What the region's request log is told of a REST request: its route, and what of its query is harmless."""

from __future__ import annotations

import re

from starlette.datastructures import QueryParams

from gateway.exchange import Exchange
from gateway.tracing import route_of
from kit.rpc import BEGAN, QUERY, REFUSED, ROUTE

_NUMBER = re.compile(r"-?[0-9]{1,10}(?:\.[0-9]{1,6})?")
_WORD = re.compile(r"[a-z][a-z_]{0,29}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]{5,15}Z?)?")
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HARMLESS = {
    **dict.fromkeys(("limit", "offset", "days", "count", "duration", "status_class"), _NUMBER),
    **dict.fromkeys(("audio", "category", "format", "surface", "status"), _WORD),
    **dict.fromkeys(("from", "to"), _TIME),
    "key_id": _ID,
    "actor": re.compile(rf"system|{_ID.pattern}"),
    "resolution": re.compile(r"[0-9]{1,4}[pkK]"),
    "method": re.compile(r"[A-Z]{1,10}"),
    "error_code": re.compile(r"BSE[0-9]{4}"),
}
"""Query parameters of our routes, and the values of each that say nothing about anybody."""

_LENGTH = 200


def request_facts(exchange: Exchange) -> list[tuple[str, str]]:
    """The metadata; nothing where no route of ours took the request."""
    scope = exchange.scope
    if "route" not in scope:
        return []
    facts = [
        (ROUTE, f"{scope['method']} {route_of(scope)}"),
        (BEGAN, str(exchange.began_millis)),
    ]
    query = harmless_query(QueryParams(scope.get("query_string", b"")))
    if query:
        facts.append((QUERY, query))
    if exchange.refused:
        facts.append((REFUSED, exchange.refused))
    return facts


def harmless_query(parameters: QueryParams) -> str:
    """The query without unknown parameters; a value that may be anything becomes "-"."""
    shown = []
    for name, value in parameters.multi_items():
        pattern = _HARMLESS.get(name)
        if pattern is not None:
            shown.append(f"{name}={value if pattern.fullmatch(value) else '-'}")
    return "&".join(shown)[:_LENGTH]
