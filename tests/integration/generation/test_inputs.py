"""Input files of generations: looked at before any provider is called, and gone when the step is over."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from PIL import Image

from babysea.generation.v1 import generation_pb2
from kit.settings import Settings
from server.runtime.dependencies import open_dependencies
from server.runtime.errors import StartError
from tests.integration.providers.outside import answering, canned, closed_port, reply
from tests.support.postgres import TestDatabase
from tests.support.region import settings_for
from tests.support.stack import Customer, Stack, running_stack

MODEL = "bfl/flux-1.1-pro"


def picture(form: str = "PNG", side: int = 128) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (10, 120, 200)).save(out, form)
    return out.getvalue()


@pytest.fixture
async def developing(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A region whose customers may name files on loopback."""
    async with running_stack(database, sandbox_url, tmp_path, input_allow_private=True) as stack:
        yield stack


def left_over(folder: Path) -> list[Path]:
    return [path for path in (folder / "tmp").rglob("*") if path.is_file()]


async def failed(customer: Customer, *urls: str) -> generation_pb2.Generation:
    """The record of a generation that must fail before any provider is called."""
    before = await customer.balance()
    created = await customer.create(model_identifier=MODEL, input_file=list(urls))
    record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_FAILED
    assert list(record.attempts) == []
    assert await customer.balance() == before
    assert await customer.stack.log() == []
    assert await customer.stack.region.audit() == []
    return record.generation


async def test_a_usable_file_is_fetched_once_and_the_provider_gets_its_url(
    developing: Stack, tmp_path: Path
) -> None:
    customer = await developing.customer()
    async with canned(reply("200 OK", picture())) as (url, seen):
        created = await customer.create(model_identifier=MODEL, input_file=[f"{url}/in.png"])
        record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED, record.generation.error_code
    assert [attempt.provider for attempt in record.attempts] == ["replicate"]
    assert sum(request.startswith(b"GET /in.png ") for request in seen) == 1
    assert left_over(tmp_path) == []


async def test_a_failover_takes_the_fetched_files_along(developing: Stack, tmp_path: Path) -> None:
    customer = await developing.customer()
    async with canned(reply("200 OK", picture())) as (url, seen):
        created = await customer.create(
            model_identifier="bfl/flux-kontext-pro",
            input_file=[f"{url}/in.png"],
            prompt="[[outage=replicate]]",
            provider_order="replicate,fal",
        )
        record = await customer.finished(created.generation.generation_id)
    assert record.generation.state == generation_pb2.STATE_SUCCEEDED, record.generation.error_code
    assert record.generation.provider_used == "fal"
    assert sum(request.startswith(b"GET /in.png ") for request in seen) == 1
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply("200 OK", picture("GIF")), "BSE2004"),
        (reply("200 OK", b"<html>"), "BSE2004"),
        (reply("200 OK", picture()[:50]), "BSE2005"),
        (reply("200 OK", picture(side=20)), "BSE2003"),
        (reply("200 OK", picture(side=8200)), "BSE2002"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 22020096\r\n\r\n" + picture(), "BSE2007"),
        (reply("404 Not Found"), "BSE2009"),
        (reply("302 Found", b"", "location: http://169.254.169.254/"), "BSE2009"),
    ],
)
async def test_a_file_that_cannot_be_used_fails_the_record_with_its_code_and_the_credits_are_back(
    developing: Stack, tmp_path: Path, answer: bytes, code: str
) -> None:
    customer = await developing.customer()
    async with canned(answer) as (url, _):
        generation = await failed(customer, f"{url}/in")
    assert generation.error_code == code
    assert generation.error_message
    assert url not in generation.error_message
    assert left_over(tmp_path) == []


async def test_a_host_that_is_away_is_a_failed_download(developing: Stack) -> None:
    customer = await developing.customer()
    generation = await failed(customer, f"http://127.0.0.1:{closed_port()}/in.png")
    assert generation.error_code == "BSE2009"


async def test_without_the_development_setting_loopback_is_refused_at_once(customer: Customer) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await customer.create(model_identifier=MODEL, input_file=["http://127.0.0.1/in.png"])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_public_name_of_a_private_address_fails_when_it_is_fetched(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(_self: object, host: str, port: int) -> tuple[str, ...]:
        return ("127.0.0.1",)

    async with canned(reply("200 OK", picture())) as (url, seen):
        backend = customer.stack.executor._stepper._inputs._fetcher._pool._network_backend
        monkeypatch.setattr(backend, "_resolve", resolve.__get__(backend))
        named = url.replace("127.0.0.1", "files.example.com")
        assert (await failed(customer, f"{named}/in.png")).error_code == "BSE2009"
    assert seen == []


def test_production_does_not_start_with_the_development_setting(database: TestDatabase) -> None:
    settings: Settings = settings_for(database, mode="embedded")
    production = settings.model_copy(
        update={
            "mode": "production",
            "input_allow_private": True,
            **{
                name: type(settings.database_url)("postgresql://x/y?sslmode=verify-full")
                for name in (
                    "database_url",
                    "admitter_database_url",
                    "worker_database_url",
                    "admin_database_url",
                    "vault_database_url",
                    "logs_database_url",
                )
            },
        }
    )
    with pytest.raises(StartError, match="BABYSEA_INPUT_ALLOW_PRIVATE"):
        open_dependencies(production)


async def test_nothing_is_sent_when_the_files_came_after_the_deadline(
    developing: Stack, tmp_path: Path
) -> None:
    customer = await developing.customer()
    async with answering(reply("200 OK", picture()), pause=2.5) as url:
        created = await customer.create(
            model_identifier=MODEL, deadline_seconds=1, input_file=[f"{url}/in.png"]
        )
        record = await customer.finished(created.generation.generation_id)
    assert (record.generation.state, record.generation.error_code) == (generation_pb2.STATE_FAILED, "BSE4002")
    assert await developing.log() == []
    assert left_over(tmp_path) == []


async def test_slow_hosts_of_one_customer_hold_up_nobody_without_files(
    database: TestDatabase, sandbox_url: str, tmp_path: Path
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"
    async with (
        answering(head, b"x", pause=0.2, again=True) as url,
        running_stack(
            database, sandbox_url, tmp_path, input_allow_private=True, worker_concurrency=2
        ) as stack,
    ):
        slow, quick = await stack.customer(), await stack.customer()
        for _ in range(4):
            await slow.create(model_identifier=MODEL, input_file=[f"{url}/in.png"])
        created = await quick.create()
        record = await quick.finished(created.generation.generation_id, seconds=5)
        assert record.generation.state == generation_pb2.STATE_SUCCEEDED
