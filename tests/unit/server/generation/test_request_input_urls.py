"""Which input file URLs a POST accepts: by syntax and host alone."""

from __future__ import annotations

import pytest

from server.providers.addresses import is_public, url_problem


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "http://example.com:8080/a.png?x=1#f",
        "https://cdn.example.co.uk./a.png",
        "https://8.8.8.8/a.png",
        "https://[2606:4700::1111]/a.png",
        "https://xn--bcher-kva.example/ä.png",
    ],
)
def test_public_urls_are_good(url: str) -> None:
    assert url_problem(url, allow_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/a",
        "http://localhost./a",
        "http://api.us.localhost/a",
        "http://db/a",
        "http://printer.local/a",
        "http://metadata.google.internal/a",
        "http://127.0.0.1/a",
        "http://10.0.0.1/a",
        "http://172.16.5.5/a",
        "http://192.168.1.1/a",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/a",
        "http://0.0.0.0/a",
        "http://224.0.0.1/a",
        "http://[::1]/a",
        "http://[::]/a",
        "http://[fd00::1]/a",
        "http://[fe80::1]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://[64:ff9b::7f00:1]/a",
        "http://[2002:7f00:1::]/a",
        "http://192.0.0.8/a",
        "http://192.88.99.1/a",
        "http://198.18.0.1/a",
        "http://[::7f00:1]/a",
        "http://[64:ff9b:1::1]/a",
        "http://[2001::1]/a",
        "http://[2002:808:808::]/a",
        "http://[3fff::1]/a",
        "http://[5f00::1]/a",
        "http://[fec0::1]/a",
        "http://[ff02::1]/a",
    ],
)
def test_private_hosts_are_refused_unless_allowed(url: str) -> None:
    assert url_problem(url, allow_private=False) == "must not point at a private network"
    assert url_problem(url, allow_private=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        "//example.com/a",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "http:///a",
        "http://user@example.com/a",
        "http://user:secret@example.com/a",
        "http://@example.com/a",
        "http://example.com:99999/a",
        "http://example.com:x/a",
        "http://exa mple.com/a",
        "http://example.com/a\nb",
        "http://exam\tple.com/a",
        "http://example.com\\@127.0.0.1/a",
        "http://[::1/a",
        "http://127.1/a",
        "http://2130706433/a",
        "http://0x7f000001/a",
        "http://0x7f.0.0.1/a",
        "http://0177.0.0.1/a",
        "http://127.0.0.1.5/a",
        "http://\uff11\uff12\uff17.0.0.1/a",
        "http://bücher.example/a",
        "http://-example.com/a",
        "http://exa%6dple.com/a",
        "http://..example.com/a",
    ],
)
def test_malformed_urls_are_refused_everywhere(url: str) -> None:
    assert url_problem(url, allow_private=False) is not None
    assert url_problem(url, allow_private=True) is not None


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "", "example.com"),
        *(
            "::ffff:0:10.0.0.1",
            "::ffff:0:8.8.8.8",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "64:ff9b::168.63.129.16",
        ),
    ],
)
def test_an_address_that_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert not is_public(address)
