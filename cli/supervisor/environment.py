"""The environment of each program: only what it needs, so that a secret reaches nobody else."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from cli.supervisor.layout import Layout
from cli.supervisor.plan import Plan
from cli.supervisor.ports import HOST
from cli.supervisor.secrets import RegionSecrets
from sandbox.config import webhook_secret

SUPERVISED = "BABYSEA_SUPERVISED"
"""Set for programs whose standard input is a pipe that the supervisor holds: they end when it does."""

_INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
# Settings that change how a program behaves but neither where it listens nor what it may know.
_TUNABLE = tuple(
    f"BABYSEA_{name}"
    for name in (
        *("LOG_LEVEL", "REFLECTION", "SERVICES", "MAX_CONCURRENT_RPCS", "DRAIN_SECONDS", "BCRYPT_COST"),
        *("CATALOG_DIR", "DATABASE_POOL_SIZE", "ADMITTER_POOL_SIZE", "WORKER_CONCURRENCY", "LEASE_SECONDS"),
        *(
            "TRACE_SAMPLE_RATIO",
            "OTLP_ENDPOINT",
            "TRUSTED_HOPS",
            "FAULT_POINTS",
            "ARGON2_MEMORY_KIB",
            "ARGON2_PASSES",
            "OIDC_PROVIDERS",
            "INPUT_ALLOW_PRIVATE",
        ),
    )
)

_MAIL = ("BABYSEA_SMTP_URL", "BABYSEA_SMTP_CA_FILE", "BABYSEA_MAIL_FROM")
"""Settings of the worker, which sends the e-mails."""


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """The URLs of one region's cluster, by what they are for."""

    admin: str
    vault_admin: str
    roles: Mapping[str, str]
    """Main database, by role."""
    vault_roles: Mapping[str, str]
    """Vault database, by role."""


def command(*arguments: str) -> list[str]:
    """The command line that runs `babysea` with the same interpreter, wherever the current folder is."""
    # -P keeps the current folder out of the import path: a folder named "server" there must not be imported.
    return [sys.executable, "-P", "-m", "cli.main", *arguments]


def inherited() -> dict[str, str]:
    """The variables of ours that every program gets."""
    return {name: os.environ[name] for name in (*_INHERITED, *_TUNABLE) if name in os.environ}


def _region_basics(layout: Layout, region: str) -> dict[str, str]:
    return {
        **inherited(),
        "BABYSEA_REGION": region,
        "BABYSEA_MODE": "embedded",
        "BABYSEA_DATA_DIR": str(layout.root),
        "BABYSEA_TRACE_DIR": str(layout.traces),
        SUPERVISED: "1",
    }


def for_server(
    layout: Layout, plan: Plan, region: str, secrets: RegionSecrets, urls: DatabaseUrls, number: int = 1
) -> dict[str, str]:
    """The regional server of that number; each listens on a port of its own."""
    return {
        **_regional(layout, plan, region, secrets, urls),
        "BABYSEA_VAULT_DATABASE_URL": urls.vault_roles["babysea_app"],
        "BABYSEA_LOGS_DATABASE_URL": urls.roles["babysea_logger"],
        "BABYSEA_OPERATOR_TOKEN_FILE": str(layout.region(region).operator_token),
        # What a server needs to check providers' reports; it holds no credential to call them.
        "BABYSEA_FAL_BASE_URL": f"{plan.sandbox_url}/fal",
        "BABYSEA_REPLICATE_WEBHOOK_SECRET": webhook_secret(),
        "BABYSEA_GRPC_LISTEN": plan.servers(region)[number - 1],
    }


def for_worker(
    layout: Layout, plan: Plan, region: str, secrets: RegionSecrets, urls: DatabaseUrls
) -> dict[str, str]:
    """One executor: the only program with provider credentials."""
    return {
        **_regional(layout, plan, region, secrets, urls),
        "BABYSEA_VAULT_DATABASE_URL": urls.vault_roles["babysea_worker"],
        **_sandboxed_providers(plan, region),
        # Links in e-mails lead to the region's own pages.
        "BABYSEA_DASHBOARD_BASE_URL": plan.api_url(region),
        **{name: os.environ[name] for name in _MAIL if name in os.environ},
    }


def _sandboxed_providers(plan: Plan, region: str) -> dict[str, str]:
    """Where each provider is in the sandbox, and a key that it takes; no real key is ever passed on."""
    prefixes = {
        "ALIBABA": "/alibaba/api/v1",
        # Its official client drops every prefix of a base URL, so it has the root of the host.
        "BFL": "",
        "BYTEPLUS": "/byteplus/api/v3",
        "CLOUDFLARE": "/cloudflare/client/v4",
        "FAL": "/fal",
        "OPENAI": "/openai/v1",
        "REPLICATE": "/replicate",
        "RUNWAY": "/runway",
    }
    return {
        **{f"BABYSEA_{name}_BASE_URL": f"{plan.sandbox_url}{prefix}" for name, prefix in prefixes.items()},
        "BABYSEA_ALIBABA_KEY": f"sk-sandbox-{region}",
        "BABYSEA_BFL_KEY": f"bfl-sandbox-{region}",
        "BABYSEA_BYTEPLUS_KEY": f"ark-sandbox-{region}",
        "BABYSEA_CLOUDFLARE_ACCOUNT_ID": f"sandbox{region}",
        "BABYSEA_CLOUDFLARE_TOKEN": f"cf-sandbox-{region}",
        "BABYSEA_FAL_KEY": f"sandbox:{region}",
        "BABYSEA_OPENAI_KEY": f"sk-sandbox-{region}",
        "BABYSEA_REPLICATE_TOKEN": f"r8_sandbox_{region}",
        "BABYSEA_RUNWAY_KEY": f"key_sandbox_{region}",
    }


def _regional(
    layout: Layout, plan: Plan, region: str, secrets: RegionSecrets, urls: DatabaseUrls
) -> dict[str, str]:
    place = layout.region(region)
    return {
        **_region_basics(layout, region),
        "BABYSEA_DATABASE_URL": urls.roles["babysea_app"],
        "BABYSEA_ADMITTER_DATABASE_URL": urls.roles["babysea_admitter"],
        "BABYSEA_WORKER_DATABASE_URL": urls.roles["babysea_worker"],
        "BABYSEA_MASTER_KEY": secrets.master_key,
        "BABYSEA_SERVICE_TOKEN_FILE": str(place.service_token),
        "BABYSEA_API_BASE_URL": plan.api_url(region),
        "BABYSEA_CALLBACK_BASE_URL": plan.api_url(region),
        "BABYSEA_STORAGE_URL": place.storage.as_uri(),
    }


def for_gateway(layout: Layout, plan: Plan) -> dict[str, str]:
    """The gateway: addresses and the files with its service tokens; no database, no key, no provider."""
    regions = list(plan.api)
    return {
        **inherited(),
        "BABYSEA_MODE": "embedded",
        "BABYSEA_TRACE_DIR": str(layout.traces),
        "BABYSEA_GATEWAY_LISTEN": ",".join(f"{region}={HOST}:{plan.api[region]}" for region in regions),
        "BABYSEA_GATEWAY_UPSTREAMS": ",".join(
            f"{region}={';'.join(plan.servers(region))}" for region in regions
        ),
        "BABYSEA_GATEWAY_SERVICE_TOKENS": ",".join(
            f"{region}={layout.region(region).service_token}" for region in regions
        ),
        SUPERVISED: "1",
    }


def for_sandbox() -> dict[str, str]:
    """The sandbox knows nothing of ours."""
    return {**inherited(), SUPERVISED: "1"}
