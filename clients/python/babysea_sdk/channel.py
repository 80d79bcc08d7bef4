"""One way to open a channel to a region: balanced over its processes, kept alive, with deadlines and retries."""

from __future__ import annotations

import importlib.resources
import ipaddress
import json
from functools import cache
from typing import Any

import grpc

_SUFFIX = "_service_config.json"
_ACCEPTING = "babysea.accepting"
"""Health service of a server that says NOT_SERVING as soon as it drains; the channel then sends it no further call."""

_MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A page of 100 generations with the longest prompts is larger than gRPC's default of 4 MB."""


def open_channel(
    target: str,
    service_config: str | None = None,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    server_name: str | None = None,
) -> grpc.aio.Channel:
    """A channel to one region, for the event loop that runs now. Nothing is sent before the first call.

    Args:
        target: "host:port", or "address:port;address:port" for several processes, which take turns.
        service_config: JSON of deadlines and retries per method; the ones published with the contracts when omitted.
        credentials: TLS; a plaintext channel when omitted.
        server_name: name that the server's certificate must carry; the host of the target when omitted.

    Raises:
        ValueError: the target cannot be understood; the message says what to write instead.
    """
    options = channel_options(service_config, server_name)
    if credentials is None:
        return grpc.aio.insecure_channel(resolvable(target), options=options)
    return grpc.aio.secure_channel(resolvable(target), credentials, options=options)


def channel_options(
    service_config: str | None = None,
    server_name: str | None = None,
    *,
    reconnect_ms: tuple[int, int] | None = None,
) -> list[tuple[str, str | int]]:
    """The options of every channel to a region.

    Args:
        service_config: as for `open_channel`.
        server_name: as for `open_channel`.
        reconnect_ms: shortest and longest wait before connecting again.
    """
    # A restarted server is found within a second or two, not after gRPC's usual two minutes.
    shortest, longest = reconnect_ms or (100, 2_000)
    options: list[tuple[str, str | int]] = [
        ("grpc.service_config", default_service_config() if service_config is None else service_config),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", shortest),
        ("grpc.min_reconnect_backoff_ms", shortest),
        ("grpc.max_reconnect_backoff_ms", longest),
        ("grpc.max_receive_message_length", _MAX_ANSWER_BYTES),
        ("grpc.enable_http_proxy", 0),
    ]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    return options


def resolvable(target: str) -> str:
    """The gRPC name of a target, for example "ipv4:127.0.0.1:50051,127.0.0.1:50061".

    Raises:
        ValueError: an address has no port, or a list mixes what gRPC cannot list together.
    """
    addresses = [_split(part.strip()) for part in target.split(";") if part.strip()]
    if not addresses:
        raise ValueError('A target is "host:port", or several of them joined by ";".')
    families = {_family(host) for host, _ in addresses}
    if families == {"name"} and len(addresses) == 1:
        host, port = addresses[0]
        return f"dns:///{host}:{port}"
    if len(families) > 1 or families == {"name"}:
        raise ValueError(
            f'The target "{target}" lists several servers; write them all as IPv4 or all as IPv6 addresses.'
        )
    family = families.pop()
    joined = ",".join(
        f"[{host}]:{port}" if family == "ipv6" else f"{host}:{port}" for host, port in addresses
    )
    return f"{family}:{joined}"


@cache
def default_service_config() -> str:
    """The service configs that stand beside the contracts, merged into one JSON text.

    Every service balances over all processes in turn; deadlines and retries are per method; the retry budget is the
    strictest of all, because a channel has only one.
    """
    parts = _published()
    merged: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": _ACCEPTING},
        "methodConfig": [method for part in parts for method in part.get("methodConfig", [])],
    }
    budgets = [part["retryThrottling"] for part in parts if "retryThrottling" in part]
    if budgets:
        merged["retryThrottling"] = min(
            budgets, key=lambda budget: (budget["maxTokens"], budget["tokenRatio"])
        )
    return json.dumps(merged, separators=(",", ":"))


def _published() -> list[dict[str, Any]]:
    services = sorted(importlib.resources.files("babysea").iterdir(), key=lambda folder: folder.name)
    return [
        json.loads(file.read_text(encoding="utf-8"))
        for service in services
        if service.is_dir()
        for version in service.iterdir()
        if version.is_dir()
        for file in version.iterdir()
        if file.name.endswith(_SUFFIX)
    ]


def _split(address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f'"{address}" is not of the form host:port, for example 127.0.0.1:50051.')
    host = host.removeprefix("[").removesuffix("]")
    return ("127.0.0.1" if host == "localhost" else host), int(port)


def _family(host: str) -> str:
    try:
        return f"ipv{ipaddress.ip_address(host).version}"
    except ValueError:
        return "name"
