"""Who a certificate names."""

from __future__ import annotations

import pytest

from server.runtime.certificates import CertificateHolder, holder_of

_NOBODY = CertificateHolder()


def _facts(*uris: str) -> dict[str, list[bytes]]:
    return {"x509_pem_cert": [b"-----BEGIN"], "peer_uri": [each.encode() for each in uris]}


@pytest.mark.parametrize(
    ("uri", "holder"),
    [
        ("spiffe://babysea/us/gateway", CertificateHolder(service="gateway")),
        ("spiffe://babysea/us/worker", CertificateHolder(service="worker")),
        ("spiffe://babysea/us/server", CertificateHolder(service="server")),
        ("spiffe://babysea/us/operator/ada.l-1", CertificateHolder(operator="ada.l-1")),
        ("spiffe://babysea/eu/gateway", _NOBODY),
        ("spiffe://babysea/us/operator", _NOBODY),
        ("spiffe://babysea/us/operator/", _NOBODY),
        ("spiffe://babysea/us/operator/a/b", _NOBODY),
        ("spiffe://babysea/us/gateway\n", _NOBODY),
        ("xspiffe://babysea/us/gateway", _NOBODY),
        ("spiffe://babysea/us/gateway/", _NOBODY),
        ("SPIFFE://babysea/us/gateway", _NOBODY),
        ("https://babysea/us/gateway", _NOBODY),
    ],
)
def test_a_uri_names_a_service_an_operator_or_nobody(uri: str, holder: CertificateHolder) -> None:
    assert holder_of(_facts(uri), "us") == holder
    assert holder.is_known is (holder != _NOBODY)


def test_two_names_are_none() -> None:
    assert holder_of(_facts("spiffe://babysea/us/gateway", "spiffe://babysea/us/worker"), "us") == _NOBODY


def test_a_connection_without_a_certificate_has_no_holder() -> None:
    assert holder_of({}, "us") is None
    assert holder_of({"peer_uri": [b"spiffe://babysea/us/gateway"]}, "us") is None
