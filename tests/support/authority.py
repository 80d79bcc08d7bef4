"""A throw-away certificate authority."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from babysea_sdk import TlsFiles, server_name

_DAY = timedelta(days=1)


def uri(region: str, holder: str) -> str:
    """The URI of a service or of "operator/name"."""
    return f"spiffe://babysea/{region}/{holder}"


@dataclass
class Authority:
    """An authority that keeps everything in a folder."""

    folder: Path
    name: str = "test authority"
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        certificate = self._sign(self._subject, self._key.public_key(), [], is_authority=True)
        self.file = self.folder / "authority.pem"
        self.file.write_bytes(certificate)

    def server(self, region: str = "us", name: str = "server") -> TlsFiles:
        """Files of a regional server on loopback; those of the same name are replaced."""
        names = [x509.DNSName(server_name(region)), x509.DNSName("localhost")]
        return self._issue(name, [*names, x509.IPAddress(ip_address("127.0.0.1"))])

    def client(self, *uris: str, name: str = "client") -> TlsFiles:
        """Files of a client with these URIs; those of the same name are replaced."""
        return self._issue(name, [x509.UniformResourceIdentifier(each) for each in uris])

    def _issue(self, name: str, names: list[x509.GeneralName]) -> TlsFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate = self._sign(x509.Name([]), key.public_key(), names)
        files = TlsFiles(self.file, self.folder / f"{name}.pem", self.folder / f"{name}.key")
        assert files.certificate is not None
        assert files.key is not None
        _replace(files.certificate, certificate)
        _replace(files.key, pem)
        return files

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        names: list[x509.GeneralName],
        *,
        is_authority: bool = False,
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not is_authority)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".new")
    draft.write_bytes(content)
    os.replace(draft, path)  # noqa: PTH105 - as the programs that renew certificates do
