"""Identities from client certificates: a URI in the certificate says who its holder is, and for which region.

    spiffe://babysea/<region>/gateway            the gateway, and every other service of ours by its name
    spiffe://babysea/<region>/operator/<name>    a member of staff

That the certificate was issued by an authority of ours was checked by the handshake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kit.settings import Region

_URI = re.compile(
    r"spiffe://babysea/(us|eu|jp)/(?:(gateway|server|worker)|operator/([a-z0-9][a-z0-9._-]{0,62}))"
)


@dataclass(frozen=True, slots=True)
class CertificateHolder:
    """Who showed a client certificate."""

    service: str = ""
    """Name of a service of ours in this region; empty for another holder."""
    operator: str = ""
    """Name of a member of staff of this region; empty for another holder."""

    @property
    def is_known(self) -> bool:
        """Whether the certificate names somebody of this region."""
        return bool(self.service or self.operator)


def holder_of(facts: Mapping[str, Iterable[bytes]], region: Region) -> CertificateHolder | None:
    """Who holds the certificate of a connection; None for a connection without one.

    Args:
        facts: what gRPC knows about the peer (`auth_context`).
        region: the region of this server; a certificate of another one names nobody here.
    """
    if not any(facts.get("x509_pem_cert", ())):
        return None
    uris = list(facts.get("peer_uri", ()))
    # Two names would leave open who is meant.
    found = _URI.fullmatch(uris[0].decode("utf-8", "replace")) if len(uris) == 1 else None
    if found is None or found[1] != region:
        return CertificateHolder()
    return CertificateHolder(service=found[2] or "", operator=found[3] or "")
