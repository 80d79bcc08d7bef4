"""Address allowlists."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import BabySeaError
from server.keys.allowlist import allows, normalised


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_an_entry_is_kept_in_its_usual_spelling(entry: str, kept: str) -> None:
    assert normalised([entry]) == [kept]


@pytest.mark.parametrize(
    "entry",
    [
        "192.0.2.1/24",
        "192.0.2.0/33",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/",
        "192.0.2",
        "192.0.2.01",
        " 192.0.2.1",
        "fe80::1%eth0",
        "example.org",
        "",
        "2001:db8::1/32",
        "192.0.2.0/+8",
    ],
)
def test_an_entry_that_is_no_address_or_block_is_named(entry: str) -> None:
    with pytest.raises(BabySeaError) as refused:
        normalised(["192.0.2.9", entry])
    assert refused.value.details == {"field": "allowlist[1]"}
    assert f'"{entry}"' in refused.value.message


def test_an_entry_given_twice_is_kept_once() -> None:
    assert normalised(["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1/32"]) == ["10.0.0.1"]


def test_more_than_fifty_entries_are_refused() -> None:
    assert len(normalised([f"10.0.0.{n}" for n in range(50)])) == 50
    with pytest.raises(BabySeaError):
        normalised([f"10.0.0.{n}" for n in range(51)])


def test_an_empty_list_allows_any_address_and_even_none() -> None:
    assert allows((), "192.0.2.1")
    assert allows((), "")


@pytest.mark.parametrize("address", ["", "unknown", "192.0.2", "192.0.2.1, 10.0.0.1"])
def test_an_address_that_cannot_be_read_is_in_no_list(address: str) -> None:
    assert not allows(("0.0.0.0/0", "::/0"), address)


def test_a_list_whose_entries_cannot_be_read_allows_nobody() -> None:
    assert not allows(("nonsense",), "192.0.2.1")


def test_an_ipv4_address_inside_ipv6_is_the_ipv4_address() -> None:
    assert allows(("192.0.2.0/24",), "::ffff:192.0.2.7")
    assert not allows(("::/0",), "192.0.2.7")


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_a_block_allows_exactly_the_addresses_in_it(
    base: IPv4Address, length: int, address: IPv4Address
) -> None:
    block = IPv4Network((base, length), strict=False)
    kept = tuple(normalised([str(block)]))
    assert allows(kept, str(address)) == (address in block)
    mapped = tuple(normalised([str(IPv6Network((f"::ffff:{block.network_address}", 96 + length)))]))
    assert mapped == kept
