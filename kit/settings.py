"""Every setting of every program, typed and described. Read from the environment with the prefix BABYSEA_."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Region = Literal["us", "eu", "jp"]
REGIONS: tuple[Region, ...] = ("us", "eu", "jp")


class Settings(BaseSettings):
    """The settings. A program reads the ones it needs; an absent secret fails when it is first needed."""

    model_config = SettingsConfigDict(env_prefix="BABYSEA_", extra="ignore", frozen=True)

    # Where we are
    region: Region = Field("us", description="Region that this process serves: us, eu or jp.")
    mode: Literal["embedded", "production"] = Field(
        "embedded",
        description="embedded binds to loopback only and calls no real provider; production refuses plaintext hops.",
    )
    data_dir: Path = Field(Path(".babysea"), description="Folder of everything that embedded mode keeps.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line."
    )

    # Database
    database_url: SecretStr = Field(SecretStr(""), description="PostgreSQL URL of the role babysea_app.")
    admitter_database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL URL of the role babysea_admitter."
    )
    worker_database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL URL of the role babysea_worker."
    )
    logs_database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL URL of the role babysea_logger, of the regional server; empty keeps no request log.",
    )
    admin_database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL URL of a role that may run migrations; only `babysea migrate` needs it.",
    )
    vault_database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL URL of the vault database, which keeps wrapped data keys only."
    )
    database_pool_size: int = Field(10, ge=1, le=200, description="Connections per role and process.")
    admitter_pool_size: int = Field(
        4, ge=1, le=32, description="Connections for admission and settlement per process."
    )

    # Secrets
    master_key: SecretStr = Field(
        SecretStr(""),
        description="Regional master key: 32 random bytes in base64. Wraps data keys, derives signing keys.",
    )
    service_token_file: Path | None = Field(
        None, description="File (mode 0600) with the token by which our own services know each other."
    )
    operator_token_file: Path | None = Field(
        None, description="File (mode 0600) with the token of operators."
    )

    # Regional server
    grpc_listen: str = Field("127.0.0.1:0", description="Address on which the regional server listens.")
    services: str = Field("all", description="Services to serve, joined by commas, or all.")
    reflection: bool = Field(True, description="Whether gRPC reflection is served.")
    max_concurrent_rpcs: int = Field(
        500,
        ge=1,
        description="Calls in progress per process; more are shed. At most a fifth of them are streams of files.",
    )
    drain_seconds: float = Field(10.0, ge=0, description="Time given to calls in progress when stopping.")
    bcrypt_cost: int = Field(10, ge=4, le=14, description="bcrypt cost of new API keys.")
    argon2_memory_kib: int = Field(
        65536, ge=64, le=1048576, description="Memory in KiB that hashing a person's password takes."
    )
    argon2_passes: int = Field(3, ge=1, le=20, description="Passes over that memory per password.")
    oidc_providers: str = Field(
        "",
        description="OpenID providers for sign-in, a JSON list of objects with name, issuer, client_id, redirect_uri and, "
        "where they are needed, client_secret_file and scopes.",
    )
    api_base_url: str = Field(
        "http://127.0.0.1:8080",
        description="Public base URL of this region's API; file URLs begin with it. Production wants https.",
    )
    catalog_dir: Path | None = Field(
        None, description="Folder with catalog files that replace the built-in ones of the same name."
    )

    valkey_url: SecretStr = Field(
        SecretStr(""),
        description="Valkey or Redis URL for shared limits; empty limits each process by itself.",
    )
    valkey_budget_seconds: float = Field(
        0.02,
        gt=0,
        le=1,
        description="Time that a request may spend on asking Valkey before it is limited by its process alone.",
    )
    grpc_tls_certificate_file: Path | None = Field(
        None,
        description="PEM certificate chain of the regional server; with the key, calls are served over TLS.",
    )
    grpc_tls_key_file: Path | None = Field(None, description="PEM key of that certificate.")
    grpc_tls_client_ca_file: Path | None = Field(
        None,
        description="PEM certificates of the authorities whose client certificates are trusted; asks callers for one.",
    )
    grpc_mutual_listen: str = Field(
        "127.0.0.1:0",
        description="Address for our own services and operators, who show a certificate; used with the client CA file.",
    )
    fault_points: str = Field(
        "",
        description="Tests only: fault points that obey orders to end this process, joined by commas, or all.",
    )
    audit_seconds: float = Field(
        300.0,
        ge=0,
        description="Time between two audits of the accounts that changed; 0 audits only on request.",
    )

    # Executor
    worker_concurrency: int = Field(32, ge=1, le=1000, description="Jobs that one worker works on at a time.")
    lease_seconds: float = Field(
        15.0, gt=0, description="Time after which a silent worker's jobs go to others."
    )
    storage_url: str = Field(
        "", description="obstore URL of the output store; empty means a folder in data_dir."
    )
    input_allow_private: bool = Field(
        False,
        description="Development only: lets customers' input files come from loopback addresses. Production refuses it.",
    )
    callback_base_url: str = Field(
        "",
        description="Public base URL at which providers report what became of a job; empty means that they are only polled.",
    )
    duplicate_spend_micros: int = Field(
        0,
        ge=0,
        description="Most that a generation may cost us twice, in micro-dollars: as long as jobs of which nobody knows "
        "whether they exist cost no more together, the next provider is tried. 0 fails it instead.",
    )
    # Inference providers: an empty base URL means the catalog's for this region, an absent credential none is called.
    alibaba_base_url: str = Field("", description="Alibaba Cloud's API.")
    alibaba_key: SecretStr = Field(SecretStr(""), description="Alibaba Cloud API key of this region.")
    bfl_base_url: str = Field("", description="Black Forest Labs' API.")
    bfl_key: SecretStr = Field(SecretStr(""), description="Black Forest Labs API key of this region.")
    byteplus_base_url: str = Field("", description="BytePlus' API.")
    byteplus_key: SecretStr = Field(SecretStr(""), description="BytePlus API key of this region.")
    cloudflare_base_url: str = Field("", description="Cloudflare's API, without the account.")
    cloudflare_account_id: str = Field("", description="Cloudflare account that runs the models.")
    cloudflare_token: SecretStr = Field(SecretStr(""), description="Cloudflare API token of this region.")
    fal_base_url: str = Field("", description="Fal's queue API.")
    fal_key: SecretStr = Field(SecretStr(""), description="Fal API key of this region.")
    openai_base_url: str = Field("", description="OpenAI's API.")
    openai_key: SecretStr = Field(SecretStr(""), description="OpenAI API key of this region.")
    replicate_base_url: str = Field("", description="Replicate's API.")
    replicate_token: SecretStr = Field(SecretStr(""), description="Replicate API token of this region.")
    replicate_webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret with which Replicate signs its reports (whsec_…), for servers that hold no token to ask for it.",
    )
    runway_base_url: str = Field("", description="Runway's API.")
    runway_key: SecretStr = Field(SecretStr(""), description="Runway API key of this region.")

    # Notices
    dashboard_base_url: str = Field(
        "http://127.0.0.1:8080", description="Base URL of this region's pages; links in e-mails lead there."
    )
    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="Mail server, smtp://user:password@host:587 (with STARTTLS) or smtps://…; empty writes e-mails to "
        "files in data_dir.",
    )
    smtp_ca_file: Path | None = Field(
        None, description="PEM certificates by which the mail server is checked; the system's when empty."
    )
    mail_from: str = Field(
        "BabySea <no-reply@babysea.ai>",
        description="Address, with or without a name, that e-mails come from.",
    )

    # Telemetry
    trace_sample_ratio: float = Field(1.0, ge=0, le=1, description="Share of traces that are recorded.")
    trace_dir: Path | None = Field(
        None, description="Folder for local traces, one per region below it; empty records none locally."
    )
    otlp_endpoint: str = Field(
        "",
        description='OTLP gRPC endpoint; "{region}" in it becomes the region of the request. Empty exports nothing.',
    )

    # Gateway
    gateway_listen: str = Field(
        "us=127.0.0.1:8080,eu=127.0.0.1:8081,jp=127.0.0.1:8082",
        description="Address per region on which the gateway listens.",
    )
    gateway_upstreams: str = Field(
        "", description="Regional servers, for example us=127.0.0.1:50051;127.0.0.1:50061,eu=…"
    )
    gateway_service_tokens: str = Field(
        "", description="Service token file per region, for example us=/run/us.token,eu=/run/eu.token."
    )
    gateway_tls_ca_file: Path | None = Field(
        None,
        description='PEM certificates by which the gateway checks regional servers; turns TLS on. "{region}" in it becomes '
        "the region, as in the next two.",
    )
    gateway_tls_certificate_file: Path | None = Field(
        None,
        description="PEM client certificate by which regional servers know the gateway; names one region.",
    )
    gateway_tls_key_file: Path | None = Field(None, description="PEM key of that certificate.")
    trusted_hops: int = Field(
        0,
        ge=0,
        le=10,
        description="Proxies of ours in front of the gateway; X-Forwarded-For is believed that far.",
    )


@cache
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


def pairs(text: str) -> dict[str, str]:
    """Parses "us=a,eu=b" into a dictionary.

    Raises:
        ValueError: a part has no "=".
    """
    result: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, separator, value = part.partition("=")
        if not separator:
            raise ValueError(f'"{part}" is not of the form region=value')
        result[key.strip()] = value.strip()
    return result
