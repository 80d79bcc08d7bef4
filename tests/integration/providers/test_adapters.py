"""Both adapters against the sandbox over HTTP: the same facts hold for each of them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.protocol import (
    Accepted,
    CanceledUpstream,
    CancelOutcome,
    Failed,
    FaultKind,
    Finished,
    Job,
    Lost,
    NotSent,
    Pending,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    Unknown,
)
from server.providers.registry import Providers
from tests.integration.providers.outside import IMAGE, VIDEO, Outside, adapter, closed_port

BOTH = pytest.mark.parametrize("provider", ["replicate", "fal"])


async def accepted(providers: Providers, provider: str, job: Job) -> ProviderRef:
    submission = await adapter(providers, provider).submit(job)
    assert isinstance(submission, Accepted)
    return submission.ref


@BOTH
@pytest.mark.parametrize(("model", "outputs"), [(IMAGE, 2), (VIDEO, 1)])
async def test_a_job_is_accepted_pends_and_finishes_with_its_outputs(
    outside: Outside, provider: str, model: str, outputs: int
) -> None:
    fields: dict[str, Any] = {"output_number": 2} if model == IMAGE else {"generate_audio": True}
    async with outside.providers() as providers:
        ref = await accepted(providers, provider, outside.job(provider, model, **fields))
        ref = ProviderRef.from_json(ref.to_json())
        progress = await adapter(providers, provider).poll(ref)
        assert isinstance(progress, Pending)
        assert progress.retry_after >= 0.5
        outside.pass_time()
        done = await adapter(providers, provider).poll(ref)
        assert isinstance(done, Finished)
        assert len(done.outputs) == outputs
        assert done.run_seconds is not None
        assert all(output.url.startswith(outside.url) for output in done.outputs)


@BOTH
async def test_a_submit_is_sent_once_in_the_words_of_the_provider(outside: Outside, provider: str) -> None:
    job = outside.job(provider, ratio="16:9", output_format="jpg", extras={"seed": 7.0, "output_quality": 90})
    async with outside.providers() as providers:
        await accepted(providers, provider, job)
    (entry,) = await outside.log()
    body = json.loads(entry["body"])
    if provider == "replicate":
        assert entry["model"] == "black-forest-labs/flux-schnell"
        assert body["input"]["aspect_ratio"] == "16:9"
        assert body["input"]["output_quality"] == 90
    else:
        assert entry["model"] == "fal-ai/flux/schnell"
        assert (body["image_size"], body["output_format"]) == ("landscape_16_9", "jpeg")
        assert "output_quality" not in body


@BOTH
@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, FaultKind.REQUEST, reasons.ERROR_REASON_INVALID_INPUT),
        (401, FaultKind.ACCOUNT, reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED),
        (402, FaultKind.ACCOUNT, reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED),
        (403, FaultKind.ACCOUNT, reasons.ERROR_REASON_PROVIDER_CREDITS_EXHAUSTED),
        (404, FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR),
        (422, FaultKind.REQUEST, reasons.ERROR_REASON_INVALID_INPUT),
        (429, FaultKind.THROTTLED, reasons.ERROR_REASON_PROVIDER_RATE_LIMITED),
        (500, FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR),
        (503, FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_UNAVAILABLE),
    ],
)
async def test_an_error_answer_to_a_submit_means_that_no_job_exists(
    outside: Outside, provider: str, status: int, kind: FaultKind, reason: int
) -> None:
    await outside.knobs(provider, submit_status={"status": status, "times": 1})
    async with outside.providers() as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
    assert isinstance(submission, Refused)
    fault = submission.fault
    assert (fault.kind, fault.reason, fault.http_status) == (kind, reason, status)
    assert len(await outside.log()) == 1


@BOTH
@pytest.mark.parametrize("status", [502, 504])
async def test_an_answer_made_by_a_gateway_leaves_the_job_unknown(
    outside: Outside, provider: str, status: int
) -> None:
    await outside.knobs(provider, submit_status={"status": status, "times": 1})
    async with outside.providers() as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
    assert isinstance(submission, Unknown)
    assert submission.fault.reason == reasons.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN


@BOTH
async def test_a_rate_limit_says_how_long_to_wait(outside: Outside, provider: str) -> None:
    await outside.knobs(provider, rate_limit={"times": 1, "retry_after_s": 17})
    async with outside.providers() as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
    assert isinstance(submission, Refused)
    assert (submission.fault.kind, submission.fault.retry_after) == (FaultKind.THROTTLED, 17.0)


async def test_a_wrong_credential_is_a_fault_of_our_account(outside: Outside) -> None:
    async with outside.providers(token="nonsense") as providers:
        submission = await adapter(providers, "replicate").submit(outside.job("replicate"))
    assert isinstance(submission, Refused)
    assert submission.fault.kind is FaultKind.ACCOUNT


@pytest.mark.parametrize("credential", ["a secret", "a-secret\n", "geheim\u00e4"])
async def test_a_credential_that_no_header_can_carry_stops_the_start_without_being_shown(
    outside: Outside, credential: str
) -> None:
    with pytest.raises(ValueError, match="The credential of fal") as caught:
        async with outside.providers(key=credential):
            pass
    assert credential.strip() not in str(caught.value)


async def test_a_provider_without_a_credential_is_absent_and_reported(outside: Outside) -> None:
    async with outside.providers(key="") as providers:
        assert set(providers.adapters) == {"replicate"}
        assert "fal" in providers.missing


@BOTH
async def test_a_refused_connection_means_that_nothing_was_sent(outside: Outside, provider: str) -> None:
    async with outside.providers(base=f"http://127.0.0.1:{closed_port()}") as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
        assert isinstance(submission, NotSent)
        assert submission.fault.reason == reasons.ERROR_REASON_PROVIDER_UNAVAILABLE


@BOTH
async def test_a_submit_that_hangs_leaves_the_job_unknown(outside: Outside, provider: str) -> None:
    await outside.knobs(provider, hang_ms=3_000)
    async with outside.providers(call_seconds=0.5) as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
    assert isinstance(submission, Unknown)
    assert [entry["outcome"] for entry in await outside.log()] == ["accepted"]


@BOTH
async def test_a_lost_reply_leaves_the_job_unknown_and_is_never_sent_again(
    outside: Outside, provider: str
) -> None:
    await outside.knobs(provider, lose_reply=1)
    async with outside.providers() as providers:
        submission = await adapter(providers, provider).submit(outside.job(provider))
    assert isinstance(submission, Unknown)
    assert [entry["outcome"] for entry in await outside.log()] == ["lost"]


async def test_replicate_finds_the_job_whose_reply_was_lost(outside: Outside) -> None:
    began = datetime.now(UTC)
    async with outside.providers() as providers:
        replicate = adapter(providers, "replicate")
        await accepted(providers, "replicate", outside.job("replicate", prompt="another"))
        lost = outside.job("replicate", prompt="the lost one", ratio="4:3")
        await outside.knobs("replicate", lose_reply=1)
        assert isinstance(await replicate.submit(lost), Unknown)
        found = await replicate.find(lost, began)
        assert found is not None
        assert [ref.job_id for ref in found] == [entry["job_id"] for entry in await outside.log()][-1:]
        assert await replicate.find(outside.job("replicate", prompt="never sent"), began) == ()
        assert await replicate.find(outside.job("replicate", prompt="the lost one"), began) == ()


async def test_fal_cannot_be_asked_for_a_lost_job(outside: Outside) -> None:
    async with outside.providers() as providers:
        assert await adapter(providers, "fal").find(outside.job("fal"), datetime.now(UTC)) is None


@BOTH
@pytest.mark.parametrize(
    ("magic", "kind", "reason"),
    [
        ("[[fail]]", FaultKind.PROVIDER, reasons.ERROR_REASON_PROVIDER_ERROR),
        ("[[moderate]]", FaultKind.CONTENT_POLICY, reasons.ERROR_REASON_CONTENT_POLICY_VIOLATION),
    ],
)
async def test_a_failed_job_says_whose_fault_it_was_without_the_prompt(
    outside: Outside, provider: str, magic: str, kind: FaultKind, reason: int
) -> None:
    async with outside.providers() as providers:
        ref = await accepted(providers, provider, outside.job(provider, prompt=f"secret-word {magic}"))
        outside.pass_time()
        ended = await adapter(providers, provider).poll(ref)
    assert isinstance(ended, Failed)
    assert (ended.fault.kind, ended.fault.reason) == (kind, reason)
    assert "secret-word" not in ended.fault.message


@BOTH
async def test_an_outage_while_polling_keeps_the_job(outside: Outside, provider: str) -> None:
    async with outside.providers() as providers:
        ref = await accepted(providers, provider, outside.job(provider))
        await outside.knobs(provider, outage=True)
        with pytest.raises(ProviderUnreachable) as caught:
            await adapter(providers, provider).poll(ref)
        assert caught.value.fault.reason == reasons.ERROR_REASON_PROVIDER_UNAVAILABLE
        assert await adapter(providers, provider).cancel(ref) is CancelOutcome.FAILED
        await outside.knobs(provider, outage=False)
        outside.pass_time()
        assert isinstance(await adapter(providers, provider).poll(ref), Finished)


@BOTH
async def test_a_queued_job_is_canceled_for_certain(outside: Outside, provider: str) -> None:
    async with outside.providers() as providers:
        ref = await accepted(providers, provider, outside.job(provider, prompt="x [[slow=60000]]"))
        assert await adapter(providers, provider).cancel(ref) is CancelOutcome.SENT_CONFIRMED
        ended = await adapter(providers, provider).poll(ref)
        # A request that Fal took out of its queue is one that Fal no longer knows.
        assert isinstance(ended, CanceledUpstream if provider == "replicate" else Lost)


@BOTH
async def test_a_running_job_is_canceled(outside: Outside, provider: str) -> None:
    async with outside.providers() as providers:
        ref = await accepted(providers, provider, outside.job(provider, prompt="x [[slow=60000]]"))
        outside.pass_time(30)
        expected = {"replicate": CancelOutcome.SENT_CONFIRMED, "fal": CancelOutcome.SENT_UNCONFIRMED}
        assert await adapter(providers, provider).cancel(ref) is expected[provider]
        assert isinstance(await adapter(providers, provider).poll(ref), CanceledUpstream)


@BOTH
async def test_a_cancel_that_the_provider_ignores_is_not_confirmed(outside: Outside, provider: str) -> None:
    async with outside.providers() as providers:
        ref = await accepted(
            providers, provider, outside.job(provider, prompt="x [[slow=60000]] [[ignorecancel]]")
        )
        outside.pass_time(30)
        assert await adapter(providers, provider).cancel(ref) is CancelOutcome.SENT_UNCONFIRMED
        outside.pass_time(60)
        assert isinstance(await adapter(providers, provider).poll(ref), Finished)


@BOTH
async def test_a_finished_job_cannot_be_canceled(outside: Outside, provider: str) -> None:
    async with outside.providers() as providers:
        ref = await accepted(providers, provider, outside.job(provider))
        outside.pass_time()
        assert await adapter(providers, provider).cancel(ref) is CancelOutcome.ALREADY_FINAL


@BOTH
async def test_a_job_that_the_provider_forgot_is_lost(outside: Outside, provider: str) -> None:
    async with outside.providers() as providers:
        ref = await accepted(providers, provider, outside.job(provider))
        await outside.reset()
        assert isinstance(await adapter(providers, provider).poll(ref), Lost)


async def test_an_output_that_replicate_has_removed_is_lost(outside: Outside) -> None:
    async with outside.providers() as providers:
        ref = await accepted(providers, "replicate", outside.job("replicate"))
        outside.pass_time(3 * 3600)
        ended = await adapter(providers, "replicate").poll(ref)
    assert isinstance(ended, Lost)
    assert ended.fault.reason == reasons.ERROR_REASON_OUTPUT_DOWNLOAD_FAILED


@BOTH
async def test_neither_credential_nor_prompt_is_ever_logged(
    outside: Outside, provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with outside.providers() as providers:
        await outside.knobs(provider, submit_status={"status": 401, "times": 1})
        refused = await adapter(providers, provider).submit(outside.job(provider, prompt="secret-word"))
        assert isinstance(refused, Refused)
    assert "very_secret" not in repr(refused) + repr(providers.adapters) + repr(providers)
    logged = caplog.text + "".join(repr(record.args) for record in caplog.records)
    assert "very_secret" not in logged
    assert "secret-word" not in logged
