"""A person's whole life by REST alone, on a real stack, with every letter read from the folder that it was sent to."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.contract.gateway.member_table import MEMBER
from tests.e2e.conftest import Stack, until
from tests.e2e.people import Person, next_code

pytestmark = pytest.mark.timeout(300)

REGION = "us"
LETTERS = ("Confirm your e-mail", "Your welcome credits are here", "A team has a new primary owner")
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


@pytest.fixture
def newcomer(stack: Stack) -> Iterator[Callable[..., Person]]:
    """Makes people of the region; their connections end with the test."""
    with ExitStack() as open_clients:

        def make(name: str, **more: Any) -> Person:
            made = Person(stack, REGION, name, **more)
            open_clients.enter_context(made.client)
            return made

        yield make


def test_a_person_signs_up_works_in_a_team_and_leaves(stack: Stack, newcomer: Callable[..., Person]) -> None:
    ada = newcomer("Ada")
    ada.sign_up()
    profile = ada.do("GET", "/v1/me")["profile"]
    assert (profile["email"], profile["name"], profile["totp_enabled"]) == (ada.email, "Ada", False)
    personal = profile["personal_account_id"]

    codes = _second_factor(ada)
    ada.do("POST", "/v1/auth/sign-out")
    assert ada.refused("GET", "/v1/me") == "BSE1001"
    _sign_in_again(ada, codes)

    team = ada.do("POST", "/v1/teams", account_name="Lighthouse", account_slug=_slug(ada))["account"]
    at_team = f"/v1/accounts/{team['account_id']}"
    assert (team["role"], team["account_is_personal"]) == ("primary_owner", False)

    bob = newcomer("Bob", by_cookie=False)
    ada.do("POST", f"{at_team}/invitations", email=bob.email, role="member")
    invitation = bob.token_of("Lighthouse")
    assert bob.do("GET", f"/v1/invitations/{invitation}")["team_name"] == "Lighthouse"
    bob.sign_up()
    assert bob.refused("GET", at_team) == "BSE1008"
    assert bob.do("POST", f"/v1/invitations/{invitation}/accept")["role"] == "member"
    assert {one["name"] for one in bob.do("GET", f"{at_team}/members")["members"]} == {"Ada", "Bob"}
    assert bob.refused("POST", f"{at_team}/keys", apikey_name="mine", apikey_preset="read_only") == "BSE1003"

    made = ada.do("POST", f"/v1/accounts/{personal}/keys", apikey_name="laptop", apikey_preset="full_access")
    ada.secrets.append(made["apikey_secret"])
    _generate(stack, made["apikey_secret"])
    _read_logs(ada, personal, made["apikey"]["apikey_id"])
    _read_activity(ada, at_team)

    bob_id = bob.do("GET", "/v1/me")["profile"]["person_id"]
    handed = ada.do("POST", f"{at_team}/transfer", person_id=bob_id, password=ada.password)["account"]
    assert (handed["role"], handed["account_primary_owner_id"]) == ("owner", bob_id)
    ada.do("POST", f"{at_team}/leave")
    assert ada.refused("GET", at_team) == "BSE1008"
    assert bob.do("GET", at_team)["account"]["role"] == "primary_owner"

    _read_inbox(bob)
    for person in (ada, bob):
        person.do("POST", "/v1/auth/sign-out")
        assert person.refused("GET", "/v1/me") in {"BSE1001", "BSE1002"}
    for words in (*LETTERS, "Two-step sign-in was turned on", "An API key was created"):
        ada.letter(words)
    for words in (*LETTERS, "Invitation to a team"):
        bob.letter(words)
    _no_letter_tells_a_secret(ada, bob)
    _no_log_tells_a_secret(stack, ada, bob)


def test_a_link_of_a_sign_up_by_a_stranger_gives_nobody_an_account(newcomer: Callable[..., Person]) -> None:
    vic = newcomer("Vic")
    eve = newcomer("Eve", email=vic.email)
    eve.ask_for_account()
    planted = vic.token_of("Confirm")
    assert "Enter the password that you chose" in vic.letter("Confirm")
    followed = {"token": planted, "password": vic.password}
    assert vic.refused("POST", "/v1/auth/verify-email", **followed) == "BSE1002"
    assert vic.refused("GET", "/v1/me") == "BSE1001"

    vic.ask_for_account()
    until(lambda: vic.token_of("Confirm") != planted)
    vic.do("POST", "/v1/auth/verify-email", token=vic.token_of("Confirm"), password=vic.password)
    assert vic.do("GET", "/v1/me")["profile"]["name"] == "Vic"
    late = {"token": planted, "password": eve.password}
    assert eve.refused("POST", "/v1/auth/verify-email", **late) == "BSE2001"
    assert eve.refused("POST", "/v1/auth/sign-in", email=vic.email, password=eve.password) == "BSE1002"


def test_a_person_gets_back_in_with_a_new_password_and_moves_to_a_new_address(
    newcomer: Callable[..., Person],
) -> None:
    cleo = newcomer("Cleo")
    cleo.sign_up()
    cleo.do("POST", "/v1/auth/password/reset-request", email=cleo.email)
    new = cleo.password + " new"
    cleo.do("POST", "/v1/auth/password/reset", token=cleo.token_of("Reset your password"), password=new)
    assert cleo.refused("GET", "/v1/me") == "BSE1002"
    old = {"email": cleo.email, "password": cleo.password}
    assert cleo.refused("POST", "/v1/auth/sign-in", **old) == "BSE1002"
    assert cleo.do("POST", "/v1/auth/sign-in", **old | {"password": new})["signed_in"] is True

    moved = newcomer("Cleo2")
    cleo.do("POST", "/v1/me/email", email=moved.email, password=new)
    cleo.do("POST", "/v1/me/email/confirm", token=moved.token_of("Confirm your new e-mail"))
    assert cleo.do("GET", "/v1/me")["profile"]["email"] == moved.email
    cleo.letter("Your e-mail address was changed")


def test_a_person_keeps_profile_picture_sessions_wishes_and_consents(newcomer: Callable[..., Person]) -> None:
    dora = newcomer("Dora")
    dora.sign_up()
    assert dora.do("PATCH", "/v1/me", name="Dora D")["profile"]["name"] == "Dora D"
    put = dora.ask("PUT", "/v1/me/avatar", content=PICTURE, headers={"content-type": "image/png"})
    assert put.json()["data"]["profile"]["has_avatar"] is True, put.text
    shown = dora.ask("GET", "/v1/me/avatar")
    assert (shown.headers["content-type"], shown.status_code) == ("image/png", 200)
    assert dora.do("DELETE", "/v1/me/avatar")["profile"]["has_avatar"] is False
    assert dora.refused("GET", "/v1/me/avatar") == "BSE2017"

    again = newcomer("Dora", email=dora.email, password=dora.password, by_cookie=False)
    credentials = {"email": dora.email, "password": dora.password, "session_transport": "token"}
    other = again.do("POST", "/v1/auth/sign-in", **credentials)["session"]["session_id"]
    assert len(dora.do("GET", "/v1/me/sessions")["sessions"]) == 2
    dora.do("DELETE", f"/v1/me/sessions/{other}")
    assert again.refused("GET", "/v1/me") == "BSE1002"

    off = [{"category": "team", "channel": "email", "enabled": False}]
    wishes = dora.do("PATCH", "/v1/me/notification-preferences", changes=off)["preferences"]
    assert [one["enabled"] for one in wishes if (one["category"], one["channel"]) == ("team", "email")] == [
        False
    ]
    wanted = next(one for one in dora.do("GET", "/v1/me/consents")["consents"] if not one["necessary"])
    choice = {"purpose": wanted["purpose"], "version": wanted["current_version"], "granted": True}
    dora.do("POST", "/v1/me/consents", choices=[choice])
    history = dora.do("GET", "/v1/me/consents/history")["choices"]
    assert (history[0]["purpose"], history[0]["granted"]) == (wanted["purpose"], True)


def test_a_stranger_learns_nothing_by_any_route_of_an_account(newcomer: Callable[..., Person]) -> None:
    owner, stranger = newcomer("Owner", by_cookie=False), newcomer("Stranger", by_cookie=False)
    owner.sign_up()
    stranger.sign_up()
    team = owner.do("POST", "/v1/teams", account_name="Harbour", account_slug=_slug(owner))["account"]
    session = owner.do("GET", "/v1/me/sessions")["sessions"][0]["session_id"]
    stranger.ask("DELETE", f"/v1/me/sessions/{session}")
    assert len(owner.do("GET", "/v1/me/sessions")["sessions"]) == 1
    unknown = "01935000-0000-7000-8000-000000000001"
    found = {}
    for route in [one for one in MEMBER if "{account_id}" in one.name]:
        answers = [
            stranger.ask(route.method, route.path_with(account_id=account), **route.request())
            for account in (team["account_id"], unknown, "none")
        ]
        found[route.name] = {(one.status_code, json.dumps(one.json()["error"])) for one in answers}
    alike = {error for errors in found.values() for error in errors}
    assert {json.loads(error)["code"] for _, error in alike} == {"BSE1008"}, found
    assert len(alike) == 1, found


def test_an_answer_to_nobody_is_the_same_whether_or_not_the_address_is_known(
    newcomer: Callable[..., Person],
) -> None:
    known, unknown = newcomer("Known"), newcomer("Unknown")
    known.sign_up()
    texts = known.do("GET", "/v1/consent-texts")["texts"]
    accepted = {text["purpose"]: text["version"] for text in texts if text["necessary"]}
    for path, body in (
        ("/v1/auth/sign-up", {"password": "pw of somebody", "name": "Eve", "accepted_versions": accepted}),
        ("/v1/auth/resend-verification", {}),
        ("/v1/auth/password/reset-request", {}),
        ("/v1/auth/sign-in", {"password": "pw of somebody"}),
    ):
        said = []
        for email in (known.email, unknown.email):
            answer = unknown.ask("POST", path, json={"email": email, **body})
            facts = answer.json()
            said.append([answer.status_code, facts.get("message"), facts.get("data"), facts.get("error")])
        assert said[0] == said[1], path


def _second_factor(person: Person) -> list[str]:
    begun = person.do("POST", "/v1/me/totp", password=person.password)
    person.secrets.append(begun["secret"])
    codes = person.do("POST", "/v1/me/totp/confirm", totp_code=next_code(begun["secret"], 0))[
        "recovery_codes"
    ]
    person.secrets += codes
    assert len(codes) == 10
    return [begun["secret"], *codes]


def _sign_in_again(person: Person, codes: list[str]) -> None:
    credentials = {"email": person.email, "password": person.password}
    asked = person.do("POST", "/v1/auth/sign-in", **credentials)
    assert asked["signed_in"] is False
    # The code that turned the factor on is spent; the one of the next half minute is not.
    signed_in = person.do(
        "POST",
        "/v1/auth/sign-in/confirm",
        second_factor_token=asked["second_factor_token"],
        totp_code=next_code(codes[0], 1),
    )
    assert signed_in["signed_in"] is True
    assert signed_in["profile"]["totp_enabled"] is True


def _generate(stack: Stack, key: str) -> None:
    balance = stack.rest(REGION, "GET", "/v1/user/billing", key).json()["data"]["billing_credit_balance"]
    assert balance == 1
    body = {"generation_prompt": "a lighthouse in fog"}
    answer = stack.rest(REGION, "POST", "/v1/generate/image/bfl/flux-schnell", key, json=body)
    assert answer.status_code == 200, answer.text
    path = f"/v1/content/{answer.json()['data']['generation_id']}"
    until(lambda: stack.rest(REGION, "GET", path, key).json()["data"]["generation_status"] == "succeeded", 90)
    spent = stack.rest(REGION, "GET", "/v1/user/billing", key).json()["data"]["billing_credit_balance"]
    assert spent == pytest.approx(0.995)


def _read_logs(person: Person, account: str, key_id: str) -> None:
    path = f"/v1/accounts/{account}/logs"

    def created() -> list[dict[str, Any]]:
        rows = person.do("GET", f"{path}?key_id={key_id}&limit=500")["logs"]
        return [row for row in rows if row["method"] == "POST" and row["route"].startswith("/v1/generate/")]

    until(lambda: len(created()) == 1)
    [row] = created()
    assert (row["status"], row["surface"], row["apikey"]["apikey_name"]) == (200, "rest", "laptop")
    exported = person.ask("GET", f"{path}/export?format=csv&key_id={key_id}")
    assert exported.headers["content-type"].startswith("text/csv")
    assert row["log_id"] in exported.text or row["request_id"] in exported.text
    usage = person.do("GET", f"/v1/accounts/{account}/keys/{key_id}/usage")["apikeys"]
    assert usage[0]["requests"] >= 1


def _read_activity(person: Person, at_team: str) -> None:
    def words() -> set[str]:
        rows = person.do("GET", f"{at_team}/activity")["activity"]
        return {row["category"] for row in rows}

    until(lambda: {"account", "invitation", "membership"} <= words())
    exported = person.ask("GET", f"{at_team}/activity/export?format=json")
    assert json.loads(exported.content)


def _read_inbox(person: Person) -> None:
    inbox: Callable[[], dict[str, Any]] = lambda: person.do("GET", "/v1/me/notifications")  # noqa: E731
    until(lambda: inbox()["unread"] > 0)
    assert person.do("POST", "/v1/me/notifications/read", all=True)["unread"] == 0
    assert all(notice["read_at"] for notice in inbox()["notifications"])


def _no_letter_tells_a_secret(*people: Person) -> None:
    said = "\n".join(text for person in people for text in person.texts())
    for person in people:
        in_letters = {person.email, *re.findall(r"token=([A-Za-z0-9_.-]+)", said)}
        for secret in set(person.secrets) - in_letters:
            assert secret not in said


def _no_log_tells_a_secret(stack: Stack, *people: Person) -> None:
    files = [*(stack.data_dir / "logs").iterdir(), *(stack.data_dir / "traces").rglob("*.jsonl")]
    said = "".join(file.read_text(errors="replace") for file in files if file.is_file())
    assert said
    for person in people:
        for secret in person.secrets:
            assert secret not in said


def _slug(person: Person) -> str:
    return "lighthouse-" + person.email.partition("@")[0].rpartition("-")[2]
