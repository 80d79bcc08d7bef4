"""The adapters whose providers make tasks against the sandbox over HTTP, with every model, refusal and signed report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpcore
import pytest
from PIL import Image

from server.providers.alibaba import Alibaba
from server.providers.bfl import BlackForestLabs
from server.providers.download import fetch_output, open_downloader
from server.providers.fal import Fal
from server.providers.fan_out import FanOut
from server.providers.media import CONTENT_TYPES
from server.providers.protocol import (
    Accepted,
    Adapter,
    CallbackFacts,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    FaultKind,
    Finished,
    InputFile,
    Job,
    Pending,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from server.providers.replicate import Replicate
from server.providers.runway import Runway
from tests.integration.providers.native import Provider, catalog, sent
from tests.integration.providers.outside import HandClock, Outside

PROVIDERS = {
    "alibabacloud": Provider("alibabacloud", Alibaba, below="/alibaba/api/v1"),
    "bfl": Provider("bfl", BlackForestLabs, scheme="", header="x-key"),
    "runway": Provider("runway", Runway, below="/runway"),
}
SERVED = [(name, model.identifier) for name in PROVIDERS for model in catalog().models_of(name)]
TASK_MODELS = {"alibabacloud": "wan/2.7-t2v", "bfl": "bfl/flux-2-pro", "runway": "runway/gen-4.5"}
EACH = pytest.mark.parametrize("provider", list(PROVIDERS))
AT_ONCE = "services/aigc/multimodal-generation/generation"
LONG_ENOUGH = 600.0


class HandTime:
    """Our clock, which shows the sandbox's time."""

    def __init__(self, hand: HandClock) -> None:
        self._hand = hand

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.fromtimestamp(self._hand.at, UTC)


def served(provider: str, model: str, prompt: str = "a red cube", **fields: Any) -> Job:
    """A job in the words that this provider has, for as many outputs as one call makes, two at most."""
    found = catalog().model(model)
    part = found.provider(provider)
    offered = {
        "ratio": part.ratios,
        "output_format": part.formats,
        "duration": part.durations,
        "resolution": part.resolutions,
    }
    count = min(2, part.outputs_per_call or 2, found.output_number_max)
    fields = {name: words[0] for name, words in offered.items() if words} | fields
    return PROVIDERS[provider].job(model, prompt, output_number=count, outputs=count, **fields)


async def accepted(adapter: Adapter, job: Job) -> ProviderRef:
    submission = await adapter.submit(job)
    assert isinstance(submission, Accepted), submission
    return ProviderRef.from_json(submission.ref.to_json())


@pytest.mark.parametrize(("provider", "model"), SERVED)
@pytest.mark.parametrize("with_files", [False, True])
async def test_every_model_of_the_catalog_is_served(
    outside: Outside, tmp_path: Path, provider: str, model: str, with_files: bool
) -> None:
    part = catalog().model(model).provider(provider)
    files: dict[str, Any] = {}
    if with_files:
        if not part.says("input_file"):
            pytest.skip("it takes no input files")
        files["input_file"] = ["https://8.8.8.8/input.png"]
        if part.says("input_file_last_content"):
            files["input_file_last_content"] = "https://8.8.8.8/last.png"
    picture = tmp_path / "in.png"
    Image.new("RGB", (64, 64), "red").save(picture)
    given = tuple(InputFile(picture, "image/png", 64, 64, url=url) for url in files.get("input_file", ()))
    job = replace(served(provider, model, **files), inputs=given)
    # Who answers at once makes its caller wait for the sandbox's clock.
    await outside.knobs(provider, latency_ms=[0, 0] if job.provider_model.path == AT_ONCE else [400, 400])
    async with PROVIDERS[provider].at(outside.url) as adapter:
        submission = await adapter.submit(job)
        if isinstance(submission, Accepted):
            assert isinstance(await adapter.poll(submission.ref), Pending)
            outside.pass_time(LONG_ENOUGH)
            finished = await adapter.poll(submission.ref)
        else:
            assert isinstance(submission, Done), (submission, await outside.log())
            finished = submission.finished
    assert isinstance(finished, Finished), finished
    assert len(finished.outputs) == job.outputs
    if provider in ("bfl", "runway"):
        assert finished.cost_micros is not None
    client = open_downloader(allow_loopback=True)
    try:
        for output in finished.outputs:
            expected = CONTENT_TYPES[job.request.output_format]
            file = await fetch_output(
                client, output.url, 10**8, 20, expected=expected, allow_private=True, directory=tmp_path
            )
            assert file.path.stat().st_size > 0
    finally:
        await client.aclose()


@EACH
@pytest.mark.parametrize(
    ("why", "kind"),
    [
        ("invalid", FaultKind.REQUEST),
        ("moderation", FaultKind.CONTENT_POLICY),
        ("auth", FaultKind.ACCOUNT),
        ("billing", FaultKind.ACCOUNT),
        ("quota", FaultKind.ACCOUNT),
        ("rate", FaultKind.THROTTLED),
        ("internal", FaultKind.PROVIDER),
        ("unavailable", FaultKind.PROVIDER),
    ],
)
async def test_every_refusal_is_understood(
    outside: Outside, provider: str, why: str, kind: FaultKind
) -> None:
    await outside.knobs(provider, refuse={"as": why})
    async with PROVIDERS[provider].at(outside.url) as adapter:
        submission = await adapter.submit(served(provider, TASK_MODELS[provider]))
        if isinstance(submission, Accepted):
            outside.pass_time(LONG_ENOUGH)
            submission = await adapter.poll(submission.ref)  # type: ignore[assignment]
    assert isinstance(submission, Refused | Failed), submission
    assert submission.fault.kind is kind


@EACH
async def test_a_submit_whose_answer_is_lost_is_unknown_and_sent_once(
    outside: Outside, provider: str
) -> None:
    await outside.knobs(provider, lose_reply=1)
    async with PROVIDERS[provider].at(outside.url) as adapter:
        assert isinstance(await adapter.submit(served(provider, TASK_MODELS[provider])), Unknown)
    assert [entry["outcome"] for entry in await outside.log()] == ["lost"]


@EACH
@pytest.mark.parametrize(
    ("magic", "kind"), [("[[fail]]", FaultKind.PROVIDER), ("[[moderate]]", FaultKind.CONTENT_POLICY)]
)
async def test_a_failed_task_says_whose_fault_it_was(
    outside: Outside, provider: str, magic: str, kind: FaultKind
) -> None:
    async with PROVIDERS[provider].at(outside.url) as adapter:
        ref = await accepted(adapter, served(provider, TASK_MODELS[provider], f"secret-word {magic}"))
        outside.pass_time(LONG_ENOUGH)
        ended = await adapter.poll(ref)
    assert isinstance(ended, Failed)
    assert ended.fault.kind is kind
    assert "secret-word" not in ended.fault.message


@EACH
async def test_an_outage_while_polling_keeps_the_task(outside: Outside, provider: str) -> None:
    async with PROVIDERS[provider].at(outside.url) as adapter:
        ref = await accepted(adapter, served(provider, TASK_MODELS[provider]))
        await outside.knobs(provider, outage=True)
        with pytest.raises(ProviderUnreachable):
            await adapter.poll(ref)
        assert await adapter.cancel(ref) in (CancelOutcome.FAILED, CancelOutcome.NOT_SUPPORTED)
        await outside.knobs(provider, outage=False)
        outside.pass_time(LONG_ENOUGH)
        assert isinstance(await adapter.poll(ref), Finished)


@pytest.mark.parametrize("provider", ["alibabacloud", "runway"])
async def test_a_waiting_task_is_canceled_for_certain(outside: Outside, provider: str) -> None:
    async with PROVIDERS[provider].at(outside.url) as adapter:
        ref = await accepted(adapter, served(provider, TASK_MODELS[provider], "x [[slow=60000]]"))
        assert await adapter.cancel(ref) is CancelOutcome.SENT_CONFIRMED
        assert isinstance(await adapter.poll(ref), CanceledUpstream)


@pytest.mark.parametrize("provider", ["alibabacloud", "runway"])
async def test_a_running_task_is_not_stopped_for_certain(outside: Outside, provider: str) -> None:
    expected = {"alibabacloud": CancelOutcome.FAILED, "runway": CancelOutcome.SENT_UNCONFIRMED}
    async with PROVIDERS[provider].at(outside.url) as adapter:
        ref = await accepted(adapter, served(provider, TASK_MODELS[provider], "x [[slow=600000]]"))
        outside.pass_time(300)
        assert await adapter.cancel(ref) is expected[provider]


@pytest.mark.parametrize("provider", ["alibabacloud", "runway"])
async def test_the_output_of_an_ended_task_survives_a_late_cancel(outside: Outside, provider: str) -> None:
    async with PROVIDERS[provider].at(outside.url) as adapter:
        ref = await accepted(adapter, served(provider, TASK_MODELS[provider]))
        outside.pass_time(LONG_ENOUGH)
        assert await adapter.cancel(ref) is CancelOutcome.ALREADY_FINAL
        assert isinstance(await adapter.poll(ref), Finished)


async def test_alibaba_finds_the_task_whose_reply_was_lost(outside: Outside) -> None:
    alibaba = Provider(
        "alibabacloud",
        lambda http, info: Alibaba(http, info, HandTime(outside.clock)),
        below="/alibaba/api/v1",
    )
    began = HandTime(outside.clock).now()
    async with alibaba.at(outside.url) as adapter:
        await accepted(adapter, served("alibabacloud", "wan/2.7-t2v", "another"))
        lost = served("alibabacloud", "wan/2.7-t2v", "the lost one")
        await outside.knobs("alibabacloud", lose_reply=1)
        assert isinstance(await adapter.submit(lost), Unknown)
        with pytest.raises(ProviderUnreachable):
            await adapter.find(lost, began)
        outside.pass_time(LONG_ENOUGH)
        found = await adapter.find(lost, began)
        never = await adapter.find(served("alibabacloud", "wan/2.7-t2v", "never sent"), began)
    assert found is not None
    assert [ref.job_id for ref in found] == [entry["job_id"] for entry in await outside.log()][-1:]
    assert never == ()


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, asyncio.Queue[bytes]]]:
    """Where reports may be sent, and what arrives there."""
    reports: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        raw = head + await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()
        reports.put_nowait(raw)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/report", reports


REPORTING = {
    "fal": (Fal, {"scheme": "Key", "below": "/fal"}, "bfl/flux-schnell"),
    "replicate": (Replicate, {"below": "/replicate"}, "bfl/flux-schnell"),
    "bfl": (BlackForestLabs, {"scheme": "", "header": "x-key"}, "bfl/flux-2-pro"),
}
CREDENTIALS = {"fal": "kid:key", "replicate": "r8_token", "bfl": "key"}


async def reported(outside: Outside, provider: str, magic: str) -> tuple[CallbackFacts, CallbackFacts, str]:
    """What the first report about a job is about, asked twice, and the job's id."""
    make, how, model = REPORTING[provider]
    time = HandTime(outside.clock)
    reporting = Provider(
        provider,
        lambda http, info: make(http, info, clock=time),
        credential=CREDENTIALS[provider],
        **how,
    )
    async with listener() as (url, reports), reporting.at(outside.url) as adapter:
        job = replace(
            reporting.job(model, f"a cube {magic}"), callback_url=url, callback_secret="the-attempts-own"
        )
        ref = await accepted(adapter, job)
        outside.pass_time(LONG_ENOUGH)
        async with asyncio.timeout(30):
            raw = await reports.get()
        body = raw.partition(b"\r\n\r\n")[2]
        headers = sent(raw).headers
        first = await adapter.verify_callback(headers, body, job.callback_secret)
        second = await adapter.verify_callback(headers, body, job.callback_secret)
        with pytest.raises(CallbackRefused):
            await adapter.verify_callback(headers, body + b" ", job.callback_secret)
    return first, second, ref.job_id


@pytest.mark.parametrize("provider", list(REPORTING))
async def test_a_report_is_about_the_job_however_often_it_is_read(outside: Outside, provider: str) -> None:
    first, second, job_id = await reported(outside, provider, "")
    assert first == second
    assert first.job_id == job_id


# What Black Forest Labs signs does not say when.
@pytest.mark.parametrize(
    ("provider", "magic"),
    [("fal", "forged"), ("fal", "stale"), ("replicate", "forged"), ("replicate", "stale"), ("bfl", "forged")],
)
async def test_a_forged_or_stale_report_is_refused(outside: Outside, provider: str, magic: str) -> None:
    with pytest.raises(CallbackRefused):
        await reported(outside, provider, f"[[callback={magic}]]")


@pytest.mark.parametrize(("provider", "model"), [("bfl", "bfl/flux-2-pro"), ("runway", "runway/gen-4-image")])
async def test_four_outputs_of_one_seed_are_four_pictures_and_the_same_four_again(
    outside: Outside, tmp_path: Path, provider: str, model: str
) -> None:
    job = PROVIDERS[provider].job(model, output_number=4, extras={"seed": 7.0})
    batches = []
    client = open_downloader(allow_loopback=True)
    try:
        async with PROVIDERS[provider].at(outside.url) as single:
            for _ in range(2):
                adapter = FanOut(single)
                ref = await accepted(adapter, job)
                outside.pass_time(LONG_ENOUGH)
                done = await adapter.poll(ref)
                assert isinstance(done, Finished)
                batches.append([await _hash_of(client, output.url, tmp_path) for output in done.outputs])
    finally:
        await client.aclose()
    assert len(set(batches[0])) == 4
    assert batches[0] == batches[1]


async def _hash_of(client: httpcore.AsyncConnectionPool, url: str, folder: Path) -> bytes:
    file = await fetch_output(client, url, 10**8, 20, allow_private=True, directory=folder)
    return sha256(file.path.read_bytes()).digest()
