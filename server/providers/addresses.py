"""Which URLs of the outside world we let anyone fetch: rules of syntax and host, without looking anything up."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_LIKE_A_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa", ".lan")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""NAT64: networks without IPv4 reach every IPv4 address under one of these."""
# What the standard library of some versions calls global and is not, or leads on to an address that is not judged.
_DENIED = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        # A cloud's own endpoint for its machines, at an address that looks like any other.
        "168.63.129.16/32",
        *(
            "::/96",
            "::ffff:0:0:0/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/32",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
        ),
        *("5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def url_problem(url: str, *, allow_private: bool) -> str | None:
    """What is wrong with a URL, as the end of a sentence that begins with its name; None for a good one.

    A good URL is http or https, has a host and no user name, and its host is no address or name of a private
    network unless `allow_private` is set. Names are not looked up: who connects checks the address again.
    """
    # The parser would silently leave out some of these, and then we would judge another URL than the provider.
    if any(letter <= " " or letter == "\x7f" or letter == "\\" for letter in url):
        return "must not hold spaces, control characters or backslashes"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if not host:
        return "must name a host"
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    return _host_problem(host.removesuffix("."), allow_private)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; an IPv4 address inside an IPv6 one counts as itself."""
    try:
        return _is_public(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return False


def _host_problem(host: str, allow_private: bool) -> str | None:
    literal = _literal(host)
    if literal is not None:
        return None if allow_private or _is_public(literal) else "must not point at a private network"
    # "127.1", "0x7f000001" and "2130706433" are addresses to some programs; none of them is a name to anyone.
    if _LIKE_A_NUMBER.fullmatch(host.rpartition(".")[2]) or not _NAME.fullmatch(host):
        return "must name its host in plain ASCII"
    if not allow_private and ("." not in host or f".{host}".endswith(_LOCAL_ENDINGS)):
        return "must not point at a private network"
    return None


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
    denied = any(address.version == block.version and address in block for block in _DENIED)
    return address.is_global and not address.is_multicast and not denied
