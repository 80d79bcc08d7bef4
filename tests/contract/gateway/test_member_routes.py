"""Every route for people, found by looking at the routes themselves: who may call it, and what it answers."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import protovalidate
import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from pydantic import TypeAdapter

from babysea.common.v1 import error_reason_pb2
from babysea.options.v1 import options_pb2
from gateway import member_methods
from gateway.methods import Method
from gateway.v1.members.spoiling import spoiled
from tests.contract.gateway.conftest import World
from tests.contract.gateway.fake_region import ACCOUNT_ID, failing
from tests.contract.gateway.member_table import BODIES, MEMBER, OPEN, Route
from tests.contract.gateway.members import SERVICES, SESSION

PUBLIC = {
    "GET /v1/auth/oidc",
    "GET /v1/auth/oidc/{provider}/start",
    "GET /v1/consent-texts",
    "GET /v1/invitations/{token}",
    "POST /v1/auth/oidc/{provider}/finish",
    "POST /v1/auth/password/reset",
    "POST /v1/auth/password/reset-request",
    "POST /v1/auth/resend-verification",
    "POST /v1/auth/sign-in",
    "POST /v1/auth/sign-in/confirm",
    "POST /v1/auth/sign-up",
    "POST /v1/auth/verify-email",
}
"""Routes that somebody without any credential may call; a new one has to be written down here."""

WITHOUT_ROUTE = {"/babysea.privacy.v1.ConsentService/AdoptVisitorConsents"}
"""Methods for people that no route offers: nothing records a visitor's consents by REST yet."""

FILES = ("/avatar", "/export")
"""Routes whose answer is a file."""


METHODS = {
    name: value
    for name, value in vars(member_methods).items()
    if isinstance(value, Method) and name.isupper()
}


@pytest.fixture
async def people(world: World) -> World:
    """The gateway, with a client that shows nothing by itself."""
    world.client.headers.pop("authorization")
    return world


def signed_in() -> dict[str, str]:
    return {"authorization": f"Bearer {SESSION}"}


def test_the_routes_that_need_nobody_are_exactly_those_that_are_written_down() -> None:
    assert {route.name for route in OPEN} == PUBLIC


def test_every_body_that_is_written_down_belongs_to_a_route() -> None:
    assert BODIES.keys() <= {route.name for route in [*OPEN, *MEMBER]}


def test_every_regional_call_for_people_is_used_by_name_and_exists_in_the_contract() -> None:
    for method in METHODS.values():
        assert method.name in method.path
        assert method.request.DESCRIPTOR.file.pool.FindMethodByName(f"{method.service}.{method.name}")


def test_every_method_for_people_in_the_contract_has_a_route() -> None:
    for_people = {options_pb2.USER, options_pb2.PUBLIC}
    named = {
        f"/{service}/{method.name}"
        for service in SERVICES
        for method in Default().FindServiceByName(service).methods
        if for_people & set(method.GetOptions().Extensions[options_pb2.access].audience)
    }
    assert named - {method.path for method in METHODS.values()} == WITHOUT_ROUTE


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_spoiled_request_is_always_refused_by_the_rules_of_the_contract(method: Method[Any, Any]) -> None:
    """Else a malformed body would be carried out as something else."""
    own_fields = [field for field in method.request.DESCRIPTOR.fields if field.name != "account_id"]
    if own_fields and not all(field.cpp_type == field.CPPTYPE_BOOL for field in own_fields):
        assert protovalidate.collect_violations(spoiled(method.request, ACCOUNT_ID)), method.name


async def outcomes(
    world: World, routes: list[Route], headers: dict[str, str], json_body: dict[str, Any] | None = None
) -> dict[str, tuple[int, str]]:
    """Status and code of every route; each asks in a minute of its own."""
    found = {}
    for route in routes:
        world.clock.at += timedelta(minutes=1)
        asked = route.request() if json_body is None else {"json": BODIES.get(route.name, {}) | json_body}
        reply = await world.client.request(route.method, route.path, headers=headers, **asked)
        code = "" if reply.status_code == 200 else reply.json()["error"]["code"]
        found[route.name] = (reply.status_code, code)
    return found


async def test_no_member_route_answers_without_a_credential(people: World) -> None:
    found = await outcomes(people, MEMBER, {})
    assert found == dict.fromkeys(found, (401, "BSE1001"))
    assert people.us.seen == []


async def test_no_member_route_takes_an_api_key(people: World) -> None:
    found = await outcomes(people, MEMBER, {"authorization": "Bearer bye_us_fake"})
    assert found == dict.fromkeys(found, (403, "BSE1003"))
    assert people.us.seen == []


async def test_a_refusal_of_a_stranger_by_the_region_is_passed_on_by_every_member_route(
    people: World,
) -> None:
    await people.client.get("/v1/auth/oidc/google/start")
    hook = failing(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    people.us.hooks = {method.name: hook for method in METHODS.values()}
    found = await outcomes(people, MEMBER, signed_in())
    assert found == dict.fromkeys(found, (404, "BSE1008"))


async def test_every_member_route_asks_the_region_once_about_the_account_of_its_path(people: World) -> None:
    for route in MEMBER:
        people.us.seen.clear()
        reply = await people.client.request(route.method, route.path, headers=signed_in(), **route.request())
        assert reply.status_code == 200, (route.name, reply.text)
        [(name, metadata, message)] = people.us.seen
        assert metadata["authorization"] == f"Bearer {SESSION}", route.name
        if "{account_id}" in route.name:
            assert _text(message, "account_id") == ACCOUNT_ID, name


async def test_an_open_route_passes_no_credential_on(people: World) -> None:
    found = await outcomes(people, OPEN, {"authorization": "Bearer bye_us_fake"})
    assert found == dict.fromkeys(found, (200, ""))
    assert all("authorization" not in metadata for _, metadata, _ in people.us.seen)


async def test_every_answer_has_its_documented_shape_and_no_cache_keeps_it(people: World) -> None:
    for route in [*OPEN, *MEMBER]:
        headers = signed_in() if route in MEMBER else {}
        reply = await people.client.request(route.method, route.path, headers=headers, **route.request())
        assert reply.status_code == 200, (route.name, reply.text)
        assert "no-store" in reply.headers["cache-control"], route.name
        if route.method == "GET" and route.path.endswith(FILES):
            assert reply.headers["content-type"].split(";")[0] in {"image/png", "text/csv"}
            continue
        TypeAdapter(route.shape).validate_python(reply.json(), strict=True)


async def test_an_unknown_field_is_refused_and_nothing_is_done(people: World) -> None:
    people.us.hooks = {method.name: _must_not_run for method in METHODS.values()}
    with_body = [route for route in [*OPEN, *MEMBER] if route.name in BODIES]
    found = await outcomes(people, with_body, signed_in(), {"surprise": 1})
    assert found == dict.fromkeys(found, (400, "BSE2001"))


async def test_what_is_wrong_with_a_body_is_told_only_to_who_may_ask(people: World) -> None:
    with_body = [route for route in MEMBER if route.name in BODIES]
    found = await outcomes(people, with_body, {"authorization": "Bearer ses_us_" + "w" * 43}, {"surprise": 1})
    assert found == dict.fromkeys(found, (401, "BSE1002"))


async def test_a_body_that_is_left_out_names_the_first_field_that_is_missing(people: World) -> None:
    reply = await people.client.post("/v1/teams", headers=signed_in())
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "BSE2001")
    assert reply.json()["error"]["details"] == {"field": "account_name"}
    assert reply.json()["error"]["message"] == "account_name is required."


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/accounts/none", "BSE1008"),
        (f"/v1/accounts/{ACCOUNT_ID}/keys/none/usage", "ok"),
        (f"/v1/accounts/{ACCOUNT_ID}/keys/none", "BSE2017"),
        ("/v1/invitations/" + "x" * 101, "BSE2017"),
    ],
)
async def test_an_id_that_is_malformed_is_as_absent_as_an_unknown_one(
    people: World, path: str, code: str
) -> None:
    reply = await people.client.get(path, headers=signed_in())
    assert (reply.json().get("error", {}).get("code", "ok")) == code, reply.text


async def _must_not_run(request: Message, _context: Any) -> None:
    raise AssertionError(f"the region was about to carry out {json.dumps(str(request))[:200]}")


def _text(message: Message, field: str) -> str:
    return str(getattr(message, field))
