"""Encrypted transport: what this server shows to its callers, and that no hop of production is plaintext."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import grpc

from babysea_sdk.tls import TlsFiles, TlsFilesError, TlsMaterial, TlsReader
from kit.settings import Settings
from server.runtime.errors import StartError

_DATABASES = (
    "database_url",
    "admitter_database_url",
    "worker_database_url",
    "logs_database_url",
    "vault_database_url",
    "admin_database_url",
)
_OUTSIDE = (
    "storage_url",
    *("alibaba_base_url", "bfl_base_url", "byteplus_base_url", "cloudflare_base_url"),
    *("fal_base_url", "openai_base_url", "replicate_base_url", "runway_base_url"),
    "callback_base_url",
    "otlp_endpoint",
)
_PROVIDERS = (
    ("alibaba_base_url", "alibaba_key"),
    ("bfl_base_url", "bfl_key"),
    ("byteplus_base_url", "byteplus_key"),
    ("cloudflare_base_url", "cloudflare_token"),
    ("fal_base_url", "fal_key"),
    ("openai_base_url", "openai_key"),
    ("replicate_base_url", "replicate_token"),
    ("runway_base_url", "runway_key"),
)
"""Where each provider is called, and with what; an empty URL is the provider's own."""
_VALKEY_SCHEMES = ("rediss", "valkeys")
_SMTP_SCHEMES = ("smtp", "smtps")
"""smtp:// is one of them because production insists on STARTTLS there."""


def public_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """TLS for callers without a certificate, such as customers; None where the settings name no certificate.

    Raises:
        StartError: the files cannot be used, or production would serve plaintext.
    """
    if settings.grpc_tls_certificate_file is None and settings.grpc_tls_key_file is None:
        if settings.mode == "production":
            raise StartError(
                "Production mode refuses plaintext gRPC; set BABYSEA_GRPC_TLS_CERTIFICATE_FILE and "
                "BABYSEA_GRPC_TLS_KEY_FILE."
            )
        return None
    files = TlsFiles(None, settings.grpc_tls_certificate_file, settings.grpc_tls_key_file)
    return _credentials(files, ask_for_certificate=False)


def mutual_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """TLS for our own services and operators, who show a certificate; None where no authority of theirs is named.

    Raises:
        StartError: the files cannot be used, or production would know its own services by less than a certificate.
    """
    authorities = settings.grpc_tls_client_ca_file
    if authorities is None:
        if settings.mode == "production":
            raise StartError(
                "Production mode knows services and operators by certificate; set "
                "BABYSEA_GRPC_TLS_CLIENT_CA_FILE."
            )
        return None
    if settings.grpc_tls_certificate_file is None or settings.grpc_tls_key_file is None:
        raise StartError(
            "BABYSEA_GRPC_TLS_CLIENT_CA_FILE needs TLS; set BABYSEA_GRPC_TLS_CERTIFICATE_FILE and "
            "BABYSEA_GRPC_TLS_KEY_FILE too."
        )
    files = TlsFiles(authorities, settings.grpc_tls_certificate_file, settings.grpc_tls_key_file)
    return _credentials(files, ask_for_certificate=True)


def refuse_plaintext(settings: Settings) -> None:
    """Checks that every hop from a process of production to what it depends on is encrypted.

    Raises:
        StartError: the first one that is not, in one sentence without its URL.
    """
    if settings.mode == "production":
        for sentence in _plaintext_hops(settings):
            raise StartError(sentence)


def refuse_real_providers(settings: Settings) -> None:
    """Checks that embedded mode, in which outputs may come from private addresses, calls nobody outside of this machine.

    Raises:
        StartError: a credential would go to a real provider; one sentence without it.
    """
    if settings.mode == "production":
        return
    for base_url, credential in _PROVIDERS:
        if getattr(settings, credential).get_secret_value() and not _on_this_machine(
            getattr(settings, base_url)
        ):
            raise StartError(
                f"Embedded mode calls providers on this machine only; set BABYSEA_MODE=production to use "
                f"BABYSEA_{credential.upper()}, or let BABYSEA_{base_url.upper()} lead to the sandbox."
            )


def file_url_base(settings: Settings) -> str:
    """The public URL with which signed file URLs begin.

    Raises:
        StartError: production would hand them out as plaintext.
    """
    base = settings.api_base_url
    if settings.mode == "production" and not base.lower().startswith("https://"):
        raise StartError(
            "Production mode signs no file URLs without TLS; use https:// in BABYSEA_API_BASE_URL."
        )
    return base


def _on_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plaintext_hops(settings: Settings) -> Iterator[str]:
    for name in _DATABASES:
        url = getattr(settings, name).get_secret_value()
        if url and parse_qs(urlsplit(url).query).get("sslmode") != ["verify-full"]:
            yield (
                f"Production mode refuses a database without verified TLS; "
                f"add sslmode=verify-full to BABYSEA_{name.upper()}."
            )
    valkey = settings.valkey_url.get_secret_value()
    if valkey and urlsplit(valkey).scheme not in _VALKEY_SCHEMES:
        yield "Production mode refuses plaintext to Valkey; begin BABYSEA_VALKEY_URL with rediss:// or valkeys://."
    smtp = settings.smtp_url.get_secret_value()
    if smtp and urlsplit(smtp).scheme not in _SMTP_SCHEMES:
        yield "Production mode refuses plaintext to the mail server; begin BABYSEA_SMTP_URL with smtp:// or smtps://."
    for name in _OUTSIDE:
        # Anywhere in it: a storage URL can name its endpoint behind the bucket.
        if "http://" in getattr(settings, name).lower():
            yield f"Production mode refuses plaintext; use https:// in BABYSEA_{name.upper()}."


def _credentials(files: TlsFiles, *, ask_for_certificate: bool) -> grpc.ServerCredentials:
    try:
        reader = TlsReader(files)
    except TlsFilesError as error:
        raise StartError(f"BABYSEA_GRPC_TLS_*: {error}") from error
    shown = reader.current()

    def newest() -> grpc.ServerCertificateConfiguration | None:
        # Asked before every handshake; connections that stand keep what they began with.
        nonlocal shown
        material = reader.current(at_once=True)
        if material is shown:
            return None
        shown = material
        return _configuration(material)

    # None means no change, which the stubs do not know.
    return grpc.dynamic_ssl_server_credentials(_configuration(shown), newest, ask_for_certificate)  # type: ignore[arg-type]


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    if material.key is None or material.certificate is None:
        raise StartError(
            "TLS needs both files: BABYSEA_GRPC_TLS_CERTIFICATE_FILE and BABYSEA_GRPC_TLS_KEY_FILE."
        )
    pair = (material.key, material.certificate)
    return grpc.ssl_server_certificate_configuration([pair], material.authorities)
