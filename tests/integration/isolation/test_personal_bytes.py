"""Of people: names, e-mails, addresses and secrets are in no byte that is kept, but where the inventory says so."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest

from babysea.accounts.v1 import identity_service_pb2 as identity_pb
from babysea.accounts.v1 import team_service_pb2 as team_pb
from babysea.accounts.v1.team_service_pb2_grpc import TeamServiceStub
from babysea.keys.v1 import key_service_pb2 as key_pb
from babysea.keys.v1.key_service_pb2_grpc import KeyServiceStub
from babysea.privacy.v1 import consent_service_pb2 as consent_pb
from babysea.privacy.v1.consent_service_pb2_grpc import ConsentServiceStub
from babysea.privacy.v1.consents_pb2 import Choice
from gateway.main import serving
from kit.ids import random_base62
from kit.settings import Settings
from server.accounts.tokens import reset_token_maker
from server.keys.secrets import parse_key
from server.notifications.assembly import open_sender
from server.privacy.consents import consented
from server.privacy.inventory import load_inventory
from server.privacy.texts import purposes
from tests.conftest import _run_folder
from tests.integration.isolation.conftest import Said
from tests.integration.isolation.lives import MailFolder, Somebody, refused
from tests.integration.isolation.needles import search
from tests.integration.isolation.test_at_rest import _files_of
from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_stack
from tests.support.valkey import RunningValkey

PLANTED, LABEL = f"Zq{random_base62(16)}", f"Zq{random_base62(16)}"


@dataclass(frozen=True)
class Left:
    """What a day of heavy use left behind, after everything has stopped."""

    words: dict[str, bytes]
    """Everything to look for, by person and kind."""
    visible: dict[str, bytes]
    """What stands in the database on purpose, readable or hashed; a search that misses it finds nothing."""
    database: list[Path]
    """Files of the cluster, its journal and its log."""
    said: Path
    """Log lines and spans of our programs."""
    valkey: Path
    """Every key of Valkey with its value."""
    keys: dict[str, int]
    """Valkey's keys with the milliseconds that they still have."""
    data: Path
    """The data folder."""


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[RunningValkey]:
    """A Valkey of the test's own."""
    running = RunningValkey.at(tmp_path / "valkey")
    await running.start()
    yield running
    running.kill()


@pytest.mark.timeout(300)
async def test_nothing_of_a_person_is_kept_but_where_the_inventory_says(
    database: TestDatabase,
    sandbox_url: str,
    tmp_path: Path,
    valkey: RunningValkey,
    said: Said,
    request: pytest.FixtureRequest,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    begin = await _journal(database, "")
    async with running_stack(database, sandbox_url, data, valkey_url=valkey.url) as stack:
        words, visible = await _heavy_use(stack, data)
        held = tmp_path / "valkey.bin"
        await _plant(valkey)
        keys = await _dump(valkey, held)
    # Only now, so that what is written while stopping is there, too.
    files = await _database_files(database, _run_folder(request.config), begin)
    lines = tmp_path / "said.txt"
    lines.write_text(said.everything())
    left = Left(words, visible, files, lines, held, keys, data)
    _assert_search_sees(left)
    _assert_only_where_declared(left)
    _assert_keys_are_declared(left)


async def _heavy_use(stack: Stack, data: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    mail = MailFolder(data / "mail" / "us")
    shared = stack.server.shared
    reset = reset_token_maker(shared.envelope, shared.clock)
    async with open_sender(shared, make_reset_token=reset, consented=consented):
        owner, guest = Somebody(stack, mail), Somebody(stack, mail)
        for person in (owner, guest):
            await person.sign_up()
            await _choose(stack, person)
        team = await _team(stack, owner, guest)
        customer = await _generate(stack, owner, team)
        await owner.turn_on_totp()
        await _mistakes(owner, guest)
        former = await _change_credentials(guest)
        await _by_rest(stack, guest, team)
        await _look_around(stack, owner, team)
    words = {
        f"{who}: {what}": word
        for who, person in (("owner", owner), ("guest", guest))
        for what, word in person.needles().items()
    }
    key = parse_key(customer.secret)
    assert key is not None
    hashed = shared.envelope.keyed_hash
    visible = {
        "public id of the key": key.public_id.encode(),
        "name of the key": LABEL.encode(),
        "program of the owner": owner.agent.encode(),
        "hash of the e-mail": hashed("person.email", owner.email.lower().encode()),
        "hash of the address": hashed("client_address", owner.address.encode()),
    }
    return {**words, **former, "key: secret": key.secret.encode()}, visible


async def _choose(stack: Stack, person: Somebody) -> None:
    consents, visitor = ConsentServiceStub(stack.channel), person.keep("visitor", random_base62(30))
    choices = [Choice(purpose="cookies_analytics", version="2026-11-01", granted=True)]
    await consents.RecordVisitorConsents(
        consent_pb.RecordVisitorConsentsRequest(visitor_id=visitor, choices=choices),
        metadata=person.anonymous,
    )
    await consents.AdoptVisitorConsents(
        consent_pb.AdoptVisitorConsentsRequest(visitor_id=visitor), metadata=person.metadata
    )
    choices = [Choice(purpose="marketing_email", version="2026-11-01", granted=True)]
    request = consent_pb.RecordConsentsRequest(choices=choices)
    stands = await consents.RecordConsents(request, metadata=person.metadata)
    # What was accepted at the sign-up, as a visitor and just now; nothing else.
    agreed = {each.purpose for each in stands.consents if each.granted}
    assert agreed == set(purposes()) - {"product_analytics"}


async def _team(stack: Stack, owner: Somebody, guest: Somebody) -> str:
    teams = TeamServiceStub(stack.channel)
    made = await teams.CreateTeam(
        team_pb.CreateTeamRequest(
            name=f"Friends of {owner.name_word}", slug=f"team-{random_base62(8).lower()}"
        ),
        metadata=owner.metadata,
    )
    team: str = made.account.account_id
    await teams.InviteMember(
        team_pb.InviteMemberRequest(account_id=team, email=guest.email, role="member"),
        metadata=owner.metadata,
    )
    token = guest.keep("invitation", await guest.mail.token(guest.email, "invitations/accept"))
    await teams.GetInvitation(team_pb.GetInvitationRequest(token=token), metadata=guest.anonymous)
    await teams.AcceptInvitation(team_pb.AcceptInvitationRequest(token=token), metadata=guest.metadata)
    # An address that nobody has stays with its invitation.
    stranger = Somebody(stack, owner.mail)
    await teams.InviteMember(
        team_pb.InviteMemberRequest(account_id=team, email=stranger.email, role="member"),
        metadata=owner.metadata,
    )
    await owner.mail.token(stranger.email, "invitations/accept")
    owner.keep("stranger", stranger.email_word)
    return team


async def _generate(stack: Stack, owner: Somebody, team: str) -> Customer:
    worker = await stack.region.connect("babysea_worker")
    assert await worker.fetchval("select ledger.grant_credit($1, 100000000, 'seed')", UUID(team)) == "granted"
    await worker.close()
    made = await KeyServiceStub(stack.channel).CreateKey(
        key_pb.CreateKeyRequest(account_id=team, name=LABEL, preset="full_access"), metadata=owner.metadata
    )
    customer = Customer(stack, UUID(team), made.secret)
    # With the key, from the person's own address.
    metadata = (*owner.anonymous, *customer.metadata)
    for prompt in (f"a portrait of {owner.name}", f"{owner.email} [[moderate]]"):
        request = customer.request(prompt=prompt, idempotency_key=f"{owner.email_word}-{len(prompt)}")
        created = await stack.generations.CreateGeneration(request, metadata=metadata)
        await stack.generations.CreateGeneration(request, metadata=metadata)
        await customer.finished(created.generation.generation_id)
    return customer


async def _mistakes(owner: Somebody, guest: Somebody) -> None:
    sign_in, wrong = owner.identity.SignIn, identity_pb.SignInRequest
    for request in (
        wrong(email=owner.email, password=guest.password),
        wrong(email=guest.name, password=owner.password),
        wrong(email=owner.name, password=owner.email),
    ):
        await refused(lambda request=request: sign_in(request, metadata=owner.anonymous))  # type: ignore[misc]
    # Somebody signs up with an address that has an account, and with what is no address.
    sign_up = owner.identity.SignUp
    await sign_up(owner.sign_up_request(), metadata=owner.anonymous)
    await refused(lambda: sign_up(owner.sign_up_request(email=owner.name), metadata=owner.anonymous))


async def _change_credentials(guest: Somebody) -> dict[str, bytes]:
    """Another password by letter, another e-mail, another name; what was before must not be found either."""
    former = {f"guest, formerly: {what}": word for what, word in guest.needles().items()}
    await guest.identity.RequestPasswordReset(
        identity_pb.RequestPasswordResetRequest(email=guest.email), metadata=guest.anonymous
    )
    token = guest.keep("reset token", await guest.mail.token(guest.email, "reset-password"))
    after = Somebody(guest.stack, guest.mail, address=guest.address)
    await guest.identity.ResetPassword(
        identity_pb.ResetPasswordRequest(token=token, password=after.password), metadata=guest.anonymous
    )
    guest.password = after.password
    done = await guest.identity.SignIn(
        identity_pb.SignInRequest(email=guest.email, password=guest.password), metadata=guest.anonymous
    )
    guest.signed_in(done.signed_in.session_token)
    await guest.identity.RequestEmailChange(
        identity_pb.RequestEmailChangeRequest(email=after.email, password=guest.password),
        metadata=guest.metadata,
    )
    token = guest.keep("change token", await guest.mail.token(after.email, "confirm-email"))
    moved = await guest.identity.ConfirmEmailChange(
        identity_pb.ConfirmEmailChangeRequest(token=token), metadata=guest.metadata
    )
    guest.signed_in(moved.session_token)
    guest.email_word, guest.name_word = after.email_word, after.name_word
    await guest.identity.UpdateProfile(
        identity_pb.UpdateProfileRequest(name=guest.name), metadata=guest.metadata
    )
    return former


async def _by_rest(stack: Stack, guest: Somebody, team: str) -> None:
    """The same through a gateway: bodies, paths, parameters and headers that hold what belongs into none of them."""
    settings = Settings(
        gateway_listen="us=127.0.0.1:0",
        gateway_upstreams=f"us={stack.server.address}",
        gateway_service_tokens=f"us={stack.server.shared.settings.service_token_file}",
        trusted_hops=1,
        drain_seconds=2,
    )
    headers = {"user-agent": guest.agent, "x-forwarded-for": guest.address}
    right = {"email": guest.email, "password": guest.password}
    async with (
        serving(settings) as gateway,
        httpx.AsyncClient(
            base_url=gateway.urls["us"], headers=headers, trust_env=False, timeout=30
        ) as client,
    ):
        done = await client.post("/v1/auth/sign-in", json={**right, "session_transport": "token"})
        assert done.status_code == 200, done.text
        guest.signed_in(done.json()["data"]["session_token"])
        signed_in = {"authorization": f"Bearer {guest.session}"}
        wrong = {**right, "password": guest.name}
        statuses = [
            (await client.post("/v1/auth/sign-in", json=wrong)).status_code,
            (await client.post("/v1/auth/sign-in", json={**right, guest.email: 1})).status_code,
            (await client.post("/v1/auth/sign-in", content=f"{{{guest.password}")).status_code,
            (await client.get(f"/v1/{guest.email}")).status_code,
            (await client.get(f"/v1/accounts/{guest.email}/members", headers=signed_in)).status_code,
        ]
        assert all(400 <= status < 500 for status in statuses), statuses
        for path in ("/v1/me", f"/v1/accounts/{team}/members"):
            parameters = {"limit": "10", "email": guest.email, "name": guest.name, "token": guest.session}
            assert (await client.get(path, headers=signed_in)).status_code == 200, path
            await client.get(path, headers=signed_in, params=parameters)


async def _look_around(stack: Stack, owner: Somebody, team: str) -> None:
    profile = await owner.identity.GetProfile(identity_pb.GetProfileRequest(), metadata=owner.metadata)
    # What is sealed opens for whom it is: the search below would be easy without it.
    assert (profile.profile.name, profile.profile.email.lower()) == (owner.name, owner.email.lower())
    members = await TeamServiceStub(stack.channel).ListMembers(
        team_pb.ListMembersRequest(account_id=team), metadata=owner.metadata
    )
    assert len(members.members) == 2
    await owner.identity.ListSessions(identity_pb.ListSessionsRequest(), metadata=owner.metadata)


async def _dump(valkey: RunningValkey, into: Path) -> dict[str, int]:
    """Writes every key with its value as Valkey itself would; how long each still lives."""
    lives: dict[str, int] = {}
    with into.open("wb") as file:
        async with valkey.client() as client:
            async for key in client.scan_iter():
                lives[key.decode()] = await client.pttl(key)
                file.write(key + b"\n" + (await client.dump(key) or b"") + b"\n")
            file.write(repr(await client.slowlog_get()).encode())
    return lives


async def _journal(database: TestDatabase, word: str) -> str:
    """The journal's file that is written now, after a word of ours was written to it."""
    admin = await asyncpg.connect(database.url())
    try:
        position = await admin.fetchval("select pg_logical_emit_message(true, 'planted', $1)", word)
        return str(await admin.fetchval("select pg_walfile_name($1)", position))
    finally:
        await admin.close()


async def _database_files(database: TestDatabase, run: Path, begin: str) -> list[Path]:
    # The journal's older files are written over by other tests, so it gets a word of its own to be found by.
    end = await _journal(database, PLANTED)
    admin = await asyncpg.connect(database.url())
    try:
        await admin.execute("checkpoint")
        folder = Path(await admin.fetchval("show data_directory"))
        ours = [
            str(await admin.fetchval("select oid from pg_database where datname = $1", name))
            for name in (database.name, database.vault)
        ]
    finally:
        await admin.close()
    # What was written before, and files that wait to be written over, are of other tests, and many.
    files = [
        path for path in _files_of(folder, ours) if path.parent.name != "pg_wal" or begin <= path.name <= end
    ]
    return [*files, run / "pg" / "postgres.log"]


async def _plant(valkey: RunningValkey) -> None:
    """Puts a word where nothing of anybody may be, so that the search shows that it looks there."""
    logging.getLogger("babysea.planted").info(PLANTED)
    async with valkey.client() as client:
        await client.set(f"babysea:limit:{PLANTED}", PLANTED, px=30_000)


def _assert_search_sees(left: Left) -> None:
    """Without this the search could be looking at nothing."""
    seen = {(what, Path(path)) for what, how, path in search(left.database, left.visible) if how == "plain"}
    for what in left.visible:
        assert any(path.parent.parent.name == "base" for name, path in seen if name == what), what
    journal = search(left.database, {"planted": PLANTED.encode()})
    assert any(Path(path).parent.name == "pg_wal" for _, how, path in journal if how == "plain")
    planted = search([left.said, left.valkey], {"planted": PLANTED.encode()})
    assert {Path(path) for _, how, path in planted if how == "plain"} == {left.said, left.valkey}
    # What is readable there is readable in the database alone.
    assert search([left.said, left.valkey], left.visible) == set()
    assert "SignUp" in left.said.read_text()


def _assert_only_where_declared(left: Left) -> None:
    inventory = load_inventory()
    kept = [path for path in left.data.rglob("*") if path.is_file()]
    places = {path: path.relative_to(left.data).parts[0] for path in kept if path.parent != left.data}
    readable = {place.rsplit("/", 1)[-1] for place, each in inventory.folders.items() if each.personal}
    allowed = [path for path, place in places.items() if place in readable]
    forbidden = [path for path in kept if path not in allowed]
    found = search([*left.database, left.said, left.valkey, *forbidden], left.words)
    assert {(what, how, _place(path)) for what, how, path in found} == set()
    # The letters do hold them, so the words are the right ones; but no letter holds a password or a session.
    in_letters = {what.rsplit(": ", 1)[1] for what, _, _ in search(allowed, left.words)}
    assert {"e-mail", "name"} <= in_letters
    secret = ("password", "session", "TOTP", "recovery", "visitor", "address", "secret")
    assert {what for what in in_letters if what.startswith(secret)} == set()


def _assert_keys_are_declared(left: Left) -> None:
    inventory = load_inventory()
    for key, millis in left.keys.items():
        declared = [each for pattern, each in inventory.caches.items() if fnmatch(key, pattern)]
        assert len(declared) == 1, key
        days = inventory.retentions[declared[0].retention].days
        assert days is not None, key
        assert 0 < millis <= days * 86_400_000, key


def _place(path: str) -> str:
    return "/".join(Path(path).parts[-3:])
