"""Checks of what providers report, for a process that never calls them: as few credentials as each way of signing allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from kit.clock import Clock, SystemClock
from kit.settings import Settings
from server.catalog.types import Catalog, ProviderInfo, ProviderModel
from server.providers.fal import keys_url_of
from server.providers.http import ProviderHttp
from server.providers.protocol import CallbackFacts, ProviderRef
from server.providers.signatures import FalSignatures, ReplicateSignatures, verify_bfl

_CALL_SECONDS = 4.0
"""A provider that reports waits about ten seconds for our answer, and the gateway eight."""
_PURPOSE = "X-Purpose"

Verify = Callable[[Mapping[str, str], bytes, str], Awaitable[CallbackFacts]]
"""What a report is about, of its headers, its body and the attempt's secret; raises as `Adapter.verify_callback`."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """How reports of one provider are understood."""

    verify: Verify
    ref_of: Callable[[str, ProviderModel], ProviderRef]
    """How a job of that id and model is found; only of ids that a verified report named."""


@dataclass(frozen=True, slots=True)
class Verifiers:
    """The verifiers by provider id."""

    by_provider: Mapping[str, Verifier]
    connections: tuple[ProviderHttp, ...]

    def get(self, provider_id: str) -> Verifier | None:
        """The verifier of that id; None where reports cannot be checked here."""
        return self.by_provider.get(provider_id)

    async def aclose(self) -> None:
        """Closes every connection."""
        for connection in self.connections:
            await connection.aclose()


def open_verifiers(settings: Settings, catalog: Catalog, clock: Clock | None = None) -> Verifiers:
    """Makes the verifiers of the providers that report; nothing connects before the first report.

    Replicate's needs its signing secret, or a token to ask for it; without both there is none.

    Raises:
        ValueError: that secret is none; the message says what to do.
    """
    clock = clock or SystemClock()
    made: dict[str, Verifier] = {}
    connections: list[ProviderHttp] = []
    for info in catalog.providers.values():
        if not info.callbacks or info.provider_id not in _MAKERS:
            continue
        verifier, http = _MAKERS[info.provider_id](settings, info, clock)
        connections += [] if http is None else [http]
        if verifier is not None:
            made[info.provider_id] = verifier
    return Verifiers(made, tuple(connections))


_Made = tuple[Verifier | None, ProviderHttp | None]


def _bfl(settings: Settings, info: ProviderInfo, clock: Clock) -> _Made:
    async def verify(headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        return verify_bfl(headers, body, secret, clock.now())

    return Verifier(verify, _by_id), None


def _fal(settings: Settings, info: ProviderInfo, clock: Clock) -> _Made:
    queue = (settings.fal_base_url or info.endpoints[settings.region]).rstrip("/")
    keys_url = keys_url_of(queue, info)
    # Its keys are public: no credential goes along.
    http = ProviderHttp(
        info.provider_id,
        keys_url.rpartition("/.well-known/")[0],
        "callbacks",
        SecretStr(""),
        header=_PURPOSE,
        call_seconds=_CALL_SECONDS,
    )
    signatures = FalSignatures(http, info.name, keys_url, clock)

    async def verify(headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        return await signatures.verify(headers, body)

    def ref_of(job_id: str, model: ProviderModel) -> ProviderRef:
        # A request belongs to the application; what stands behind its name in a model's path is left out.
        application = "/".join(model.path.split("/")[:2])
        request = f"{queue}/{application}/requests/{job_id}"
        return ProviderRef(
            job_id, {"status": f"{request}/status", "result": request, "cancel": f"{request}/cancel"}
        )

    return Verifier(verify, ref_of), http


def _replicate(settings: Settings, info: ProviderInfo, clock: Clock) -> _Made:
    secret, token = settings.replicate_webhook_secret, settings.replicate_token
    if not secret.get_secret_value() and not token.get_secret_value():
        return None, None
    http = ProviderHttp(
        info.provider_id,
        settings.replicate_base_url or info.endpoints[settings.region],
        "Bearer",
        token,
        call_seconds=_CALL_SECONDS,
    )
    signatures = ReplicateSignatures(http, info.name, clock, secret.get_secret_value())

    async def verify(headers: Mapping[str, str], body: bytes, _secret: str) -> CallbackFacts:
        return await signatures.verify(headers, body)

    return Verifier(verify, _by_id), http


def _by_id(job_id: str, _model: ProviderModel) -> ProviderRef:
    return ProviderRef(job_id, {})


_MAKERS: Mapping[str, Callable[[Settings, ProviderInfo, Clock], _Made]] = {
    "bfl": _bfl,
    "fal": _fal,
    "replicate": _replicate,
}
