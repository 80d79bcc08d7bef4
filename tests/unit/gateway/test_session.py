"""Which page made a request, and how a cookie is written."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from starlette.requests import Request

from gateway.session import came_from_this_host, cookies_named, own_cookie
from gateway.v1.members.settings import micros_of


def request_of(headers: dict[str, str], *, production: bool = False, scheme: str = "http") -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    app = SimpleNamespace(state=SimpleNamespace(production=production))
    return Request(
        {
            "type": "http",
            "method": "POST",
            "scheme": scheme,
            "path": "/",
            "headers": raw,
            "app": app,
            "server": ("127.0.0.1", 80),
            "query_string": b"",
        }
    )


@pytest.mark.parametrize(
    ("origin", "host", "production", "same"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", False, True),
        ("http://127.0.0.1:8081", "127.0.0.1:8080", False, False),
        ("http://localhost:8080", "127.0.0.1:8080", False, False),
        ("https://api.us.babysea.ai", "api.us.babysea.ai", True, True),
        ("https://API.us.babysea.ai", "api.US.babysea.ai:443", True, True),
        ("http://api.us.babysea.ai", "api.us.babysea.ai", True, False),
        ("https://us.babysea.ai", "api.us.babysea.ai", True, False),
        ("https://api.us.babysea.ai.evil.example", "api.us.babysea.ai", True, False),
        ("https://api.us.babysea.ai@evil.example", "api.us.babysea.ai", True, False),
        ("null", "api.us.babysea.ai", True, False),
        ("", "", False, False),
    ],
)
def test_an_origin_is_this_host_only_when_scheme_host_and_port_agree(
    origin: str, host: str, production: bool, same: bool
) -> None:
    request = request_of({"origin": origin, "host": host}, production=production)
    assert came_from_this_host(request) is same


def test_a_request_that_no_browser_made_says_nothing_about_its_page() -> None:
    assert came_from_this_host(request_of({"host": "127.0.0.1:8080"})) is None


@pytest.mark.parametrize(
    ("production", "scheme", "secure"),
    [(False, "http", False), (False, "https", True), (True, "http", True)],
)
def test_a_cookie_is_secure_over_https_and_always_in_production(
    production: bool, scheme: str, secure: bool
) -> None:
    cookie = own_cookie(request_of({}, production=production, scheme=scheme), "a", "b", 5)
    host = "__Host-" * secure
    assert cookie == f"{host}a=b; Max-Age=5; Path=/; HttpOnly; SameSite=Lax" + "; Secure" * secure


def test_a_cookie_that_a_sibling_host_can_plant_is_not_read_in_production() -> None:
    """Browsers take the prefix from this very host alone, over https and without a Domain."""
    headers = {"cookie": "babysea_session_us=planted; __Host-babysea_session_us=own"}
    assert cookies_named(request_of(headers, production=True), "babysea_session_us") == ["own"]
    assert cookies_named(request_of(headers), "babysea_session_us") == ["planted"]


@pytest.mark.parametrize(
    ("amount", "micros"),
    [
        (0.5, 500_000),
        (0.1, 100_000),
        (12.345678, 12_345_678),
        (1e-7, None),
        (-1.0, -1_000_000),
        (1e300, 2**63 - 1),
    ],
)
def test_credits_become_exact_micro_dollars_or_nothing(amount: float, micros: int | None) -> None:
    assert micros_of(amount) == micros
