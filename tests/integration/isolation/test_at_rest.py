"""At rest: what customers write is in no file of the database, of its log, or of our logs and traces."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from google.protobuf.struct_pb2 import Struct

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.accounts.v1.account_service_pb2_grpc import AccountServiceStub
from babysea.generation.v1 import generation_pb2
from babysea.generation.v1 import generation_service_pb2 as pb
from kit.ids import random_base62, uuid7
from server.keys.creation import create_key
from server.keys.secrets import parse_key
from server.runtime.encryption import MasterKey
from tests.conftest import _run_folder
from tests.integration.isolation.calls import bearer
from tests.integration.isolation.conftest import Said
from tests.integration.isolation.needles import search, spellings
from tests.support.region import MASTER_KEY
from tests.support.stack import Customer, Stack


@dataclass(frozen=True)
class Traces:
    """What was written and what must not be found."""

    customer: Customer
    marker: bytes
    """Part of everything that the customer wrote."""
    secrets: dict[str, bytes]
    public: bytes
    """Written in clear on purpose; a search that misses it finds nothing."""


@pytest.fixture
async def traces(stack: Stack, said: Said) -> Traces:
    """A customer whose every word holds one marker, after every kind of ending that a generation has."""
    # Capital and small letters and digits, and no run that another random text is likely to have.
    marker = "Zq" + random_base62(18)
    customer = await _customer(stack, marker)
    extras = Struct()
    extras.update({"negative_prompt": f"no {marker} please"})
    made = [
        await customer.create(prompt=f"a lighthouse {marker} ü", idempotency_key=f"order-{marker}"),
        await customer.create(model_identifier="qwen/image", prompt=f"{marker} at sea", extras=extras),
        await customer.create(
            model_identifier="bfl/flux-1.1-pro",
            prompt=marker,
            input_file=[f"https://example.com/{marker}.png?sig={marker}"],
        ),
        await customer.create(prompt=f"{marker} [[outage=replicate]]"),
        await customer.create(prompt=f"{marker} [[outage=replicate]] [[outage=fal]]"),
        await customer.create(prompt=f"{marker} [[moderate]]"),
        await customer.create(
            model_identifier="bytedance/seedance-1-pro",
            media=generation_pb2.MEDIA_VIDEO,
            duration=5.0,
            prompt=f"{marker} moves",
            input_file=[f"https://example.com/{marker}/first.png"],
            input_file_last_content=f"https://example.com/{marker}/last.png",
        ),
    ]
    canceled = await customer.create(prompt=f"{marker} slowly [[slow=20000]]")
    await stack.generations.CancelGeneration(
        pb.CancelGenerationRequest(generation_id=canceled.generation.generation_id),
        metadata=customer.metadata,
    )
    assert (
        await customer.create(prompt=f"a lighthouse {marker} ü", idempotency_key=f"order-{marker}")
    ).replayed
    states = {(await customer.finished(each.generation.generation_id)).generation.state for each in made}
    assert states == {generation_pb2.STATE_SUCCEEDED, generation_pb2.STATE_FAILED}
    key = parse_key(customer.secret)
    assert key is not None
    return Traces(
        customer,
        marker.encode(),
        {
            "API key": key.secret.encode(),
            "data key": await _data_key(stack, customer.account_id),
            "master key": base64.b64decode(MASTER_KEY),
            "operator token": stack.operator_token.encode(),
            "service token": stack.service_token.encode(),
        },
        key.public_id.encode(),
    )


async def test_no_file_of_the_database_holds_a_word_of_a_customer_or_a_secret(
    stack: Stack, traces: Traces, request: pytest.FixtureRequest
) -> None:
    admin = await stack.region.connect()
    try:
        await admin.execute("checkpoint")
        data = Path(await admin.fetchval("show data_directory"))
        ours = [
            str(await admin.fetchval("select oid from pg_database where datname = $1", name))
            for name in (stack.region.database.name, stack.region.database.vault)
        ]
    finally:
        await admin.close()
    files = list(_files_of(data, ours))
    assert any(path.parent.name == "pg_wal" for path in files)
    assert {path.parent.name for path in files} >= set(ours)
    log = _run_folder(request.config) / "pg" / "postgres.log"
    assert log.exists()
    found = search([*files, log], {"marker": traces.marker, **traces.secrets, "public id": traces.public})
    # The search sees tables and the journal, or it would miss what stands there on purpose.
    seen = {path for name, how, path in found if (name, how) == ("public id", "plain")}
    assert {Path(path).parent.name for path in seen} >= {ours[0], "pg_wal"}
    assert {(name, how) for name, how, _ in found if name != "public id"} == set()


async def test_no_log_line_and_no_span_holds_a_word_of_a_customer_or_a_secret(
    stack: Stack, traces: Traces, said: Said, tmp_path: Path
) -> None:
    everything = said.everything()
    generations = {
        json.loads(span.to_json())["attributes"].get("babysea.generation_id")
        for span in said.spans.get_finished_spans()
    }
    # The listener heard something: spans of generations and of statements, and the lines of the calls.
    assert len(generations - {None}) >= 8
    assert "generation.admit_many" in everything
    assert "CreateGeneration" in said.lines.getvalue()
    kept = tmp_path / "everything.txt"
    kept.write_text(everything)
    words = {"marker": traces.marker, **traces.secrets, "provider token": b"r8_test"}
    assert search([kept], words) == set()


async def test_equal_requests_of_two_customers_leave_nothing_equal_behind(
    stack: Stack, customer: Customer
) -> None:
    """Otherwise a copy of the database, or the rest of an erased account, says who asked for the same."""
    other = await stack.customer()
    for who in (customer, other):
        await who.create(prompt="a very particular lighthouse", idempotency_key="order-1")
    admin = await stack.region.connect()
    try:
        pair = [customer.account_id, other.account_id]
        requests = await admin.fetch(
            "select request_ct from generation.generation where account_id = any ($1)", pair
        )
        assert len({row["request_ct"] for row in requests}) == 2
        claims = await admin.fetch(
            "select key, fingerprint from generation.claim where account_id = any ($1)", pair
        )
        holds = await admin.fetch("select fingerprint from ledger.hold where account_id = any ($1)", pair)
        assert (len(claims), len(holds)) == (2, 2)
        equal = [
            len({row[0] for row in claims}),
            len({row[1] for row in claims}),
            len({row[0] for row in holds}),
        ]
    finally:
        await admin.close()
    assert equal == [2, 2, 2]


def test_the_search_finds_a_word_in_every_spelling(tmp_path: Path) -> None:
    word = b"Zq4711Marker"
    text = word.decode()
    hidden = {
        "plain": b"x" + word,
        "utf-16": text.encode("utf-16"),
        "base64": base64.b64encode(b'{"prompt": "' + word + b'"}'),
        "base64+1": base64.b64encode(b'{"prompt":  "' + word + b'"}'),
        "base64+2": base64.b64encode(b'{"prompt":   "' + word + b'"}'),
        "hex": (b"<" + word).hex().encode(),
        "lower": text.lower().encode(),
    }
    for name, content in hidden.items():
        (tmp_path / name).write_bytes(b"\0" * 100 + content + b"\0" * 100)
        assert search([tmp_path / name], {"word": word}), name
    (tmp_path / "nothing").write_bytes(b"Zq4711Marke" * 100)
    assert not search([tmp_path / "nothing"], {"word": word})
    assert len(spellings(word)) == 13


async def _customer(stack: Stack, marker: str) -> Customer:
    account_id = uuid7()
    made = await AccountServiceStub(stack.channel).CreateAccount(
        accounts.CreateAccountRequest(
            account_id=str(account_id), name=f"Ms {marker}", email=f"{marker}@example.com", plan="enterprise"
        ),
        metadata=bearer(stack.operator_token),
    )
    assert made.account.name == f"Ms {marker}"
    worker = await stack.region.connect("babysea_worker")
    assert await worker.fetchval("select ledger.grant_credit($1, 100000000, 'seed')", account_id) == "granted"
    await worker.close()
    shared = stack.server.shared
    _, secret = await create_key(
        shared.databases.app,
        shared.hasher,
        shared.clock,
        "us",
        account_id=account_id,
        name="test",
        preset="full_access",
        scopes=[],
        allowlist=[],
        expires_at=None,
    )
    customer = Customer(stack, account_id, secret)
    stub = AccountServiceStub(stack.channel)
    shown = await stub.GetAccount(accounts.GetAccountRequest(), metadata=customer.metadata)
    assert shown.account.email == f"{marker}@example.com"
    return customer


async def _data_key(stack: Stack, account_id: UUID) -> bytes:
    from sqlalchemy import text

    async with stack.region.databases.vault.connect() as vault:
        wrapped = await vault.scalar(
            text("select wrapped from vault.data_key where account_id = :id"), {"id": account_id}
        )
    return MasterKey(MASTER_KEY).unwrap(account_id, bytes(wrapped))


def _files_of(data: Path, databases: list[str]) -> Iterator[Path]:
    """Every file of a cluster but those of other databases, which belong to other tests."""
    for path in data.rglob("*"):
        parts = path.relative_to(data).parts
        foreign = len(parts) > 2 and parts[0] == "base" and parts[1].isdigit() and parts[1] not in databases
        if not foreign and path.is_file():
            yield path
