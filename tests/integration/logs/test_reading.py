"""What members read of their logs: pages, filters, the use of keys, activity; and what strangers do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from babysea.keys.v1 import key_service_pb2
from babysea.logs.v1 import log_service_pb2 as pb
from babysea.logs.v1 import logs_pb2
from kit.ids import uuid7
from kit.rpc import error_of
from server.logs import store
from server.logs.activity import note_activity
from server.runtime.database import tenant_transaction
from server.runtime.request_facts import RequestFact
from server.runtime.upkeep import Upkeep
from tests.integration.logs.test_store_away import fact
from tests.integration.logs.world import AGENT, Tenant, World


def stamp(at: datetime) -> Timestamp:
    """A moment in protobuf."""
    made = Timestamp()
    made.FromDatetime(at)
    return made


async def write(world: World, facts: list[RequestFact]) -> None:
    """Writes rows as the recorder does."""
    engine = world.server.shared.databases.logger
    assert engine is not None
    await store.write_requests(engine, facts)


async def listed(tenant: Tenant, **asked: object) -> pb.ListRequestsResponse:
    """A page of requests as the owner sees it."""
    request = pb.ListRequestsRequest(account_id=str(tenant.account_id), **asked)  # type: ignore[arg-type]
    return await tenant.world.logs.ListRequests(request, metadata=tenant.by_member)


async def test_a_request_is_shown_with_its_key_and_twelve_characters_of_the_address(tenant: Tenant) -> None:
    answer = await tenant.get("/v1/content/list?limit=3")
    await tenant.rows()
    (row,) = (await listed(tenant, filter=pb.RequestFilter(surface=logs_pb2.SURFACE_REST))).requests
    assert (row.method, row.route, row.query, row.status) == ("GET", "/v1/content/list", "limit=3", 200)
    assert (row.key.key_id, row.key.name, row.key.status) == (str(tenant.key_id), "a key", "active")
    assert tenant.secret.startswith(row.key.prefix)
    assert row.key.prefix.startswith("bye_us_")
    assert row.address_hash == tenant.world.server.shared.address_hash("127.0.0.1")
    assert len(row.address_hash) == 12
    assert (row.user_agent, row.request_id) == (AGENT, answer.json()["request_id"])


async def test_pages_follow_each_other_without_gap_or_repeat_even_where_times_are_equal(
    world: World, tenant: Tenant
) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    moments = [now - timedelta(seconds=second // 3) for second in range(25)]
    await write(world, [fact(tenant.account_id, at=at, ended_at=at) for at in moments])
    seen: list[str] = []
    token = ""
    window = pb.RequestFilter(to=stamp(now + timedelta(seconds=1)))
    while True:
        page = await listed(tenant, page_size=4, page_token=token, filter=window)
        seen += [row.log_id for row in page.requests]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 25
    whole = await listed(tenant, page_size=9999, filter=window)
    assert [row.log_id for row in whole.requests] == seen
    assert whole.next_page_token == ""


async def test_a_page_has_500_requests_at_most(world: World, tenant: Tenant) -> None:
    await write(world, [fact(tenant.account_id) for _ in range(501)])
    page = await listed(tenant, page_size=100_000)
    assert len(page.requests) == 500
    assert page.next_page_token


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, {"a", "b", "c", "d"}),
        ({"status_class": 4}, {"b"}),
        ({"status_class": 5}, {"c"}),
        ({"status_class": 2}, {"a", "d"}),
        ({"error_code": "BSE2001"}, {"b"}),
        ({"route": "/v1/content/list"}, {"b"}),
        ({"method": "POST"}, {"c"}),
        ({"surface": logs_pb2.SURFACE_GRPC}, {"d"}),
        ({"key_id": "00000000-0000-7000-8000-000000000001"}, {"a"}),
        ({"route": "/v1/nothing"}, set()),
    ],
)
async def test_filters(world: World, tenant: Tenant, wanted: dict[str, object], found: set[str]) -> None:
    account = tenant.account_id
    connection = await world.region.connect()
    try:
        await connection.execute(
            "insert into keys.api_key (id, account_id, public_id, hash, name, scopes)"
            " values ('00000000-0000-7000-8000-000000000001', $1, $2, 'x', 'n', '{}')"
            " on conflict (id) do update set account_id = excluded.account_id",
            account,
            account.hex[-12:],
        )
    finally:
        await connection.close()
    key = UUID("00000000-0000-7000-8000-000000000001")
    await write(
        world,
        [
            fact(account, request_id="a", key_id=key, person_id=None),
            fact(account, request_id="b", status=400, bse_code="BSE2001", route="/v1/content/list"),
            fact(account, request_id="c", status=503, bse_code="BSE5002", method="POST"),
            fact(
                account,
                request_id="d",
                surface="grpc",
                method="CALL",
                route="babysea.keys.v1.KeyService/ListKeys",
            ),
        ],
    )
    page = await listed(tenant, filter=pb.RequestFilter(**wanted))  # type: ignore[arg-type]
    assert {row.request_id for row in page.requests} == found


async def test_a_window_of_time_has_its_beginning_and_not_its_end(world: World, tenant: Tenant) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    moments = [noon - timedelta(seconds=1), noon, noon + timedelta(seconds=1)]
    await write(
        world, [fact(tenant.account_id, at=at, ended_at=at, request_id=at.isoformat()) for at in moments]
    )
    window = {"from": stamp(noon), "to": stamp(noon + timedelta(seconds=1))}
    page = await listed(tenant, filter=pb.RequestFilter(**window))  # type: ignore[arg-type]
    assert [row.request_id for row in page.requests] == [noon.isoformat()]


async def test_another_tenants_member_sees_nothing_and_a_stranger_no_account(
    world: World, tenant: Tenant
) -> None:
    other = await world.tenant()
    await tenant.get("/v1/status")
    await tenant.rows()
    assert all(not row.HasField("key") for row in (await listed(other)).requests)
    request = pb.ListRequestsRequest(account_id=str(tenant.account_id))
    for metadata, code in ((other.by_member, "BSE1008"), (tenant.by_key, "BSE1001"), ((), "BSE1001")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await world.logs.ListRequests(request, metadata=metadata)
        assert error_of(refused.value).spec.bse_code in {code, "BSE1003"}


async def test_a_page_token_of_another_list_is_refused(tenant: Tenant) -> None:
    for token in ("x", "YWJj", "YXxi"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await listed(tenant, page_token=token)
        error = error_of(refused.value)
        assert (error.spec.bse_code, error.details["field"]) == ("BSE2001", "page_token")


async def test_the_use_of_keys_is_counted_by_day_and_outlives_the_key(world: World, tenant: Tenant) -> None:
    second, _ = await world.new_key(tenant.account_id)
    now = datetime.now(UTC)
    days = [now - timedelta(days=2), now, now]
    facts = [fact(tenant.account_id, key_id=tenant.key_id, person_id=None, at=at, ended_at=at) for at in days]
    refused = fact(tenant.account_id, key_id=second, person_id=None, status=403, bse_code="BSE1003")
    await write(world, [*facts, refused])
    await world.keys.DeleteKey(
        key_service_pb2.DeleteKeyRequest(account_id=str(tenant.account_id), key_id=str(second)),
        metadata=tenant.by_member,
    )
    request = pb.ListKeyUsageRequest(account_id=str(tenant.account_id), days=2)
    answer = await world.logs.ListKeyUsage(request, metadata=tenant.by_member)
    assert answer.days == 2
    first, gone = answer.keys
    assert (first.key.key_id, first.requests, first.errors, len(first.days)) == (str(tenant.key_id), 2, 0, 1)
    assert (gone.key.key_id, gone.key.status, gone.key.prefix) == (str(second), "deleted", "")
    assert (gone.requests, gone.errors) == (1, 1)


async def test_deleting_a_key_deletes_its_rows_at_once_and_a_late_row_of_it_only_counts(
    world: World, tenant: Tenant
) -> None:
    doomed, _ = await world.new_key(tenant.account_id)
    rows = [fact(tenant.account_id, key_id=doomed, person_id=None) for _ in range(5)]
    kept = fact(tenant.account_id, key_id=tenant.key_id, person_id=None)
    await write(world, [*rows[:4], kept])
    await world.keys.DeleteKey(
        key_service_pb2.DeleteKeyRequest(account_id=str(tenant.account_id), key_id=str(doomed)),
        metadata=tenant.by_member,
    )
    await write(world, [rows[4]])
    left = await world.fetch(
        "select key_id from logs.request where key_id = any ($1)", [doomed, tenant.key_id]
    )
    assert [row["key_id"] for row in left] == [tenant.key_id]
    (counted,) = await world.fetch("select requests from logs.key_daily where key_id = $1", doomed)
    assert counted["requests"] == 5


async def test_what_a_busy_deleted_key_left_is_shown_to_nobody_and_removed_by_upkeep(
    world: World, tenant: Tenant
) -> None:
    doomed, _ = await world.new_key(tenant.account_id)
    await write(world, [fact(tenant.account_id, key_id=doomed, person_id=None)])
    await world.fetch(
        "insert into logs.request select uuidv7(), account_id, key_id, person_id, at - i * interval '1 ms', ended_at, surface, method,"
        " route, query, status, bse_code, millis, replayed, address_hash, user_agent, request_id"
        " from logs.request, generate_series(1, 25000) i where key_id = $1 returning 1",
        doomed,
    )
    await world.keys.DeleteKey(
        key_service_pb2.DeleteKeyRequest(account_id=str(tenant.account_id), key_id=str(doomed)),
        metadata=tenant.by_member,
    )
    count = "select count(*) from logs.request where key_id = $1"
    assert (await world.fetch(count, doomed))[0][0] == 5001
    assert not [row for row in (await listed(tenant)).requests if row.key.key_id == str(doomed)]
    await Upkeep(world.region.databases.worker).once()
    assert (await world.fetch(count, doomed))[0][0] == 0


async def activity_of(tenant: Tenant, **wanted: object) -> list[logs_pb2.ActivityEntry]:
    """The account's activity as its owner sees it."""
    request = pb.ListActivityRequest(
        account_id=str(tenant.account_id),
        filter=pb.ActivityFilter(**wanted),  # type: ignore[arg-type]
        page_size=200,
    )
    return list((await tenant.world.logs.ListActivity(request, metadata=tenant.by_member)).entries)


async def test_the_life_of_a_key_is_activity_with_its_actor(world: World, tenant: Tenant) -> None:
    account = str(tenant.account_id)
    made = await world.keys.CreateKey(
        key_service_pb2.CreateKeyRequest(account_id=account, name="secret name", preset="read_only"),
        metadata=tenant.by_member,
    )
    rotated = await world.keys.RotateKey(
        key_service_pb2.RotateKeyRequest(account_id=account, key_id=made.key.key_id, grace_hours=3),
        metadata=tenant.by_member,
    )
    revoke = key_service_pb2.RevokeKeyRequest(account_id=account, key_id=rotated.key.key_id)
    by_operator = (("authorization", f"Bearer {world.operator_token}"),)
    for _ in range(2):
        await world.keys.RevokeKey(revoke, metadata=by_operator)
    await world.keys.DeleteKey(
        key_service_pb2.DeleteKeyRequest(account_id=account, key_id=rotated.key.key_id),
        metadata=tenant.by_member,
    )
    entries = (await activity_of(tenant, category="api_key"))[:4]
    assert [entry.action for entry in entries] == ["deleted", "revoked", "rotated", "created"]
    me = str(tenant.person_id)
    assert [entry.actor_id for entry in entries] == [me, "", me, me]
    assert [entry.target_id for entry in entries][2:] == [made.key.key_id, made.key.key_id]
    assert entries[2].description == "An API key was rotated; the old one works for 3 more hours at most."
    assert "secret name" not in str(entries)


async def test_generations_and_credits_stand_in_the_activity(world: World, tenant: Tenant) -> None:
    body = {"generation_prompt": "a lighthouse"}
    answer = await world.rest.post("/v1/generate/image/bfl/flux-schnell", json=body, headers=tenant.program)
    generation_id = answer.json()["data"]["generation_id"]
    await world.rest.post(f"/v1/content/generation/cancel/{generation_id}", headers=tenant.program)
    shown = [(entry.category, entry.action) for entry in await activity_of(tenant)]
    assert shown == [
        ("generation", "canceled"),
        ("generation", "created"),
        ("api_key", "created"),
        ("credit", "granted"),
    ]
    created = (await activity_of(tenant, category="generation"))[1]
    assert created.target_id == generation_id
    assert created.description.startswith("A generation with bfl/flux-schnell was accepted;")
    assert [entry.action for entry in await activity_of(tenant, category="credit")] == ["granted"]
    assert {entry.actor_id for entry in await activity_of(tenant, actor="system")} == {""}
    assert await activity_of(tenant, actor=str(uuid7())) == []


async def test_pages_of_activity_join_notes_and_events_without_gap_or_repeat(
    world: World, tenant: Tenant
) -> None:
    engine = world.server.shared.databases.app
    for number in range(6):
        async with tenant_transaction(engine, tenant.account_id) as connection:
            await note_activity(
                connection,
                account_id=tenant.account_id,
                actor=tenant.person_id,
                category="account",
                action="renamed",
                details={"number": number},
            )
        body = {"generation_prompt": "a lighthouse"}
        await world.rest.post("/v1/generate/image/bfl/flux-schnell", json=body, headers=tenant.program)
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListActivityRequest(account_id=str(tenant.account_id), page_size=3, page_token=token)
        page = await world.logs.ListActivity(request, metadata=tenant.by_member)
        seen += [entry.event_id for entry in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 14
    assert seen == [entry.event_id for entry in await activity_of(tenant)]
    mine = await activity_of(tenant, actor=str(tenant.person_id))
    assert [entry.details["number"] for entry in mine] == ["5", "4", "3", "2", "1", "0"]
    other = await world.tenant()
    assert str(tenant.person_id) not in str(await activity_of(other))


async def test_an_activity_that_was_rolled_back_never_happened_and_none_is_of_another_account(
    world: World, tenant: Tenant
) -> None:
    other = await world.tenant()

    async def renamed(acting: UUID, *, fails: bool) -> None:
        async with tenant_transaction(world.server.shared.databases.app, acting) as connection:
            await note_activity(
                connection, account_id=tenant.account_id, actor=None, category="account", action="renamed"
            )
            if fails:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        await renamed(tenant.account_id, fails=True)
    with pytest.raises(Exception, match="activity of another account"):
        await renamed(other.account_id, fails=False)
    assert await activity_of(tenant, category="account") == []
