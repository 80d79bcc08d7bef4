"""What a region is told of a REST request: its route, and of the query only what says nothing about anybody."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers, QueryParams

from gateway.exchange import Exchange
from gateway.request_facts import harmless_query, request_facts
from kit.rpc import BEGAN, QUERY, REFUSED, ROUTE


class _Route:
    path_format = "/v1/content/{generation_id}"


def _exchange(query: bytes = b"", *, routed: bool = True) -> Exchange:
    scope = {"method": "GET", "query_string": query, "path": "/v1/content/1f3a"}
    return Exchange(
        "req_1", "us", "203.0.113.9", Headers({}), scope=scope | ({"route": _Route()} if routed else {})
    )


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("limit=5&offset=10", "limit=5&offset=10"),
        ("days=-3", "days=-3"),
        ("resolution=720p&audio=true&duration=2.5", "resolution=720p&audio=true&duration=2.5"),
        ("limit=a%20walrus", "limit=-"),
        ("limit=5%0A6", "limit=-"),
        ("resolution=ada%40example.com", "resolution=-"),
        ("email=ada%40example.com&prompt=walrus", ""),
        ("key_id=0190c0de-0000-7000-8000-000000000001", "key_id=0190c0de-0000-7000-8000-000000000001"),
        ("key_id=bye_us_secret", "key_id=-"),
        ("from=2026-11-22T01:02:03Z&to=2026-11-23", "from=2026-11-22T01:02:03Z&to=2026-11-23"),
        ("actor=system", "actor=system"),
        ("", ""),
    ],
)
def test_a_query_is_shown_without_what_may_be_personal(query: str, shown: str) -> None:
    assert harmless_query(QueryParams(query)) == shown


def test_a_long_query_is_cut() -> None:
    assert len(harmless_query(QueryParams("&".join(["limit=5"] * 100)))) == 200


def test_a_request_is_told_by_the_template_of_its_route() -> None:
    exchange = _exchange(b"limit=5")
    facts = dict(request_facts(exchange))
    assert facts == {
        ROUTE: "GET /v1/content/{generation_id}",
        BEGAN: str(exchange.began_millis),
        QUERY: "limit=5",
    }


def test_a_refusal_tells_its_code() -> None:
    exchange = _exchange()
    exchange.refused = "BSE2001"
    assert dict(request_facts(exchange))[REFUSED] == "BSE2001"


def test_a_request_that_no_route_took_is_not_told() -> None:
    assert request_facts(_exchange(routed=False)) == []
