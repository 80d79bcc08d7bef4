"""Reports of providers for tests: signed as each provider signs them, and everything that they could change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from babysea.generation.v1 import callback_service_pb2 as pb
from babysea.generation.v1 import callback_service_pb2_grpc
from kit.ids import uuid7
from server.generation.execution import store
from server.generation.execution.callback_address import CallbackAddresses
from server.providers.protocol import ProviderRef
from server.runtime import leases
from server.runtime.leases import Job
from server.runtime.lifecycle import serve
from server.runtime.service_identity import make_token
from server.worker import open_executor
from tests.integration.providers.outside import canned, reply
from tests.support.postgres import TestDatabase
from tests.support.region import open_region, settings_for
from tests.support.stack import Customer, Stack

REPLICATE_KEY = bytes(range(24))
FAL_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LATER = 3_600.0

# Everything that a report could wrongly change. The moment at which a worker looks is the one thing that it may.
_STATE = """
    select jsonb_build_object(
      'generation', (select jsonb_agg(g order by g.id) from generation.generation g),
      'attempt', (select jsonb_agg(a order by a.id) from generation.attempt a),
      'output', (select jsonb_agg(o order by o.generation_id, o.ordinal) from generation.output o),
      'account', (select jsonb_agg(c order by c.id) from ledger.account c),
      'transfer', (select count(*) from ledger.transfer),
      'event', (select count(*) from events.event),
      'job', (select jsonb_agg(to_jsonb(j) - 'run_after' order by j.id) from runtime.job j))::text
"""
_DUE = "select run_after <= clock_timestamp() from runtime.job where id = $1"


@dataclass(frozen=True)
class Report:
    """A report as it arrives."""

    provider: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Waiting:
    """A generation whose provider is at work, and that no worker looks at for an hour."""

    generation_id: UUID
    attempt_id: UUID
    provider: str
    job: Job


@dataclass
class Region:
    """A regional server without a worker."""

    stack: Stack
    customer: Customer
    addresses: CallbackAddresses

    async def waiting(
        self, provider: str, job_id: str | None, state: str = "submit_unknown", parts: Sequence[str] = ()
    ) -> Waiting:
        """A generation with an attempt at the provider: accepted under that job id, or in that state without one."""
        created = await self.customer.create(model_identifier="bfl/flux-2-pro")
        generation_id = UUID(created.generation.generation_id)
        engine = self.stack.server.shared.databases.worker
        worker, attempt_id = uuid7(), uuid7()
        await leases.heartbeat(engine, worker, 60, new=True)
        claimed = await leases.claim(engine, worker, 100)
        job = next(job for job in claimed if job.id == generation_id)
        assert await store.begin_attempt(engine, job, attempt_id, 1, provider)
        if job_id is not None:
            ref = ProviderRef(job_id, {}, tuple(ProviderRef(part, {}) for part in parts)).to_json()
            assert await store.record_acceptance(engine, generation_id, attempt_id, job_id, ref) == "recorded"
        elif state != "submitting":
            await store.record_attempt(engine, job, attempt_id, state)
        for each in claimed:
            await leases.give_back(engine, each, LATER)
        return Waiting(generation_id, attempt_id, provider, job)

    async def send(self, report: Report, token: str, provider: str | None = None) -> grpc.StatusCode:
        """Hands a report in as the gateway does."""
        request = pb.ReceiveCallbackRequest(
            provider=provider or report.provider,
            token=token,
            headers=[pb.CallbackHeader(name=name, value=value) for name, value in report.headers.items()],
            body=report.body,
        )
        stub = callback_service_pb2_grpc.CallbackServiceStub(self.stack.channel)
        try:
            answer = await stub.ReceiveCallback(
                request, metadata=(("x-babysea-service", self.stack.service_token),)
            )
        except grpc.aio.AioRpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        assert answer == pb.ReceiveCallbackResponse()
        return grpc.StatusCode.OK

    async def state(self) -> str:
        """All that a report must not change."""
        return str(await self._value(_STATE))

    async def is_due(self, waiting: Waiting) -> bool:
        """Whether a worker looks at the generation now."""
        return bool(await self._value(_DUE, waiting.generation_id))

    async def attempt(self, waiting: Waiting) -> Any:
        """The stored attempt."""
        connection = await self.stack.region.connect()
        try:
            return await connection.fetchrow(
                "select * from generation.attempt where id = $1", waiting.attempt_id
            )
        finally:
            await connection.close()

    async def postpone(self) -> None:
        """Makes nothing due for an hour."""
        await self._value("update runtime.job set run_after = clock_timestamp() + interval '1 hour'")

    async def execute(self, statement: str, *values: object) -> None:
        """Changes the database behind everybody's back."""
        await self._value(statement, *values)

    async def _value(self, statement: str, *values: object) -> Any:
        connection = await self.stack.region.connect()
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()


@asynccontextmanager
async def running_region(database: TestDatabase, folder: Path) -> AsyncIterator[Region]:
    """A regional server that can check the reports of all three providers that report."""
    tokens = {name: make_token(folder / name, prefix) for name, prefix in (("svc", "svc_"), ("op", "op_"))}
    jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": _b64url(FAL_KEY.public_key().public_bytes_raw())}]}
    async with canned(reply("200 OK", json.dumps(jwks).encode(), "content-type: application/json")) as (
        keys,
        _,
    ):
        settings = settings_for(
            database,
            data_dir=folder,
            service_token_file=folder / "svc",
            operator_token_file=folder / "op",
            grpc_listen="127.0.0.1:0",
            fal_base_url=keys,
            replicate_webhook_secret=SecretStr(f"whsec_{base64.b64encode(REPLICATE_KEY).decode()}"),
        )
        region = open_region(database)
        async with (
            serve(settings) as server,
            open_executor(server.shared) as executor,
            grpc.aio.insecure_channel(server.address) as channel,
            httpx.AsyncClient() as nobody,
        ):
            stack = Stack(region, server, channel, nobody, tokens["svc"], tokens["op"], executor)
            addresses = CallbackAddresses(server.shared.envelope.master, "https://api.example.com")
            try:
                yield Region(stack, await stack.customer(), addresses)
            finally:
                await region.close()


def bfl(secret: str, job_id: str, status: str = "Ready", at: float | None = None) -> Report:
    """A report of Black Forest Labs, signed with that secret."""
    stamp = time.time() if at is None else at
    body = json.dumps({"id": job_id, "status": status, "timestamp": stamp}).encode()
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    return Report("bfl", {"x-bfl-signature": f"sha256={signature}"}, body)


def replicate(
    job_id: str,
    event: str = "",
    at: float | None = None,
    key: bytes = REPLICATE_KEY,
    status: str = "succeeded",
) -> Report:
    """A report of Replicate, signed with that key; the event is named after the job unless it has a name."""
    event = event or f"msg-{job_id}"
    stamp = str(int(time.time() if at is None else at))
    body = json.dumps(
        {"id": job_id, "status": status, "output": ["https://files.example.com/1.png"]}
    ).encode()
    made = base64.b64encode(hmac.digest(key, f"{event}.{stamp}.".encode() + body, "sha256")).decode()
    headers = {"webhook-id": event, "webhook-timestamp": stamp, "webhook-signature": f"v1,{made}"}
    return Report("replicate", headers, body)


def fal(job_id: str, at: float | None = None, key: Ed25519PrivateKey = FAL_KEY) -> Report:
    """A report of Fal, signed with that key."""
    stamp = str(int(time.time() if at is None else at))
    body = json.dumps({"request_id": job_id, "status": "OK", "payload": {"images": []}}).encode()
    message = "\n".join((job_id, "user", stamp, hashlib.sha256(body).hexdigest())).encode()
    headers = {
        "x-fal-webhook-request-id": job_id,
        "x-fal-webhook-user-id": "user",
        "x-fal-webhook-timestamp": stamp,
        "x-fal-webhook-signature": key.sign(message).hex(),
    }
    return Report("fal", headers, body)


def _b64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
