"""Whose request it is, as far as the network tells: the client's address behind our own proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def client_address(peer: str, forwarded_for: Iterable[str], trusted_hops: int) -> str:
    """The address of the client.

    Each of our proxies appends the address it was called from, so with N of them the N-th entry from the right was
    written by the outermost one; everything further left is the client's own claim.

    Args:
        peer: address of the connection.
        forwarded_for: values of X-Forwarded-For, in the order of the headers.
        trusted_hops: proxies of ours in front of the gateway; 0 believes no header.

    Returns:
        An IPv4 or IPv6 address. The peer's own when the header is too short or its entry is no address; empty when
        the peer has none either.
    """
    if trusted_hops > 0:
        entries = [entry for value in forwarded_for for entry in value.split(",")]
        if len(entries) >= trusted_hops:
            claimed = _address(entries[-trusted_hops])
            if claimed:
                return claimed
    return _address(peer)


def _address(text: str) -> str:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            return ""
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
    return str(address)
