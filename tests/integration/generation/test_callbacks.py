"""Reports of providers: a true one has a worker ask at once; no report of any kind changes a generation."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from babysea.generation.v1 import generation_service_pb2
from kit.errors import BabySeaError
from kit.ids import uuid7
from kit.settings import Settings
from server.catalog import load_catalog
from server.generation.callbacks import Callbacks
from server.generation.execution.callback_address import CallbackAddresses
from server.providers.verifiers import open_verifiers
from server.runtime.encryption import MasterKey
from tests.integration.generation.reports import (
    Region,
    Report,
    Waiting,
    bfl,
    fal,
    replicate,
    running_region,
)
from tests.integration.providers.outside import closed_port
from tests.support.postgres import TestDatabase

OK = grpc.StatusCode.OK


@pytest.fixture
async def region(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Region]:
    """A regional server without a worker."""
    async with running_region(database, tmp_path) as running:
        yield running


def job_id() -> str:
    return f"job-{uuid7()}"


def true_report(region: Region, waiting: Waiting, job: str) -> Report:
    if waiting.provider == "bfl":
        return bfl(region.addresses.secret(waiting.attempt_id), job)
    return replicate(job) if waiting.provider == "replicate" else fal(job)


@pytest.mark.parametrize("provider", ["bfl", "fal", "replicate"])
async def test_a_true_report_makes_the_generation_due_and_changes_nothing_else(
    region: Region, provider: str
) -> None:
    job = job_id()
    waiting = await region.waiting(provider, job)
    before = await region.state()
    assert not await region.is_due(waiting)
    report = true_report(region, waiting, job)
    assert await region.send(report, region.addresses.token(waiting.attempt_id)) is OK
    assert await region.is_due(waiting)
    assert await region.state() == before


@pytest.mark.parametrize("provider", ["bfl", "fal", "replicate"])
async def test_the_same_report_again_wakes_nobody(region: Region, provider: str) -> None:
    job = job_id()
    waiting = await region.waiting(provider, job)
    report, token = true_report(region, waiting, job), region.addresses.token(waiting.attempt_id)
    assert await region.send(report, token) is OK
    await region.postpone()
    before = await region.state()
    answers = await asyncio.gather(*(region.send(report, token) for _ in range(5)))
    assert set(answers) == {OK}
    assert not await region.is_due(waiting)
    assert await region.state() == before


def forgeries(region: Region, waiting: Waiting, other: Waiting, job: str) -> dict[str, tuple[Report, str]]:
    """Reports that must not be believed, each with the token that it is sent to."""
    token = region.addresses.token(waiting.attempt_id)
    secret, foreign = (region.addresses.secret(each.attempt_id) for each in (waiting, other))
    if waiting.provider == "bfl":
        good = bfl(secret, job)
        return {
            "unsigned": (replace(good, headers={}), token),
            "signed with another attempt's secret": (bfl(foreign, job), token),
            "changed after signing": (replace(good, body=good.body.replace(b"Ready", b"Error")), token),
            "an hour old": (bfl(secret, job, at=time.time() - 3600), token),
            "of tomorrow": (bfl(secret, job, at=time.time() + 86_400), token),
            "about another job": (bfl(secret, "another"), token),
            "not JSON": (replace(good, body=b"["), token),
        }
    make = replicate if waiting.provider == "replicate" else fal
    good = make(job)
    wrong = replicate(job, key=b"x" * 24) if make is replicate else fal(job, key=Ed25519PrivateKey.generate())
    return {
        "unsigned": (replace(good, headers={}), token),
        "signed with a key of somebody else": (wrong, token),
        "changed after signing": (replace(good, body=good.body + b" "), token),
        "an hour old": (make(job, at=time.time() - 3600), token),
        "of tomorrow": (make(job, at=time.time() + 86_400), token),
        "about another job": (make("another"), token),
    }


@pytest.mark.parametrize("provider", ["bfl", "fal", "replicate"])
async def test_forged_stale_and_misplaced_reports_change_nothing_and_are_answered_like_true_ones(
    region: Region, provider: str
) -> None:
    job = job_id()
    waiting, other = await region.waiting(provider, job), await region.waiting(provider, job_id())
    before = await region.state()
    for name, (report, token) in forgeries(region, waiting, other, job).items():
        assert await region.send(report, token) is OK, name
        assert not await region.is_due(waiting), name
        assert not await region.is_due(other), name
    assert await region.state() == before
    # None of them stands in the way of the true one.
    await region.send(true_report(region, waiting, job), region.addresses.token(waiting.attempt_id))
    assert await region.is_due(waiting)


async def test_a_token_that_we_did_not_make_reaches_no_attempt(region: Region) -> None:
    job = job_id()
    waiting = await region.waiting("replicate", job)
    token = region.addresses.token(waiting.attempt_id)
    before = await region.state()
    changed = token[:30] + ("A" if token[30] != "A" else "B") + token[31:]
    for wrong in (changed, token[:-1], token + "A", "A" * len(token), waiting.attempt_id.hex, "x"):
        assert await region.send(replicate(job), wrong) is OK
    assert not await region.is_due(waiting)
    # Ours, of an attempt that never was.
    assert await region.send(replicate(job), region.addresses.token(uuid7())) is OK
    assert await region.state() == before


async def test_a_true_report_at_another_attempts_or_providers_address_reaches_neither(region: Region) -> None:
    job = job_id()
    waiting, other = await region.waiting("replicate", job), await region.waiting("fal", None)
    before = await region.state()
    theirs, mine = region.addresses.token(other.attempt_id), region.addresses.token(waiting.attempt_id)
    assert await region.send(replicate(job), theirs) is OK
    assert await region.send(fal(job), mine) is OK
    assert await region.send(replicate(job), mine, provider="fal") is OK
    assert await region.send(replicate(job), mine, provider="openai") is OK
    assert not await region.is_due(waiting)
    assert not await region.is_due(other)
    assert await region.state() == before


async def test_a_report_that_overtakes_the_answer_to_the_submit_shall_come_again(region: Region) -> None:
    job = job_id()
    waiting = await region.waiting("replicate", None, "submitting")
    token = region.addresses.token(waiting.attempt_id)
    before = await region.state()
    assert await region.send(replicate(job), token) is grpc.StatusCode.UNAVAILABLE
    assert await region.state() == before
    # The answer never came: half a minute later the report is the only way to know that there is a job.
    await region.execute(
        "update generation.attempt set submitted_at = submitted_at - interval '1 minute' where id = $1",
        waiting.attempt_id,
    )
    assert await region.send(replicate(job), token) is OK
    assert (await region.attempt(waiting))["provider_job_id"] == job


@pytest.mark.parametrize("provider", ["bfl", "fal", "replicate"])
async def test_an_unanswered_submit_learns_its_job_from_a_true_report(region: Region, provider: str) -> None:
    job = job_id()
    waiting = await region.waiting(provider, None)
    report, token = true_report(region, waiting, job), region.addresses.token(waiting.attempt_id)
    assert await region.send(report, token) is OK
    attempt = await region.attempt(waiting)
    assert (attempt["state"], attempt["provider_job_id"]) == ("accepted", job)
    assert await region.is_due(waiting)
    if provider == "fal":
        base = region.stack.server.shared.settings.fal_base_url
        status = json.loads(attempt["provider_ref"])["urls"]["status"]
        assert status.startswith(f"{base}/fal-ai/")
        assert status.endswith(f"/requests/{job}/status")


async def test_an_unanswered_submit_does_not_get_the_job_of_another_attempt(region: Region) -> None:
    job = job_id()
    owner, waiting = await region.waiting("replicate", job), await region.waiting("replicate", None)
    before = await region.state()
    assert await region.send(replicate(job), region.addresses.token(waiting.attempt_id)) is OK
    assert not await region.is_due(owner)
    assert await region.state() == before


async def test_each_job_of_an_attempt_in_several_parts_may_report(region: Region) -> None:
    jobs = [job_id() for _ in range(3)]
    waiting = await region.waiting("bfl", jobs[0], parts=jobs)
    token, secret = region.addresses.token(waiting.attempt_id), region.addresses.secret(waiting.attempt_id)
    for job in jobs:
        await region.postpone()
        assert await region.send(bfl(secret, job), token) is OK
        assert await region.is_due(waiting)
    await region.postpone()
    assert await region.send(bfl(secret, job_id()), token) is OK
    assert not await region.is_due(waiting)


def test_a_server_with_a_signing_secret_that_is_none_does_not_start() -> None:
    settings = Settings(replicate_webhook_secret=SecretStr("whsec_?"))
    with pytest.raises(ValueError, match="signing secret of Replicate"):
        open_verifiers(settings, load_catalog())


async def test_without_secret_and_token_replicates_reports_cannot_be_checked_and_the_others_can() -> None:
    verifiers = open_verifiers(Settings(), load_catalog())
    assert sorted(verifiers.by_provider) == ["bfl", "fal"]
    await verifiers.aclose()


async def test_reports_in_any_order_after_the_end_change_nothing(region: Region) -> None:
    job = job_id()
    waiting = await region.waiting("bfl", job)
    token, secret = region.addresses.token(waiting.attempt_id), region.addresses.secret(waiting.attempt_id)
    generation = str(waiting.generation_id)
    stub = region.stack.generations
    request = generation_service_pb2.CancelGenerationRequest(generation_id=generation)
    await stub.CancelGeneration(request, metadata=region.customer.metadata)
    before = await region.state()
    for status in ("Ready", "Pending", "Error", "Request Moderated"):
        assert await region.send(bfl(secret, job, status), token) is OK
    assert await region.state() == before
    assert (await region.customer.balance())[1] == 0
    assert await region.stack.region.audit() == []


async def test_when_the_keys_cannot_be_had_the_report_shall_come_again(
    region: Region,
) -> None:
    job = job_id()
    waiting = await region.waiting("fal", job)
    shared = region.stack.server.shared
    away = shared.settings.model_copy(update={"fal_base_url": f"http://127.0.0.1:{closed_port()}"})
    verifiers = open_verifiers(away, shared.catalog)
    callbacks = Callbacks(shared.databases.app, region.addresses, verifiers, shared.catalog)
    report = fal(job)
    with pytest.raises(BabySeaError) as caught:
        await callbacks.receive(
            "fal", region.addresses.token(waiting.attempt_id), report.headers, report.body
        )
    assert caught.value.spec.bse_code == "BSE5002"
    assert not await region.is_due(waiting)
    await verifiers.aclose()


async def test_no_log_line_holds_a_token_or_what_was_reported(
    region: Region, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_id()
    waiting = await region.waiting("replicate", job)
    token = region.addresses.token(waiting.attempt_id)
    with caplog.at_level(logging.DEBUG):
        await region.send(replicate(job), token)
        await region.send(replace(replicate(job), headers={}), token)
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "a provider reported" in said
    for secret in (token, "files.example.com", job):
        assert secret not in said


def test_an_address_is_read_back_only_by_the_region_that_made_it() -> None:
    ours = CallbackAddresses(
        MasterKey("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), "https://api.example.com/"
    )
    theirs = CallbackAddresses(MasterKey("/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), "")
    attempt = UUID("01935000-0000-7000-8000-000000000003")
    token = ours.token(attempt)
    assert ours.url("fal", attempt) == f"https://api.example.com/v1/callbacks/fal/{token}"
    assert theirs.url("fal", attempt) is None
    assert ours.attempt_of(token) == attempt
    assert theirs.attempt_of(token) is None
    assert ours.secret(attempt) != theirs.secret(attempt)
