"""The session at the edge: header and cookie, where the cookie counts, and what never leaves by the wrong way."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from babysea.accounts.v1 import identity_service_pb2 as identity
from tests.contract.gateway.conftest import World, running
from tests.contract.gateway.members import BROWSER, NEW_SESSION, SESSION
from tests.contract.gateway.test_headers import spans_of

SIGN_IN = {"email": "ada@example.com", "password": "correct horse"}
TEAM = {"account_name": "Acme", "account_slug": "acme"}
INVITATION = "inv_secret-of-the-letter"


def cookie(region: str = "us", token: str = SESSION) -> dict[str, str]:
    return {"cookie": f"theme=dark; babysea_session_{region}={token}"}


@pytest.fixture
async def people(world: World) -> World:
    """The gateway, with a client that shows nothing by itself."""
    world.client.headers.pop("authorization")
    return world


def code(reply: httpx.Response) -> str:
    return "ok" if reply.status_code == 200 else str(reply.json()["error"]["code"])


async def test_a_sign_in_sets_a_cookie_that_scripts_cannot_read_and_the_body_hides_the_session(
    people: World,
) -> None:
    reply = await people.client.post("/v1/auth/sign-in", json=SIGN_IN)
    assert reply.headers["set-cookie"] == (
        f"babysea_session_us={NEW_SESSION}; Max-Age=7776000; Path=/; HttpOnly; SameSite=Lax"
    )
    assert NEW_SESSION not in reply.text
    assert reply.json()["data"]["signed_in"] is True


async def test_the_body_holds_the_session_only_where_it_was_asked_for(people: World) -> None:
    reply = await people.client.post("/v1/auth/sign-in", json=SIGN_IN | {"session_transport": "token"})
    assert reply.json()["data"]["session_token"] == NEW_SESSION
    assert f"babysea_session_us={NEW_SESSION}" in reply.headers["set-cookie"]


async def test_the_question_for_a_second_factor_begins_no_session(people: World) -> None:
    people.us.answers["SignIn"] = identity.SignInResponse(second_factor_token="mfa")
    reply = await people.client.post("/v1/auth/sign-in", json=SIGN_IN)
    assert reply.json()["data"] == {"signed_in": False, "second_factor_token": "mfa"}
    assert "set-cookie" not in reply.headers


async def test_a_cookie_reaches_the_region_as_the_same_credential_as_a_header(people: World) -> None:
    assert code(await people.client.get("/v1/me", headers=cookie())) == "ok"
    assert people.us.metadata("GetProfile")["authorization"] == f"Bearer {SESSION}"
    assert "cookie" not in people.us.metadata("GetProfile")


async def test_the_cookie_of_another_region_is_no_credential_here(people: World) -> None:
    assert code(await people.client.get("/v1/me", headers=cookie("eu"))) == "BSE1001"
    eu = await people.client.get(people.urls["eu"] + "/v1/me", headers=cookie("eu"))
    assert code(eu) == "ok"
    assert [name for name, _, _ in people.us.seen] == []


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        ("Basic YTpi", "BSE1001"),
        ("Bearer", "BSE1001"),
        ("Bearer nonsense", "BSE1002"),
        ("Bearer ses_ü", "BSE1002"),
    ],
)
async def test_a_header_that_is_no_session_says_what_is_needed(
    people: World, shown: str, answer: str
) -> None:
    reply = await people.client.get("/v1/me", headers=[(b"authorization", shown.encode("latin-1"))])
    assert code(reply) == answer
    assert "session" in reply.json()["error"]["message"]
    assert "API key" not in reply.json()["error"]["message"]


async def test_of_two_cookies_with_one_name_neither_is_believed(people: World) -> None:
    both = {"cookie": f"babysea_session_us={SESSION}; babysea_session_us={NEW_SESSION}"}
    assert code(await people.client.get("/v1/me", headers=both)) == "BSE1002"


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({}, "BSE1003"),
        ({"origin": "https://evil.example"}, "BSE1003"),
        ({"origin": "null"}, "BSE1003"),
        ({"origin": "HOST.evil.example"}, "BSE1003"),
        ({"sec-fetch-site": "cross-site"}, "BSE1003"),
        ({"sec-fetch-site": "same-site"}, "BSE1003"),
        ({"sec-fetch-site": "none"}, "BSE1003"),
        ({"origin": "HOST", "sec-fetch-site": "cross-site"}, "BSE1003"),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, "BSE1003"),
        ({"origin": "HOST"}, "ok"),
        ({"sec-fetch-site": "same-origin"}, "ok"),
        ({"origin": "HOST", "sec-fetch-site": "same-origin"}, "ok"),
    ],
)
async def test_a_cookie_changes_something_only_from_a_page_of_this_host(
    people: World, headers: dict[str, str], answer: str
) -> None:
    shown = {name: value.replace("HOST", people.urls["us"]) for name, value in headers.items()}
    assert code(await people.client.post("/v1/teams", json=TEAM, headers=shown | cookie())) == answer
    assert len(people.us.seen) == (answer == "ok")
    assert code(await people.client.get("/v1/me", headers=shown | cookie())) == "ok"


async def test_a_session_in_a_header_needs_no_proof_of_its_page(people: World) -> None:
    headers = {"authorization": f"Bearer {SESSION}", "origin": "https://app.example"}
    assert code(await people.client.post("/v1/teams", json=TEAM, headers=headers)) == "ok"


async def test_a_page_of_another_host_cannot_sign_a_browser_in(people: World) -> None:
    headers = {"origin": "https://evil.example"}
    reply = await people.client.post("/v1/auth/sign-in", json=SIGN_IN, headers=headers)
    assert code(reply) == "BSE1003"
    assert people.us.seen == []
    asked = SIGN_IN | {"session_transport": "token"}
    reply = await people.client.post("/v1/auth/sign-in", json=asked, headers=headers)
    assert reply.json()["data"]["session_token"] == NEW_SESSION
    assert "set-cookie" not in reply.headers


async def test_signing_out_takes_the_cookie_away(people: World) -> None:
    headers = cookie() | {"origin": people.urls["us"]}
    reply = await people.client.post("/v1/auth/sign-out", headers=headers)
    assert reply.headers["set-cookie"].startswith("babysea_session_us=; Max-Age=0;")


async def test_signing_out_of_a_session_that_has_ended_takes_the_cookie_away_as_well(people: World) -> None:
    headers = cookie(token="ses_us_" + "e" * 43) | {"origin": people.urls["us"]}
    for _ in range(2):
        reply = await people.client.post("/v1/auth/sign-out", headers=headers)
        assert (code(reply), reply.json()["data"]) == ("ok", {"signed_in": False})
        assert reply.headers["set-cookie"].startswith("babysea_session_us=; Max-Age=0;")


async def test_signing_out_asks_for_the_own_page_also_when_the_session_has_ended(people: World) -> None:
    headers = cookie(token="ses_us_" + "e" * 43) | {"origin": "https://evil.example"}
    reply = await people.client.post("/v1/auth/sign-out", headers=headers)
    assert code(reply) == "BSE1003"
    assert "set-cookie" not in reply.headers


async def test_a_replaced_session_comes_the_way_the_old_one_came(people: World) -> None:
    change = {"current_password": "correct horse", "new_password": "correct horse 2"}
    by_header = {"authorization": f"Bearer {SESSION}"}
    reply = await people.client.post("/v1/me/password", json=change, headers=by_header)
    assert reply.json()["data"] == {"session_token": NEW_SESSION}
    assert "set-cookie" not in reply.headers
    by_cookie = cookie() | {"origin": people.urls["us"]}
    reply = await people.client.post("/v1/me/password", json=change, headers=by_cookie)
    assert reply.json()["data"] == {}
    assert f"babysea_session_us={NEW_SESSION};" in reply.headers["set-cookie"]


async def test_an_openid_sign_in_ends_only_in_the_browser_that_began_it(people: World) -> None:
    end = {"state": "s", "code": "c"}
    reply = await people.client.post("/v1/auth/oidc/google/finish", json=end)
    assert (code(reply), reply.json()["error"]["details"]) == ("BSE2001", {"field": "state"})
    begun = await people.client.get("/v1/auth/oidc/google/start")
    assert BROWSER not in begun.text
    assert f"babysea_oidc_us={BROWSER}; Max-Age=600;" in begun.headers["set-cookie"]
    assert code(await people.client.post("/v1/auth/oidc/google/finish", json=end)) == "ok"
    assert people.us.requests("FinishOidc")[-1].browser_token == BROWSER


async def test_an_avatar_may_be_larger_than_a_json_body_and_is_still_limited(people: World) -> None:
    headers = {"authorization": f"Bearer {SESSION}", "content-type": "image/png"}
    picture = b"p" * 200_000
    assert code(await people.client.put("/v1/me/avatar", content=picture, headers=headers)) == "ok"
    assert people.us.requests("UpdateProfile")[-1].avatar == picture
    reply = await people.client.put("/v1/me/avatar", content=b"p" * 500_000, headers=headers)
    assert (code(reply), reply.status_code) == ("BSE2010", 413)
    assert "400 KB" in reply.json()["error"]["message"]


async def test_an_export_is_a_file_to_save_and_comes_whole(people: World) -> None:
    headers = {"authorization": f"Bearer {SESSION}"}
    path = "/v1/accounts/01935000-0000-7000-8000-000000000001/activity/export"
    reply = await people.client.get(path, params={"format": "json"}, headers=headers)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-disposition"].startswith('attachment; filename="babysea-activity-')
    assert reply.content == b"xx"
    reply = await people.client.get(path, params={"format": "xml"}, headers=headers)
    assert reply.json()["error"]["details"] == {"field": "format"}


async def test_no_session_and_no_token_of_a_letter_reaches_logs_or_traces(
    people: World, spans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parent = "00-1af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01"
    headers = {"traceparent": parent}
    with caplog.at_level(logging.DEBUG):
        await people.client.get(f"/v1/invitations/{INVITATION}", headers=headers)
        await people.client.post(f"/v1/invitations/{INVITATION}/accept", headers=headers | cookie())
        await people.client.post(
            f"/v1/invitations/{INVITATION}/accept", headers={"authorization": f"Bearer {SESSION}"}
        )
        await people.client.post("/v1/auth/sign-in", json=SIGN_IN, headers=headers)
        await people.client.get(f"/v1/unknown/{INVITATION}", headers=headers)
    # The test's own client logs the addresses that it asks for.
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    said = "".join(record.getMessage() + repr(record.__dict__) for record in ours)
    said += repr(spans_of(spans, parent.split("-")[1]))
    assert "/v1/invitations/{token}" in said
    for secret in (INVITATION, SESSION, NEW_SESSION, *SIGN_IN.values()):
        assert secret not in said


async def test_a_preflight_allows_every_method_of_the_routes_and_no_credentials(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        headers = {"origin": "https://app.example", "access-control-request-method": "PATCH"}
        reply = await world.client.options("/v1/me", headers=headers)
    assert {"PUT", "PATCH"} <= set(reply.headers["access-control-allow-methods"].split(", "))
    assert "access-control-allow-credentials" not in reply.headers
