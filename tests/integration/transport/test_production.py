"""Production mode, whole: a gateway, a server and a database with no plaintext between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from babysea.keys.v1 import key_service_pb2 as keys
from babysea_sdk import InternalClient
from gateway.main import GatewayStartError, serving
from kit.settings import Settings
from server.runtime.errors import StartError
from server.runtime.lifecycle import serve
from tests.integration.transport.database_proxy import tls_before
from tests.support.authority import Authority, uri
from tests.support.postgres import TestDatabase
from tests.support.region import TestRegion, settings_for

_URLS = (
    "database_url",
    "admitter_database_url",
    "worker_database_url",
    "logs_database_url",
    "vault_database_url",
    "admin_database_url",
)


def _over_tls(database: TestDatabase, port: int, authority: Authority) -> dict[str, SecretStr]:
    """The region's database URLs through the proxy, with the certificate checked."""
    plain = settings_for(database)
    urls = {name: getattr(plain, name).get_secret_value() for name in _URLS}
    return {
        name: SecretStr(
            url.replace(f"127.0.0.1:{database.cluster.port}", f"localhost:{port}")
            + f"?sslmode=verify-full&sslrootcert={authority.file}"
        )
        for name, url in urls.items()
    }


async def test_a_customer_is_served_over_encrypted_hops_only(
    database: TestDatabase, region: TestRegion, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    files = authority.server()
    operator = authority.client(uri("us", "operator/ada"), name="operator")
    gateway_files = authority.client(uri("us", "gateway"), name="gateway")
    account = await region.new_account(credit=1_000_000)
    async with tls_before(database.cluster.port, authority.server(name="database")) as port:
        settings = settings_for(
            database,
            mode="production",
            **_over_tls(database, port, authority),
            grpc_tls_certificate_file=files.certificate,
            grpc_tls_key_file=files.key,
            grpc_tls_client_ca_file=authority.file,
            services="accounts,keys,ledger",
            drain_seconds=1,
        )
        async with serve(settings) as server:
            async with InternalClient(server.mutual_address, tls=operator, region="us") as client:
                made = await client.keys.create_key(
                    keys.CreateKeyRequest(account_id=str(account), name="test", preset="full_access")
                )
            outside = Settings(
                mode="production",
                gateway_listen="us=127.0.0.1:0",
                gateway_upstreams=f"us={server.mutual_address}",
                gateway_tls_ca_file=authority.file,
                gateway_tls_certificate_file=gateway_files.certificate,
                gateway_tls_key_file=gateway_files.key,
            )
            async with (
                serving(outside) as gateway,
                httpx.AsyncClient(base_url=gateway.urls["us"], trust_env=False) as http,
            ):
                answer = await http.get("/v1/status", headers={"authorization": f"Bearer {made.secret}"})
                assert answer.status_code == 200


async def test_a_database_with_a_strangers_certificate_is_not_spoken_to(
    database: TestDatabase, tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "stranger", "stranger")
    async with tls_before(database.cluster.port, stranger.server()) as port:
        settings = settings_for(database, **_over_tls(database, port, authority))
        with pytest.raises(StartError, match="database"):
            async with serve(settings):
                pass


async def test_production_starts_with_no_plaintext_hop(database: TestDatabase) -> None:
    with pytest.raises(StartError, match="sslmode=verify-full to BABYSEA_DATABASE_URL"):
        async with serve(settings_for(database, mode="production")):
            pass


@pytest.mark.parametrize("named", [{}, {"gateway_tls_ca_file": "ca.pem"}])
async def test_a_gateway_of_production_needs_all_three_files(named: dict[str, Any]) -> None:
    settings = Settings(mode="production", gateway_upstreams="us=127.0.0.1:1", **named)
    with pytest.raises(GatewayStartError, match="BABYSEA_GATEWAY_TLS_KEY_FILE"):
        async with serving(settings):
            pass


async def test_a_gateways_files_that_do_not_fit_end_in_one_sentence(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.client(name="one"), authority.client(name="other")
    settings = Settings(
        gateway_listen="us=127.0.0.1:0",
        gateway_upstreams="us=127.0.0.1:1",
        gateway_tls_ca_file=authority.file,
        gateway_tls_certificate_file=one.certificate,
        gateway_tls_key_file=other.key,
    )
    with pytest.raises(GatewayStartError, match=r"^BABYSEA_GATEWAY_TLS_\*: [^\n]+\.$"):
        async with serving(settings):
            pass


async def test_production_serves_no_files_whose_urls_would_be_plaintext(
    database: TestDatabase, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    async with tls_before(database.cluster.port, authority.server(name="database")) as port:
        urls = _over_tls(database, port, authority)
        for service in ("generation", "files"):
            changes = {
                "mode": "production",
                "services": service,
                "api_base_url": "http://api.example",
                **urls,
            }
            with pytest.raises(StartError, match="BABYSEA_API_BASE_URL"):
                async with serve(settings_for(database, **changes)):
                    pass
