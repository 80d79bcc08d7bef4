"""Production refuses every plaintext hop in one sentence; embedded mode stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from kit.settings import Settings
from server.runtime.database import asyncpg_url
from server.runtime.errors import StartError
from server.runtime.listening import bind, bind_mutual
from server.runtime.transport import file_url_base, refuse_plaintext, refuse_real_providers
from tests.support.authority import Authority

_SAFE_URL = SecretStr("postgresql://role:word@db.example/region?sslmode=verify-full")
_SAFE: dict[str, Any] = {
    "mode": "production",
    "database_url": _SAFE_URL,
    "admitter_database_url": _SAFE_URL,
    "worker_database_url": _SAFE_URL,
    "logs_database_url": _SAFE_URL,
    "vault_database_url": _SAFE_URL,
    "valkey_url": SecretStr("rediss://cache.example:6380"),
    "storage_url": "s3://outputs",
    "otlp_endpoint": "https://otel.example:4317",
}


def test_production_with_every_hop_encrypted_starts() -> None:
    refuse_plaintext(Settings(**_SAFE))
    refuse_plaintext(Settings(**{**_SAFE, "valkey_url": SecretStr("valkeys://cache.example:6380")}))
    refuse_plaintext(Settings(**{**_SAFE, "valkey_url": SecretStr("")}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://role:word@db.example/region"),
        ("admitter_database_url", "postgresql://role:word@db.example/region?sslmode=require"),
        ("worker_database_url", "postgresql://role:word@db.example/region?sslmode=verify-ca"),
        ("logs_database_url", "postgresql://role:word@db.example/region"),
        ("vault_database_url", "postgresql://role:word@db.example/r?sslmode=disable&sslmode=verify-full"),
        ("valkey_url", "redis://:word@cache.example:6379"),
        ("valkey_url", "valkey://:word@cache.example:6379"),
        ("storage_url", "http://storage.example/word"),
        ("storage_url", "s3://outputs?endpoint=HTTP://word.example"),
        ("replicate_base_url", "http://word.example"),
        ("fal_base_url", "http://word.example"),
        ("bfl_base_url", "http://word.example"),
        ("callback_base_url", "http://word.example"),
        ("otlp_endpoint", "http://word.example:4317"),
        ("smtp_url", "http://word.example"),
    ],
)
def test_production_names_the_hop_that_is_plaintext(name: str, value: str) -> None:
    with pytest.raises(StartError) as raised:
        refuse_plaintext(Settings(**{**_SAFE, name: value}))
    sentence = str(raised.value)
    assert f"BABYSEA_{name.upper()}" in sentence
    assert "refuses" in sentence
    assert "\n" not in sentence
    assert "word" not in sentence, "a URL is a secret"
    refuse_plaintext(Settings(**{**_SAFE, name: value, "mode": "embedded"}))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://api.example", "HTTP://api.example", "//api.example", ""]
)
def test_production_signs_no_file_urls_without_tls(url: str) -> None:
    with pytest.raises(StartError, match=r"^Production mode [^\n]+BABYSEA_API_BASE_URL\.$"):
        file_url_base(Settings(**{**_SAFE, "api_base_url": url}))
    assert file_url_base(Settings(**{**_SAFE, "api_base_url": url, "mode": "embedded"})) == url


def test_production_signs_file_urls_with_tls() -> None:
    for url in ("https://api.us.example", "HTTPS://api.us.example/"):
        assert file_url_base(Settings(**{**_SAFE, "api_base_url": url})) == url
    with pytest.raises(StartError, match="BABYSEA_API_BASE_URL"):
        file_url_base(Settings(**_SAFE))


_CREDENTIALS = {
    "alibaba_key": "alibaba_base_url",
    "bfl_key": "bfl_base_url",
    "byteplus_key": "byteplus_base_url",
    "cloudflare_token": "cloudflare_base_url",
    "fal_key": "fal_base_url",
    "openai_key": "openai_base_url",
    "replicate_token": "replicate_base_url",
    "runway_key": "runway_base_url",
}


@pytest.mark.parametrize(("credential", "base_url"), _CREDENTIALS.items())
def test_embedded_mode_takes_a_providers_credential_for_the_sandbox_only(
    credential: str, base_url: str
) -> None:
    def embedded(url: str, **changes: Any) -> Settings:
        return Settings(**{credential: SecretStr("a word"), base_url: url, **changes})

    for real in (
        "",
        "https://api.example",
        "http://10.0.0.1:8090/x",
        "https://127.0.0.1.example",
        "nonsense",
    ):
        with pytest.raises(StartError) as raised:
            refuse_real_providers(embedded(real))
        sentence = str(raised.value)
        assert f"BABYSEA_{credential.upper()}" in sentence
        assert "BABYSEA_MODE=production" in sentence
        assert "word" not in sentence
        assert "example" not in sentence, "a URL is a secret"
        refuse_real_providers(embedded(real, **{credential: SecretStr("")}))
        refuse_real_providers(embedded(real, mode="production"))
    for ours in ("http://127.0.0.1:8090/x", "http://localhost:8090", "http://[::1]:8090", "http://127.1.2.3"):
        refuse_real_providers(embedded(ours))


def test_every_credential_that_a_setting_names_is_looked_at() -> None:
    named = {name for name in Settings.model_fields if name.endswith("_base_url")}
    ours = {"api_base_url", "callback_base_url", "dashboard_base_url"}
    assert set(_CREDENTIALS.values()) == named - ours


@pytest.mark.parametrize("program", ["main", "worker"])
def test_server_and_worker_without_a_mode_do_not_start_with_a_real_key(program: str) -> None:
    source = f"from kit.settings import Settings; from server.{program} import run; run(Settings())"
    environment = {**os.environ, "BABYSEA_OPENAI_KEY": "sk-word"}
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "StartError: Embedded mode calls providers on this machine only" in last
    assert "word" not in done.stderr


async def test_production_serves_neither_plaintext_nor_services_without_certificates(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="BABYSEA_GRPC_TLS_CERTIFICATE_FILE"):
        bind(grpc.aio.server(), Settings(mode="production"))
    files = Authority(tmp_path).server()
    served = Settings(
        mode="production",
        grpc_tls_certificate_file=files.certificate,
        grpc_tls_key_file=files.key,
        grpc_listen="0.0.0.0:0",
    )
    assert bind(grpc.aio.server(), served)
    with pytest.raises(StartError, match="BABYSEA_GRPC_TLS_CLIENT_CA_FILE"):
        bind_mutual(grpc.aio.server(), served)


async def test_files_that_do_not_fit_end_in_one_sentence(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files, other = authority.server(), authority.server(name="other")
    broken: list[dict[str, Any]] = [
        {"grpc_tls_certificate_file": files.certificate},
        {"grpc_tls_key_file": files.key},
        {"grpc_tls_certificate_file": files.certificate, "grpc_tls_key_file": other.key},
        {"grpc_tls_certificate_file": tmp_path / "none", "grpc_tls_key_file": files.key},
    ]
    for changes in broken:
        with pytest.raises(StartError, match=r"^BABYSEA_GRPC_TLS_\*: [^\n]+\.$"):
            bind(grpc.aio.server(), Settings(**changes))
    with pytest.raises(StartError, match="needs TLS"):
        bind_mutual(grpc.aio.server(), Settings(grpc_tls_client_ca_file=authority.file))


async def test_embedded_mode_needs_nothing(tmp_path: Path) -> None:
    assert bind(grpc.aio.server(), Settings())
    assert bind_mutual(grpc.aio.server(), Settings()) == ""


def test_what_a_url_says_about_tls_reaches_the_driver() -> None:
    url = asyncpg_url(
        "postgresql://role:word@db.example:5432/region?sslmode=verify-full&sslrootcert=/etc/ca.pem"
    )
    assert url.drivername == "postgresql+asyncpg"
    assert (url.host, url.database) == ("db.example", "region")
    assert set(url.query) == {"dsn"}
    assert "sslmode=verify-full" in str(url.query["dsn"])
    assert asyncpg_url("postgresql://role@db.example/region").query == {}
