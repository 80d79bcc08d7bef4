"""Failures say nothing: neither the answer nor the log holds a prompt, a key, a password or the text of an exception."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from pydantic import SecretStr

from babysea.generation.v1 import generation_pb2
from babysea.generation.v1 import generation_service_pb2 as pb
from kit.errors import spec_of
from kit.ids import random_base62, uuid7
from server.keys.secrets import new_key
from server.runtime.database_errors import safe_error
from server.runtime.errors import StartError
from server.runtime.lifecycle import serve
from tests.integration.isolation.calls import Status, bearer, rpc, rpcs, service
from tests.integration.isolation.conftest import Said
from tests.support.postgres import ROLE_PASSWORD, TestCluster, TestDatabase, new_database
from tests.support.region import MASTER_KEY, settings_for
from tests.support.stack import Customer, Stack, running_stack

CREATE = rpc("generation.v1.GenerationService/CreateGeneration")
GET = rpc("generation.v1.GenerationService/GetGeneration")
LIST = rpc("generation.v1.GenerationService/ListGenerations")
# What the text of an exception, a URL or a statement would hold.
INNARDS = (
    "postgres",
    "asyncpg",
    "sqlalchemy",
    "127.0.0.1",
    "select ",
    "_many",
    "relation",
    "Traceback",
    "Error:",
    ".py",
    "babysea_",
)


def assert_says_nothing(status: Status, *words: str) -> None:
    """A status holds none of the words and nothing of our insides."""
    said = (status.details + status.rich.decode("latin-1")).lower()
    for word in (*INNARDS, ROLE_PASSWORD, *words):
        assert word.lower() not in said, (word, status)


def assert_kept(said: Said, customer: Customer, *words: str) -> None:
    """No log line and no span holds a word, a key or a token."""
    everything = said.everything()
    stack = customer.stack
    for word in (
        *words,
        customer.secret,
        customer.secret[20:52],
        stack.service_token,
        stack.operator_token,
        ROLE_PASSWORD,
        MASTER_KEY,
    ):
        assert word not in everything, word


@pytest.fixture
def marker() -> str:
    """A word that stands for what a customer wrote."""
    return "Zq" + random_base62(18)


@pytest.fixture
def doomed(cluster: TestCluster) -> TestDatabase:
    """A database for one test, which breaks it."""
    return new_database(cluster)


@pytest.fixture
async def broken(doomed: TestDatabase, sandbox_url: str, tmp_path: Path, said: Said) -> AsyncIterator[Stack]:
    """A running region whose database nobody else needs."""
    async with running_stack(doomed, sandbox_url, tmp_path) as stack:
        yield stack


async def test_a_statement_that_fails_is_an_internal_error_without_a_word_more(
    broken: Stack, said: Said, marker: str
) -> None:
    customer = await broken.customer()
    await customer.create(prompt=marker)
    admin = await broken.region.connect()
    await admin.execute("alter table generation.generation rename column request_ct to request_gone")
    await admin.execute("alter function generation.admit_many rename to admit_gone")
    await admin.close()
    statuses = [
        await CREATE.call(broken, customer.metadata, customer.request(prompt=marker, idempotency_key=marker)),
        await GET.call(broken, customer.metadata, pb.GetGenerationRequest(generation_id=str(uuid7()))),
        await LIST.call(broken, customer.metadata),
    ]
    for status in statuses:
        assert (status.code, status.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
        assert_says_nothing(status, marker)
    assert len({(status.details, status.rich) for status in statuses}) == 1
    # The log names the exception's type and place; that its text is absent is checked below.
    assert said.lines.getvalue().count('"exception": "ProgrammingError"') >= 2
    assert_kept(said, customer, marker)


async def test_a_database_that_is_gone_makes_every_method_unavailable_without_a_word_more(
    broken: Stack, said: Said, marker: str
) -> None:
    customer = await broken.customer()
    await customer.create(prompt=marker)
    admin = await asyncpg.connect(broken.region.database.cluster.url("postgres"))
    for name in (broken.region.database.name, broken.region.database.vault):
        await admin.execute(f"drop database {name} with (force)")
    await admin.close()
    everyone = (*customer.metadata, *service(broken))
    seen = set()
    for method in rpcs(broken):
        for metadata in (everyone, bearer(broken.operator_token), bearer(new_key("us").whole())):
            status = await method.call(broken, metadata)
            seen.add(status.reason)
            assert_says_nothing(status, broken.region.database.name, customer.secret, marker)
            assert status.reason != "AUTHENTICATION_FAILED", method.path
    assert "SERVICE_UNAVAILABLE" in seen
    status = await CREATE.call(broken, everyone, customer.request(prompt=marker))
    assert_says_nothing(status, broken.region.database.name, marker)
    assert_kept(said, customer, marker)


async def test_a_bad_request_is_answered_by_naming_the_field_and_logged_without_its_value(
    stack: Stack, customer: Customer, said: Said, marker: str
) -> None:
    extras = Struct()
    extras.update({"seed": marker})
    unknown = Struct()
    unknown.update({"mystery": {"deep": [marker]}})
    for request in (
        customer.request(prompt=marker * 2000),
        customer.request(prompt=marker, ratio=marker[:20]),
        customer.request(prompt=marker, extras=extras),
        customer.request(prompt=marker, extras=unknown),
        customer.request(prompt=marker, output_number=99),
        customer.request(prompt=marker, idempotency_key=f"{marker} with spaces"),
        customer.request(prompt=marker, provider_order=marker),
        customer.request(prompt=marker, request_id=marker),
        customer.request(prompt=f"{marker}\0"),
        customer.request(prompt=marker, model_identifier=f"bfl/{marker}"),
        customer.request(prompt=marker, media=generation_pb2.MEDIA_VIDEO),
        customer.request(
            model_identifier="bfl/flux-1.1-pro", prompt="x", input_file=[f"http://127.0.0.1/{marker}"]
        ),
        customer.request(
            model_identifier="bfl/flux-1.1-pro", prompt="x", input_file=[f"https://u:{marker}@example.com/x"]
        ),
    ):
        status = await CREATE.call(stack, customer.metadata, request)
        assert status.code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}, (request, status)
        assert_says_nothing(Status(status.code, status.details.replace("http://", ""), b"", ""), marker * 2)
    assert_kept(said, customer, marker)


async def test_wrong_keys_and_tokens_are_logged_by_nobody(
    stack: Stack, customer: Customer, said: Said
) -> None:
    who = rpc("keys.v1.KeyService/GetCallerKey")
    wrong = [
        new_key("us").whole(),
        new_key("eu").whole(),
        customer.secret[:-1],
        f"op_{random_base62(43)}",
        "garbage" * 20,
    ]
    for credential in wrong:
        status = await who.call(stack, bearer(credential))
        assert status.reason == "AUTHENTICATION_FAILED"
        assert_says_nothing(status, credential)
    assert (await rpc("keys.v1.KeyService/AuthenticateKey").call(stack, service(stack))).reason
    assert_kept(said, customer, *wrong, *(credential[20:52] for credential in wrong))


async def test_a_providers_failure_is_told_in_our_own_words(
    stack: Stack, customer: Customer, said: Said, marker: str
) -> None:
    for knob in ("[[moderate]]", "[[outage=replicate]] [[outage=fal]]"):
        made = await customer.create(prompt=f"{marker} {knob}")
        record = await customer.finished(made.generation.generation_id)
        told = [
            record.generation.error_message,
            *(error.message for error in record.generation.provider_errors),
        ]
        told += [attempt.error.message for attempt in record.attempts]
        for message in told:
            for word in (marker, "r8_test", "test:key", "http", "127.0.0.1"):
                assert word not in message
    assert_kept(said, customer, marker, "r8_test", "test:key")


async def test_a_swapped_ciphertext_is_shown_to_nobody(
    stack: Stack, customer: Customer, said: Said, marker: str
) -> None:
    other = await stack.customer()
    mine = [
        UUID((await customer.create(prompt=f"{marker} {n} [[slow=20000]]")).generation.generation_id)
        for n in (1, 2)
    ]
    theirs = UUID((await other.create(prompt=f"{marker} theirs [[slow=20000]]")).generation.generation_id)
    admin = await stack.region.connect()
    take = "update generation.generation set request_ct = (select request_ct from generation.generation where id = $2) where id = $1"
    for source in (mine[1], theirs):
        await admin.execute(take, mine[0], source)
        status = await GET.call(stack, customer.metadata, pb.GetGenerationRequest(generation_id=str(mine[0])))
        assert (status.code, status.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
        assert_says_nothing(status, marker)
    await admin.close()
    assert_kept(said, customer, marker)


async def test_an_erased_account_reads_nothing_and_hears_nothing_of_the_reason(
    stack: Stack, customer: Customer, said: Said, marker: str
) -> None:
    made = (await customer.create(prompt=marker)).generation.generation_id
    await customer.finished(made)
    await stack.server.shared.envelope.destroy_data_key(customer.account_id)
    for method, request in ((GET, pb.GetGenerationRequest(generation_id=made)), (LIST, None)):
        status = await method.call(stack, customer.metadata, request)
        assert status.code is not grpc.StatusCode.OK
        assert_says_nothing(status, marker, "destroyed", "data key", "vault")
    posted, held = await customer.balance()
    status = await CREATE.call(stack, customer.metadata, customer.request(prompt=marker))
    assert status.code is not grpc.StatusCode.OK
    assert (posted, held) == await customer.balance()
    assert_kept(said, customer, marker)


async def test_the_hold_of_a_generation_that_can_no_longer_be_read_is_released(
    stack: Stack, customer: Customer
) -> None:
    made = (await customer.create(prompt="slowly [[slow=20000]]")).generation.generation_id
    await stack.server.shared.envelope.destroy_data_key(customer.account_id)
    admin = await stack.region.connect()
    try:
        await admin.execute("update generation.generation set deadline_at = now() where id = $1", UUID(made))
        async with asyncio.timeout(3):
            while (await customer.balance())[1]:
                await asyncio.sleep(0.1)
    finally:
        await admin.execute("delete from runtime.job where id = $1", UUID(made))
        await admin.close()


async def test_no_span_records_the_text_of_an_exception(broken: Stack, said: Said) -> None:
    customer = await broken.customer()
    admin = await broken.region.connect()
    await admin.execute("alter function generation.admit_many rename to admit_gone")
    await admin.close()
    assert (await CREATE.call(broken, customer.metadata, customer.request())).reason == "INTERNAL_ERROR"
    spans = said.spans.get_finished_spans()
    assert any(span.name == "admission" for span in spans)
    codes = {None, *grpc.StatusCode.__members__}
    told = [(span.name, event.attributes) for span in spans for event in span.events]
    told += [
        (span.name, {"status": span.status.description})
        for span in spans
        if span.status.description not in codes
    ]
    assert told == []


async def test_an_exception_that_nobody_looked_at_is_logged_without_its_text(said: Said, marker: str) -> None:
    async def fails() -> None:
        raise RuntimeError(f"parameters: {marker}")

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert "never retrieved" in said.lines.getvalue()
    assert marker not in said.lines.getvalue()


async def test_a_database_error_does_not_quote_its_parameters(stack: Stack) -> None:
    from sqlalchemy import text

    for engine in (
        stack.region.databases.app,
        stack.region.databases.worker,
        stack.region.databases.admitter,
    ):
        with pytest.raises(Exception, match="relation") as failed:
            async with engine.connect() as connection:
                await connection.execute(
                    text("select * from nowhere where x = :value"), {"value": "Zq-the-value"}
                )
        assert "Zq-the-value" not in str(failed.value)
        assert spec_of(safe_error(failed.value).reason).bse_code


async def test_a_server_that_cannot_start_names_the_setting_and_no_secret(
    database: TestDatabase, said: Said
) -> None:
    good = settings_for(database)
    password, port = "Zq-pass-word", database.cluster.port
    for name in ("database_url", "admitter_database_url", "worker_database_url", "vault_database_url"):
        for url in (
            f"postgresql://babysea_app:{password}@127.0.0.1:{port}/{database.name}",
            f"postgresql://babysea_app:{password}@127.0.0.1:1/{database.name}",
            f"postgresql://babysea_app:{password}@127.0.0.1:{port}/nowhere",
            f"postgresql://babysea_app:{password}@[nonsense",
            f"{password}",
        ):
            settings = good.model_copy(update={name: SecretStr(url)})
            with pytest.raises(StartError) as refused:
                async with serve(settings):
                    pass
            text = f"{refused.value!r} {refused.value}"
            assert password not in text
            assert ROLE_PASSWORD not in text
            assert "DATABASE_URL" in text
    with pytest.raises(StartError) as refused:
        async with serve(good.model_copy(update={"master_key": SecretStr(password)})):
            pass
    assert password not in str(refused.value)
    assert password not in said.everything()
    assert password not in repr(good.model_copy(update={"master_key": SecretStr(password)}))
