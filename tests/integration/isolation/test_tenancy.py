"""Tenants over gRPC: another's thing and a thing that never was give one and the same answer, to the byte."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import grpc
import pytest

from babysea.common.v1 import paging_pb2
from babysea.generation.v1 import generation_service_pb2 as pb
from kit.ids import uuid7
from kit.rpc import DATABASE_MILLIS
from server.generation.file_urls import FileSigner
from server.runtime.encryption import MasterKey
from tests.integration.isolation.calls import rpc, service
from tests.support.region import MASTER_KEY
from tests.support.stack import Customer, Stack

GET = rpc("generation.v1.GenerationService/GetGeneration")
CANCEL = rpc("generation.v1.GenerationService/CancelGeneration")
READ = rpc("generation.v1.FileService/ReadFile")


async def test_anothers_generation_is_as_absent_as_one_that_never_was(
    stack: Stack, customer: Customer
) -> None:
    other = await stack.customer()
    done = (await other.create()).generation.generation_id
    await other.finished(done)
    running = (await other.create(prompt="slowly [[slow=20000]]")).generation.generation_id
    for method, message in ((GET, pb.GetGenerationRequest), (CANCEL, pb.CancelGenerationRequest)):
        statuses = [
            await method.call(stack, customer.metadata, message(generation_id=each))
            for each in (done, running, str(uuid7()), "00000000-0000-0000-0000-000000000000", done.upper())
        ]
        assert statuses[0].code is grpc.StatusCode.NOT_FOUND
        assert statuses[0].reason == "GENERATION_NOT_FOUND"
        assert len(set(statuses)) == 1, method.path
    # Nothing happened to them.
    assert (await other.get(running)).generation.state in {1, 2}
    assert (
        await CANCEL.call(stack, other.metadata, pb.CancelGenerationRequest(generation_id=running))
    ).reason == ""
    assert await stack.region.audit() == []


async def test_canceling_anothers_generation_waits_for_nothing_of_theirs(
    stack: Stack, customer: Customer
) -> None:
    theirs = (await (await stack.customer()).create(prompt="slowly [[slow=20000]]")).generation.generation_id
    admin = await stack.region.connect()
    try:
        async with admin.transaction():
            # As while a worker of theirs settles.
            await admin.execute("select 1 from runtime.job where id = $1 for update", UUID(theirs))
            foreign, random = [
                await CANCEL.call(stack, customer.metadata, pb.CancelGenerationRequest(generation_id=each))
                for each in (theirs, str(uuid7()))
            ]
        assert foreign == random
    finally:
        await admin.close()


async def test_a_customers_lists_show_its_own_generations_only(stack: Stack, customer: Customer) -> None:
    other = await stack.customer()
    mine = {(await customer.create()).generation.generation_id for _ in range(3)}
    theirs = {(await other.create()).generation.generation_id for _ in range(3)}
    listing = stack.generations.ListGenerations
    token = ""
    for who, own in ((customer, mine), (other, theirs)):
        page = await listing(pb.ListGenerationsRequest(), metadata=who.metadata)
        assert {each.generation_id for each in page.generations} == own
        assert {each.account_id for each in page.generations} == {str(who.account_id)}
        assert page.page.total == 3
        first = await listing(
            pb.ListGenerationsRequest(page=paging_pb2.PageRequest(page_size=1)), metadata=who.metadata
        )
        token = first.page.next_page_token
    # A page token of another's list continues in one's own.
    foreign = await listing(
        pb.ListGenerationsRequest(page=paging_pb2.PageRequest(page_token=token)), metadata=customer.metadata
    )
    assert {each.account_id for each in foreign.generations} <= {str(customer.account_id)}


async def test_a_forged_page_token_is_an_invalid_value_and_never_a_fault(
    stack: Stack, customer: Customer
) -> None:
    listing = rpc("generation.v1.GenerationService/ListGenerations")
    for key in ("x|y", "2026-01-01|x", "|", "2026-01-01T00:00:00+00:00|' or true", "\0|\0", "a|b|c", "ü|ü"):
        token = base64.urlsafe_b64encode(key.encode()).decode()
        request = pb.ListGenerationsRequest(page=paging_pb2.PageRequest(page_token=token))
        assert (await listing.call(stack, customer.metadata, request)).reason == "INVALID_INPUT", key


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_forged_page_token_with_an_impossible_date_is_an_invalid_value(
    stack: Stack, customer: Customer, moment: str
) -> None:
    token = base64.urlsafe_b64encode(f"{moment}|{uuid7()}".encode()).decode()
    request = pb.ListGenerationsRequest(page=paging_pb2.PageRequest(page_token=token))
    status = await rpc("generation.v1.GenerationService/ListGenerations").call(
        stack, customer.metadata, request
    )
    assert status.reason == "INVALID_INPUT"


async def test_one_idempotency_key_of_two_customers_makes_two_generations(
    stack: Stack, customer: Customer
) -> None:
    other = await stack.customer()
    made = [await who.create(idempotency_key="the-same", request_id=REQUEST_ID) for who in (customer, other)]
    assert [answer.replayed for answer in made] == [False, False]
    assert made[0].generation.generation_id != made[1].generation.generation_id
    assert [answer.generation.account_id for answer in made] == [
        str(customer.account_id),
        str(other.account_id),
    ]


async def test_the_ledger_answers_an_account_without_journal_like_one_that_never_was(stack: Stack) -> None:
    from babysea.ledger.v1 import ledger_service_pb2 as ledger

    method = rpc("ledger.v1.LedgerService/GetBalance")
    metadata = service(stack)
    nobody = await method.call(stack, metadata, ledger.GetBalanceRequest(account_id=str(uuid7())))
    assert nobody.reason == "ACCOUNT_NOT_FOUND"


async def test_every_wrong_file_url_gives_the_same_not_found(stack: Stack, customer: Customer) -> None:
    other = await stack.customer()
    mine, theirs = [await _file(who) for who in (customer, other)]
    metadata = service(stack)
    assert (await READ.call(stack, metadata, mine)).reason == ""
    assert (await READ.call(stack, metadata, theirs)).reason == ""
    statuses = {name: await READ.call(stack, metadata, request) for name, request in _wrong(mine, theirs)}
    assert {status.code for status in statuses.values()} == {grpc.StatusCode.NOT_FOUND}
    assert len(set(statuses.values())) == 1, statuses
    # Nor do the refused calls say, by the time in the database, which of them had a right signature.
    assert all(b"sha256" not in status.rich for status in statuses.values())


async def test_a_removed_file_is_as_absent_as_one_that_never_was(stack: Stack, customer: Customer) -> None:
    request = await _file(customer)
    metadata = service(stack)
    admin = await stack.region.connect()
    await admin.execute(
        "update generation.generation set removed_at = now() where account_id = $1", customer.account_id
    )
    await admin.close()
    removed = await READ.call(stack, metadata, request)
    absent = await READ.call(stack, metadata, _signed(uuid7(), 1))
    assert removed == absent
    assert removed.reason == "NOT_FOUND"


async def test_a_file_is_read_by_the_gateway_alone_however_good_the_url(
    stack: Stack, customer: Customer
) -> None:
    request = await _file(customer)
    nobody = await READ.call(stack, (), request)
    assert (nobody.code, nobody.reason) == (grpc.StatusCode.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED")
    owner = await READ.call(stack, customer.metadata, request)
    assert (owner.code, owner.reason) == (grpc.StatusCode.PERMISSION_DENIED, "INSUFFICIENT_PERMISSIONS")


async def test_a_refusal_of_another_tenants_id_tells_nothing_beside_its_status(
    stack: Stack, customer: Customer
) -> None:
    theirs = (await (await stack.customer()).create()).generation.generation_id
    keys: list[set[str]] = []
    for each in (theirs, str(uuid7())):
        try:
            await stack.generations.GetGeneration(
                pb.GetGenerationRequest(generation_id=each), metadata=customer.metadata
            )
        except grpc.aio.AioRpcError as failed:
            keys.append({key for key, _ in failed.trailing_metadata() or ()})
    assert keys[0] == keys[1]
    assert DATABASE_MILLIS in keys[0]


REQUEST_ID = str(uuid7())


async def _file(customer: Customer) -> pb.ReadFileRequest:
    """A new file of a customer, by its URL."""
    record = await customer.finished((await customer.create()).generation.generation_id)
    return _request(record.generation.outputs[0].url)


def _request(url: str) -> pb.ReadFileRequest:
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return pb.ReadFileRequest(
        file_token=parts.path.rsplit("/", 1)[1],
        expires=int(query["expires"][0]),
        signature=query["signature"][0],
    )


def _signed(generation_id: UUID, ordinal: int, *, hours: int = 1) -> pb.ReadFileRequest:
    """A URL that the region itself would sign."""
    signer = FileSigner(MasterKey(MASTER_KEY), "http://127.0.0.1")
    return _request(signer.url(generation_id, ordinal, datetime.now(UTC) + timedelta(hours=hours)))


def _wrong(mine: pb.ReadFileRequest, theirs: pb.ReadFileRequest) -> Iterable[tuple[str, pb.ReadFileRequest]]:
    def changed(**fields: object) -> pb.ReadFileRequest:
        request = pb.ReadFileRequest()
        request.CopyFrom(mine)
        for name, value in fields.items():
            setattr(request, name, value)
        return request

    place = base64.urlsafe_b64decode(mine.file_token)
    generation = UUID(bytes=place[:16])
    first = "B" if mine.file_token[0] == "A" else "A"
    yield "another's signature", changed(signature=theirs.signature)
    yield "another's token", changed(file_token=theirs.file_token)
    yield "altered token", changed(file_token=first + mine.file_token[1:])
    yield "padded token", changed(file_token=mine.file_token + "==")
    yield "longer token", changed(file_token=mine.file_token + "AAAA")
    yield "later expiry", changed(expires=mine.expires + 1)
    yield "no expiry", changed(expires=0)
    yield "negative expiry", changed(expires=-1)
    yield "endless expiry", changed(expires=2**63 - 1)
    yield (
        "altered signature",
        changed(signature=mine.signature[:-1] + ("A" if mine.signature[-1] != "A" else "B")),
    )
    yield "cut signature", changed(signature=mine.signature[:-1])
    yield "padded signature", changed(signature=mine.signature + "=")
    yield "no ASCII", changed(signature="ü" * 43)
    yield "path", changed(file_token="../../secrets/master_key")
    yield "expired", _signed(generation, 1, hours=-1)
    yield "another ordinal", _signed(generation, 2)
    yield "ordinal 0", _signed(generation, 0)
    yield "unknown generation", _signed(uuid7(), 1)
