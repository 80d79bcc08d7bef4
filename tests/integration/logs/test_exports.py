"""Logs as files."""

from __future__ import annotations

import csv
import io
import json

import grpc
import pytest

from babysea.logs.v1 import log_service_pb2 as pb
from kit.rpc import error_of
from server.logs.exporting import REQUESTS, exported
from server.logs.reading import LogReading
from server.logs.store import Place, RequestFilter
from tests.integration.logs.test_reading import write
from tests.integration.logs.test_store_away import fact
from tests.integration.logs.world import Tenant, World

JSON, CSV = pb.EXPORT_FORMAT_JSON, pb.EXPORT_FORMAT_CSV


async def file_of(tenant: Tenant, file_format: pb.ExportFormat.ValueType, kind: str) -> tuple[str, int]:
    """An exported file, and how many pieces it came in."""
    account, metadata, logs = str(tenant.account_id), tenant.by_member, tenant.world.logs
    pieces: list[bytes] = []
    if kind == "requests":
        requests = pb.ExportRequestsRequest(account_id=account, format=file_format)
        pieces = [piece.data async for piece in logs.ExportRequests(requests, metadata=metadata)]
    else:
        activity = pb.ExportActivityRequest(account_id=account, format=file_format)
        pieces = [piece.data async for piece in logs.ExportActivity(activity, metadata=metadata)]
    return b"".join(pieces).decode(), len(pieces)


async def test_a_json_file_has_every_row_over_many_pages(world: World, tenant: Tenant) -> None:
    facts = [fact(tenant.account_id, request_id=f"req_{number}") for number in range(2500)]
    await write(world, facts)
    text, pieces = await file_of(tenant, JSON, "requests")
    rows = json.loads(text)["requests"]
    assert {row["request_id"] for row in rows} >= {f"req_{number}" for number in range(2500)}
    assert pieces == 3
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert set(rows[0]) == set(REQUESTS.columns)


async def test_a_csv_file_has_a_header_and_defuses_formulas(world: World, tenant: Tenant) -> None:
    evil = ['=HYPERLINK("http://x")', "+1", "-1", "@x", "\uff1d1+1", 'quote " and, comma']
    await write(world, [fact(tenant.account_id, user_agent=agent, request_id="r") for agent in evil])
    text, _ = await file_of(tenant, CSV, "requests")
    header, *rows = csv.reader(io.StringIO(text))
    assert tuple(header) == REQUESTS.columns
    agents = {row[header.index("user_agent")] for row in rows if row[header.index("request_id")] == "r"}
    assert agents == {f"'{agent}" for agent in evil[:-1]} | {evil[-1]}


async def test_activity_is_exported_too(tenant: Tenant) -> None:
    text, _ = await file_of(tenant, JSON, "activity")
    entries = json.loads(text)["activity"]
    assert [(entry["category"], entry["action"]) for entry in entries] == [
        ("api_key", "created"),
        ("credit", "granted"),
    ]
    table, _ = await file_of(tenant, CSV, "activity")
    assert len(list(csv.reader(io.StringIO(table)))) == 3


async def test_a_file_that_would_be_too_long_ends_and_says_so(world: World, tenant: Tenant) -> None:
    await write(world, [fact(tenant.account_id) for _ in range(30)])
    shared = world.server.shared
    reading = LogReading(shared.databases.app, "us", shared.clock)

    async def fetch(after: Place | None, size: int):  # type: ignore[no-untyped-def]
        return await reading.requests(tenant.account_id, RequestFilter(), after, size)

    pieces = [piece async for piece in exported(REQUESTS, "json", fetch, most=20)]
    whole = json.loads(b"".join(piece.data for piece in pieces))
    assert (len(whole["requests"]), whole["truncated"], pieces[-1].truncated) == (20, True, True)


async def test_an_empty_log_is_a_file_without_rows(tenant: Tenant) -> None:
    text, pieces = await file_of(tenant, JSON, "requests")
    assert (json.loads(text), pieces) == ({"requests": [], "truncated": False}, 1)


async def test_a_stranger_gets_no_file(world: World, tenant: Tenant) -> None:
    other = await world.tenant()
    request = pb.ExportRequestsRequest(account_id=str(tenant.account_id), format=CSV)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in world.logs.ExportRequests(request, metadata=other.by_member):
            pass
    assert error_of(refused.value).spec.bse_code == "BSE1008"
