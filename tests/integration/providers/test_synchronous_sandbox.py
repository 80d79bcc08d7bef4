"""OpenAI's, Cloudflare's and BytePlus's adapters against the sandbox over HTTP, with every model of the catalog."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from server.catalog.types import ProviderModel
from server.providers.byteplus import BytePlus
from server.providers.cloudflare import Cloudflare
from server.providers.download import fetch_output, open_downloader
from server.providers.media import CONTENT_TYPES, sniff_media
from server.providers.openai import OpenAI
from server.providers.protocol import (
    Accepted,
    Adapter,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    FaultKind,
    Finished,
    InputFile,
    Job,
    Pending,
    Progress,
    ProviderRef,
    Refused,
    RemoteOutput,
    Unknown,
)
from tests.integration.providers.direct import adapter_at, catalog, job_for
from tests.integration.providers.outside import HandClock, serve_sandbox

PLACES: dict[str, tuple[Any, str]] = {
    "openai": (OpenAI, "/openai/v1"),
    "cloudflare": (Cloudflare, "/cloudflare/client/v4/accounts/acc123"),
    "byteplus": (BytePlus, "/byteplus/api/v3"),
}
SERVED = [
    (provider, model.identifier)
    for provider in PLACES
    for model in catalog().models.values()
    if provider in model.provider_ids
]


class _Running(HandClock):
    def __call__(self) -> float:
        return time.time()


class Sandbox:
    """The sandbox's own switches."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def knobs(self, provider: str, **wanted: Any) -> None:
        (await self._client.put(f"/_sandbox/knobs/{provider}", json=wanted)).raise_for_status()

    async def log(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self._client.get("/_sandbox/log")).json()["entries"]
        return entries


@pytest.fixture(scope="module")
def live_url() -> Iterator[str]:
    """A sandbox whose time goes by, because a call that waits for its outputs waits for its clock."""
    with serve_sandbox(_Running()) as url:
        yield url


@pytest.fixture
async def sandbox(live_url: str) -> AsyncIterator[Sandbox]:
    async with httpx.AsyncClient(base_url=live_url, timeout=20, trust_env=False) as client:
        found = Sandbox(client)
        await client.post("/_sandbox/reset")
        for provider in PLACES:
            await found.knobs(provider, latency_ms=[0, 0])
        yield found


def at(live_url: str, provider: str) -> Any:
    make, path = PLACES[provider]
    return adapter_at(f"{live_url}{path}", make, provider, call_seconds=20)


def served_job(provider: str, model: str, tmp_path: Path, **fields: Any) -> Job:
    """A job with as many outputs as one call makes, in the words that this provider has."""
    found: ProviderModel = catalog().model(model).provider(provider)
    most = catalog().model(model).output_number_max
    count = min(2, found.outputs_per_call or 2, most)
    offered = {"ratio": found.ratios, "output_format": found.formats, "duration": found.durations}
    offered |= {"resolution": found.resolutions}
    fields = {name: served[0] for name, served in offered.items() if served} | fields
    wanted = replace(job_for(provider, model, count, **fields), seconds=20.0)
    path = tmp_path / "input.png"
    Image.new("RGB", (64, 64), "red").save(path)
    return replace(wanted, inputs=tuple(InputFile(path, "image/png") for _ in wanted.request.input_file))


async def over(adapter: Adapter, ref: ProviderRef) -> Progress:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        progress = await adapter.poll(ref)
        if not isinstance(progress, Pending):
            return progress
    raise AssertionError("the job did not end")


async def ended(adapter: Adapter, wanted: Job) -> Finished:
    submission = await adapter.submit(wanted)
    if isinstance(submission, Done):
        return submission.finished
    assert isinstance(submission, Accepted), submission
    progress = await over(adapter, submission.ref)
    assert isinstance(progress, Finished), progress
    return progress


async def content_of(output: RemoteOutput, expected: str, tmp_path: Path) -> bytes:
    if output.content is not None:
        assert sniff_media(output.content[:32]) == expected
        return output.content
    client = open_downloader(allow_loopback=True)
    try:
        file = await fetch_output(
            client, output.url, 10**8, 20, expected=expected, allow_private=True, directory=tmp_path
        )
    finally:
        await client.aclose()
    return file.path.read_bytes()


@pytest.mark.parametrize(("provider", "model"), SERVED)
@pytest.mark.parametrize("with_files", [False, True])
async def test_every_model_of_the_catalog_is_served(
    live_url: str, sandbox: Sandbox, tmp_path: Path, provider: str, model: str, with_files: bool
) -> None:
    found = catalog().model(model).provider(provider)
    files: dict[str, Any] = {}
    if with_files and not found.says("input_file"):
        pytest.skip("it takes no input files")
    if with_files:
        files["input_file"] = ["https://files.example/input.png"]
        if found.says("input_file_last_content"):
            files["input_file_last_content"] = "https://files.example/last.png"
    wanted = served_job(provider, model, tmp_path, **files)
    async with at(live_url, provider) as adapter:
        finished = await ended(adapter, wanted)
    assert len(finished.outputs) == wanted.outputs
    expected = CONTENT_TYPES[wanted.request.output_format]
    for output in finished.outputs:
        assert await content_of(output, expected, tmp_path)
    (entry,) = await sandbox.log()
    assert entry["outcome"] == "accepted"


@pytest.mark.parametrize("provider", list(PLACES))
async def test_a_submit_whose_answer_is_lost_is_unknown_and_sent_once(
    live_url: str, sandbox: Sandbox, tmp_path: Path, provider: str
) -> None:
    model = next(model for name, model in SERVED if name == provider)
    await sandbox.knobs(provider, lose_reply=1)
    async with at(live_url, provider) as adapter:
        assert isinstance(await adapter.submit(served_job(provider, model, tmp_path)), Unknown)
    assert [entry["outcome"] for entry in await sandbox.log()] == ["lost"]


@pytest.mark.parametrize("provider", list(PLACES))
async def test_a_moderated_prompt_is_a_matter_of_policy(
    live_url: str, sandbox: Sandbox, tmp_path: Path, provider: str
) -> None:
    model = next(model for name, model in SERVED if name == provider)
    wanted = served_job(provider, model, tmp_path)
    wanted = replace(wanted, request=replace(wanted.request, prompt="x [[moderate]]"))
    async with at(live_url, provider) as adapter:
        submission = await adapter.submit(wanted)
        if isinstance(submission, Accepted):
            submission = await over(adapter, submission.ref)
    assert isinstance(submission, Refused | Failed)
    assert submission.fault.kind is FaultKind.CONTENT_POLICY


@pytest.mark.parametrize("provider", list(PLACES))
@pytest.mark.parametrize(
    ("why", "kind"),
    [
        ("invalid", FaultKind.REQUEST),
        ("moderation", FaultKind.CONTENT_POLICY),
        ("auth", FaultKind.ACCOUNT),
        # Two of the three say that it is the model that is not open to us.
        ("forbidden", None),
        ("billing", FaultKind.ACCOUNT),
        ("quota", FaultKind.ACCOUNT),
        ("rate", FaultKind.THROTTLED),
        ("capacity", FaultKind.PROVIDER),
        ("internal", FaultKind.PROVIDER),
        ("unavailable", FaultKind.PROVIDER),
    ],
)
async def test_every_refusal_is_understood(
    live_url: str, sandbox: Sandbox, tmp_path: Path, provider: str, why: str, kind: FaultKind | None
) -> None:
    model = next(model for name, model in SERVED if name == provider)
    await sandbox.knobs(provider, refuse={"as": why})
    async with at(live_url, provider) as adapter:
        submission = await adapter.submit(served_job(provider, model, tmp_path))
    assert isinstance(submission, Refused)
    without_access = FaultKind.ACCOUNT if provider == "openai" else FaultKind.PROVIDER
    assert submission.fault.kind is (kind or without_access)


@pytest.mark.parametrize("bare", [True, False])
async def test_a_film_of_cloudflare_comes_with_and_without_an_envelope(
    live_url: str, sandbox: Sandbox, tmp_path: Path, bare: bool
) -> None:
    await sandbox.knobs("cloudflare", bare_reply=bare)
    wanted = served_job("cloudflare", "bytedance/seedance-2.0-fast", tmp_path)
    refused = replace(wanted, request=replace(wanted.request, prompt="x [[moderate]]"))
    async with at(live_url, "cloudflare") as adapter:
        assert await content_of((await ended(adapter, wanted)).outputs[0], "video/mp4", tmp_path)
        submission = await adapter.submit(refused)
    assert isinstance(submission, Refused)
    assert submission.fault.kind is FaultKind.CONTENT_POLICY


async def test_a_task_of_byteplus_whose_answer_was_lost_is_found_by_its_mark(
    live_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    began = datetime.now(UTC)
    wanted = served_job("byteplus", "bytedance/seedance-1.5-pro", tmp_path)
    alike = replace(served_job("byteplus", "bytedance/seedance-1.5-pro", tmp_path), request=wanted.request)
    async with at(live_url, "byteplus") as adapter:
        assert isinstance(await adapter.submit(alike), Accepted)
        assert await adapter.find(wanted, began) == ()
        await sandbox.knobs("byteplus", lose_reply=1)
        assert isinstance(await adapter.submit(wanted), Unknown)
        lost = (await sandbox.log())[-1]["job_id"]
        assert await adapter.find(wanted, began) == (ProviderRef(lost, {}),)


async def test_a_task_of_byteplus_is_canceled_in_the_queue_only(
    live_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    wanted = served_job("byteplus", "bytedance/seedance-1.5-pro", tmp_path)
    wanted = replace(wanted, request=replace(wanted.request, prompt="x [[slow=60000]]"))
    async with at(live_url, "byteplus") as adapter:
        submission = await adapter.submit(wanted)
        assert isinstance(submission, Accepted)
        outcome = await adapter.cancel(submission.ref)
        assert outcome is CancelOutcome.SENT_CONFIRMED
        assert isinstance(await adapter.poll(submission.ref), CanceledUpstream)
        assert await adapter.cancel(submission.ref) is CancelOutcome.ALREADY_FINAL
