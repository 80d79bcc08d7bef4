"""Address allowlists: addresses and CIDR blocks, IPv4 and IPv6."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from kit.errors import invalid

LONGEST = 50
"""Entries that a key may have."""

_Network = IPv4Network | IPv6Network
_MAPPED = IPv6Network("::ffff:0:0/96")


def normalised(entries: Sequence[str]) -> list[str]:
    """The entries in their usual spelling, each once; IPv4 inside IPv6 becomes IPv4, a lone address stays one.

    Raises:
        BabySeaError: INVALID_INPUT that names the entry which is neither an address nor a block.
    """
    if len(entries) > LONGEST:
        raise invalid("allowlist", f"allowlist has {len(entries)} entries; at most {LONGEST} are allowed.")
    result: dict[str, None] = {}
    for position, entry in enumerate(entries):
        network = _parsed(entry)
        if network is None:
            raise invalid(
                f"allowlist[{position}]",
                f'"{_printable(entry)}" is neither an IP address nor a CIDR block such as 192.0.2.0/24 '
                "whose host bits are zero.",
            )
        result[_spelled(network)] = None
    return list(result)


def allows(allowlist: tuple[str, ...], address: str) -> bool:
    """Whether an address is in the list; an empty list allows any, and an unreadable address is in no list."""
    if not allowlist:
        return True
    try:
        candidate = _unmapped(ip_address(address))
    except ValueError:
        return False
    return any(candidate.version == block.version and candidate in block for block in _blocks(allowlist))


@lru_cache(maxsize=4096)
def _blocks(allowlist: tuple[str, ...]) -> tuple[_Network, ...]:
    parsed = (_parsed(entry) for entry in allowlist)
    # An entry that cannot be read allows nobody; it must not open the key to everyone.
    return tuple(network for network in parsed if network is not None)


def _parsed(entry: str) -> _Network | None:
    if "%" in entry or entry != entry.strip():
        return None
    _, slash, length = entry.partition("/")
    if slash and not (length.isascii() and length.isdigit()):
        # Netmasks such as /255.255.255.0 are read in two ways by different programs.
        return None
    try:
        network = ip_network(entry, strict=True)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        address = IPv4Address(int(network.network_address) & 0xFFFF_FFFF)
        return IPv4Network((address, network.prefixlen - 96))
    return network


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _spelled(network: _Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _printable(entry: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in entry)
