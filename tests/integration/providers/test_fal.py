"""How Fal says that a request ended without a result: with a type, or only in the result's place, or by a header."""

from __future__ import annotations

import pytest

from babysea.common.v1 import error_reason_pb2 as reasons
from server.providers.fal import Fal
from server.providers.protocol import Failed, FaultKind, Progress, ProviderRef, ProviderUnreachable
from tests.integration.providers.native import Provider, Sent, answered, says

FAL = Provider("fal", Fal, scheme="Key")
UNTYPED = {"status": "COMPLETED", "error": "Request failed", "error_type": None, "logs": None}
SUCCESS = {"status": "COMPLETED", "logs": None}
POLICY = {"detail": [{"loc": [], "msg": "m", "type": "content_policy_violation"}]}


async def polled(status: object, result: bytes) -> Progress:
    """What a poll makes of a status and of what stands in the result's place."""

    def respond(sent: Sent, _url: str) -> bytes:
        return says(status) if sent.path.endswith("/status") else result

    async with answered(respond) as url, FAL.at(url) as adapter:
        base = f"{url}/fal-ai/flux/requests/j1"
        return await adapter.poll(
            ProviderRef("j1", {"status": f"{base}/status", "result": base, "cancel": f"{base}/cancel"})
        )


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (says(POLICY, "422 Status"), FaultKind.CONTENT_POLICY),
        (says({"detail": "no", "error_type": "content_policy_violation"}, "400 Status"), FaultKind.CONTENT_POLICY),
        (says({"detail": "no"}, "422 Status"), FaultKind.REQUEST),
        (says({"detail": "no"}, "500 Status"), FaultKind.PROVIDER),
        (says({"images": [{"url": "https://f.example/a.png"}]}), FaultKind.PROVIDER),
    ],
)  # fmt: skip
async def test_why_a_request_failed_is_read_where_the_status_does_not_say(
    result: bytes, kind: FaultKind
) -> None:
    progress = await polled(UNTYPED, result)
    assert isinstance(progress, Failed)
    assert progress.fault.kind is kind


@pytest.mark.parametrize("status", ["429 Status", "503 Status"])
async def test_why_a_request_failed_is_asked_again_while_the_result_cannot_be_read(status: str) -> None:
    with pytest.raises(ProviderUnreachable):
        await polled(UNTYPED, says({"detail": "later"}, status))


async def test_fals_own_time_limit_is_the_end() -> None:
    late = says({"detail": "timeout"}, "504 Status", "X-Fal-Request-Timeout-Type: user")
    progress = await polled(SUCCESS, late)
    assert isinstance(progress, Failed)
    assert progress.fault.reason == reasons.ERROR_REASON_PROVIDER_TIMEOUT


async def test_a_gateway_that_gave_up_is_not_the_end() -> None:
    with pytest.raises(ProviderUnreachable):
        await polled(SUCCESS, says({"detail": "timeout"}, "504 Status"))
