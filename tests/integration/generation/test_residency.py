"""Strict residency: a request goes to providers that guarantee the account's region, or is refused before money moves."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import grpc
import pytest

from babysea.generation.v1 import generation_service_pb2, timeline_pb2
from kit.errors import BabySeaError
from kit.rpc import error_of
from tests.support.postgres import TestDatabase
from tests.support.stack import Customer, Stack, running_stack


async def set_residency(customer: Customer, residency: str) -> None:
    """Sets where the customer's generations may run, as its settings do."""
    connection = await customer.stack.region.connect("babysea_app")
    try:
        await connection.execute("select set_config('app.account_id', $1, false)", str(customer.account_id))
        assert await connection.fetchval("select accounts.set_residency($1)", residency)
    finally:
        await connection.close()


async def refusal(customer: Customer, **changes: object) -> BabySeaError:
    """The error of a create that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await customer.create(**changes)
    return error_of(caught.value)


async def excluded(customer: Customer, generation_id: str) -> list[str]:
    """The providers that a timeline says were left out."""
    request = generation_service_pb2.GetTimelineRequest(generation_id=generation_id)
    answer = await customer.stack.generations.GetTimeline(request, metadata=customer.metadata)
    return [
        provider
        for entry in answer.entries
        if entry.decision.kind == timeline_pb2.DECISION_KIND_EXCLUDED
        for provider in entry.decision.providers
    ]


@pytest.fixture
async def fal_conforms(database: TestDatabase, sandbox_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """A region in whose catalog Fal guarantees to process in the region, and nobody else does."""
    text = (files("server.catalog") / "data" / "providers.toml").read_text()
    text = text.replace('residency_guaranteed = ["us", "eu"]', "residency_guaranteed = []")
    before, fal = text.split("[fal]\n")
    fal = fal.replace("residency_guaranteed = []", 'residency_guaranteed = ["us", "eu", "jp"]', 1)
    for region in ("us", "eu", "jp"):
        fal = fal.replace(f'{region} = "global"', f'{region} = "{region}"', 1)
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "providers.toml").write_text(f"{before}[fal]\n{fal}")
    assert tomllib.loads(f"{before}[fal]\n{fal}")["fal"]["processing_region"]["us"] == "us"
    async with running_stack(database, sandbox_url, tmp_path, catalog_dir=folder) as stack:
        yield stack


async def test_nobody_conforms_so_a_strict_account_is_refused_before_money_is_held(stack: Stack) -> None:
    customer = await stack.customer()
    await set_residency(customer, "strict")
    for order in ("", "fastest", "fal", "replicate,fal"):
        error = await refusal(customer, provider_order=order, idempotency_key="k")
        assert (error.spec.bse_code, error.spec.http_status, error.spec.retryable) == ("BSE3004", 422, False)
        assert error.details == {}
        assert error.message == "No provider can process this request inside the account's region."
    assert await customer.balance() == (100_000_000, 0)
    connection = await stack.region.connect()
    try:
        query = "select count(*) from generation.generation where account_id = $1"
        assert await connection.fetchval(query, customer.account_id) == 0
    finally:
        await connection.close()


async def test_residency_is_said_before_limits_and_money(stack: Stack) -> None:
    for poor in (await stack.customer(in_flight=0), await stack.customer(credit=1)):
        await set_residency(poor, "strict")
        assert (await refusal(poor)).spec.bse_code == "BSE3004"


async def test_a_change_of_the_setting_holds_for_the_very_next_request(stack: Stack) -> None:
    customer = await stack.customer()
    first = await customer.create(idempotency_key="before")
    for _ in range(5):
        await set_residency(customer, "strict")
        assert (await refusal(customer)).spec.bse_code == "BSE3004"
        await set_residency(customer, "best_effort")
        assert list((await customer.create()).generation.provider_order) == ["replicate", "fal"]
    await set_residency(customer, "strict")
    again = await customer.create(idempotency_key="before")
    assert (again.replayed, again.generation.generation_id) == (True, first.generation.generation_id)


async def test_a_strict_account_is_served_by_those_that_conform_and_by_nobody_else(
    fal_conforms: Stack,
) -> None:
    customer = await fal_conforms.customer()
    await set_residency(customer, "strict")
    for order in ("", "fastest", "replicate,fal", "fal"):
        made = (await customer.create(provider_order=order, prompt="a lighthouse [[fail@fal]]")).generation
        assert list(made.provider_order) == ["fal"]
        record = await customer.finished(made.generation_id)
        assert list(record.generation.provider_order) == ["fal"]
        assert [attempt.provider for attempt in record.attempts] == ["fal"]
        left_out = [] if order == "fal" else ["replicate"]
        assert await excluded(customer, made.generation_id) == left_out
    assert (await refusal(customer, provider_order="replicate")).spec.bse_code == "BSE3004"
    assert await fal_conforms.region.audit() == []


async def test_without_strict_residency_the_order_is_as_planned(fal_conforms: Stack) -> None:
    customer = await fal_conforms.customer()
    for order, providers in (("", ["replicate", "fal"]), ("fal,replicate", ["fal", "replicate"])):
        made = (await customer.create(provider_order=order)).generation
        assert list(made.provider_order) == providers
        assert await excluded(customer, made.generation_id) == []


async def test_one_who_conforms_but_cannot_serve_the_request_counts_as_nobody(fal_conforms: Stack) -> None:
    customer = await fal_conforms.customer()
    await set_residency(customer, "strict")
    flex = {"model_identifier": "bfl/flux-2-flex", "prompt": "a lighthouse"}
    assert (await refusal(customer, output_format="webp", **flex)).spec.bse_code == "BSE3004"
    made = (await customer.create(output_format="png", **flex)).generation
    assert list(made.provider_order) == ["fal"]
