"""Client addresses: the peer's own, as gRPC names it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote


def peer_address(peer: str) -> str:
    """The address in gRPC's name of a peer, for example "ipv4:192.0.2.1:5001" or "ipv6:%5B::1%5D:5001".

    Empty for a peer without one, such as a Unix socket.
    """
    kind, _, rest = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    host, _, _ = rest.rpartition(":")
    return plain_address(host.strip("[]"))


@lru_cache(maxsize=4096)
def plain_address(text: str) -> str:
    """An address in its usual spelling, IPv4 inside IPv6 as IPv4; empty when the text is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
