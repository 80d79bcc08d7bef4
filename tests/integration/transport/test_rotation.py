"""Certificates are replaced while calls are under way, and no call notices."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from babysea.ledger.v1 import ledger_service_pb2 as ledger
from babysea_sdk import CallError, Connection, InternalClient, TlsFiles
from babysea_sdk.tls import TlsReader
from gateway.main import serving
from kit.ids import uuid7
from kit.settings import Settings
from tests.integration.transport.conftest import Secured
from tests.support.authority import Authority, uri

RELEASE = ledger.ReleaseRequest(hold_id=str(uuid7()))


async def _serial_shown(secured: Secured) -> int:
    """Serial number of the certificate that the open port shows now."""
    host, _, port = secured.server.address.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def test_certificates_of_both_sides_rotate_under_load_without_a_failed_call(secured: Secured) -> None:
    stop, done, failed = asyncio.Event(), [0], list[CallError]()
    client = secured.internal(secured.gateway)

    async def call_on(fresh: bool) -> None:
        while not stop.is_set():
            caller = secured.internal(secured.gateway) if fresh else client
            try:
                await caller.ledger.release(RELEASE)
                done[0] += 1
            except CallError as error:
                failed.append(error)
            finally:
                if fresh:
                    await caller.close()

    load = [asyncio.create_task(call_on(fresh=number == 0)) for number in range(6)]
    serials = {await _serial_shown(secured)}
    channels = {id(client._calls.connection.channel())}
    held = [client._calls.connection.channel()]
    for _ in range(3):
        secured.authority.server()
        secured.authority.client(uri("us", "gateway"), name="gateway")
        serials.add(await _serial_shown(secured))
        before = done[0]
        async with asyncio.timeout(20):
            while (newest := client._calls.connection.channel()) is held[-1] or done[0] < before + 50:
                await asyncio.sleep(0.05)
        held.append(newest)
        channels.add(id(newest))
    stop.set()
    await asyncio.gather(*load)
    await client.close()
    assert failed == []
    assert len(serials) == 4, "every new connection meets the newest certificate"
    assert len(channels) == 4, "the client begins to use each of its own"
    assert done[0] > 150


async def test_a_half_replaced_pair_waits_for_its_other_half(secured: Secured) -> None:
    files = secured.gateway
    assert files.certificate is not None
    assert files.key is not None
    reader = TlsReader(files)
    old, key = reader.current(), files.key.read_bytes()
    new = secured.authority.client(uri("us", "gateway"), name="next")
    assert new.certificate is not None
    assert new.key is not None
    files.certificate.write_bytes(new.certificate.read_bytes())
    assert reader.current(at_once=True) is old
    assert old.key == key
    files.key.write_bytes(new.key.read_bytes())
    assert reader.current(at_once=True).certificate == new.certificate.read_bytes()


async def test_a_server_with_a_broken_new_certificate_goes_on_with_the_old_one(secured: Secured) -> None:
    before = await _serial_shown(secured)
    assert secured.settings.grpc_tls_certificate_file is not None
    secured.settings.grpc_tls_certificate_file.write_text("not a certificate")
    assert await _serial_shown(secured) == before


async def test_an_authority_is_replaced_without_a_restart(secured: Secured, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other authority")
    newcomer = other.client(uri("us", "gateway"))
    shown = TlsFiles(secured.authority.file, newcomer.certificate, newcomer.key)
    async with InternalClient(secured.server.mutual_address, tls=shown, region="us") as client:
        with pytest.raises(CallError):
            await client.ledger.release(RELEASE)
    own = secured.authority.file
    both = tmp_path / "both.pem"
    both.write_bytes(own.read_bytes() + other.file.read_bytes())
    both.replace(own)
    async with InternalClient(secured.server.mutual_address, tls=shown, region="us") as client:
        assert (await client.ledger.release(RELEASE)).result == "unknown_hold"


async def test_the_gateway_serves_customers_over_mtls_while_its_certificate_rotates(secured: Secured) -> None:
    secret = await secured.new_key()
    settings = _gateway(secured, f"us={secured.server.mutual_address}")
    async with (
        serving(settings) as gateway,
        httpx.AsyncClient(
            base_url=gateway.urls["us"], headers={"authorization": f"Bearer {secret}"}, trust_env=False
        ) as client,
    ):
        statuses = list[int]()
        for number in range(60):
            if number % 20 == 10:
                secured.authority.client(uri("us", "gateway"), name="gateway")
                secured.authority.server()
                await asyncio.sleep(0.6)
            statuses.append((await client.get("/v1/status")).status_code)
        assert statuses == [200] * 60


async def test_the_gateway_never_takes_one_regions_customers_to_another(secured: Secured) -> None:
    secret = await secured.new_key()
    settings = _gateway(secured, f"eu={secured.server.mutual_address}", gateway_listen="eu=127.0.0.1:0")
    async with (
        serving(settings) as gateway,
        httpx.AsyncClient(
            base_url=gateway.urls["eu"], headers={"authorization": f"Bearer {secret}"}, trust_env=False
        ) as client,
    ):
        assert (await client.get("/v1/status")).status_code == 503


async def test_each_region_gets_the_certificate_that_names_it(secured: Secured, tmp_path: Path) -> None:
    secret = await secured.new_key()
    for region in ("us", "eu"):
        Authority(tmp_path / region, region).client(uri(region, "gateway"), name="gateway")
    own = tmp_path / "us"
    for source, name in zip(
        secured.gateway.named, ("authority.pem", "gateway.pem", "gateway.key"), strict=True
    ):
        (own / name).write_bytes(source.read_bytes())
    settings = _gateway(
        secured,
        f"us={secured.server.mutual_address},eu={secured.server.mutual_address}",
        gateway_listen="us=127.0.0.1:0,eu=127.0.0.1:0",
        gateway_tls_ca_file=f"{tmp_path}/{{region}}/authority.pem",
        gateway_tls_certificate_file=f"{tmp_path}/{{region}}/gateway.pem",
        gateway_tls_key_file=f"{tmp_path}/{{region}}/gateway.key",
    )
    headers = {"authorization": f"Bearer {secret}"}
    async with serving(settings) as gateway, httpx.AsyncClient(headers=headers, trust_env=False) as client:
        statuses = {
            name: (await client.get(f"{url}/v1/status")).status_code for name, url in gateway.urls.items()
        }
    assert statuses == {"us": 200, "eu": 503}


async def test_a_stream_goes_on_over_the_channel_that_it_began_on(secured: Secured) -> None:
    connection = Connection(secured.server.mutual_address, tls=secured.gateway, region="us")
    first = connection.channel()
    stub: Any = health_pb2_grpc.HealthStub(first)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    secured.authority.client(uri("us", "gateway"), name="gateway")
    async with asyncio.timeout(10):
        while connection.channel() is first:
            await asyncio.sleep(0.05)
    assert not watch.done()
    assert first.get_state() is grpc.ChannelConnectivity.READY
    watch.cancel()
    await connection.close()


def _gateway(secured: Secured, upstreams: str, **changes: str) -> Settings:
    return Settings.model_validate(
        {
            "gateway_listen": "us=127.0.0.1:0",
            "gateway_upstreams": upstreams,
            "gateway_tls_ca_file": secured.gateway.authorities,
            "gateway_tls_certificate_file": secured.gateway.certificate,
            "gateway_tls_key_file": secured.gateway.key,
            **changes,
        }
    )
