"""Is it up? The questions that the supervisor asks its programs."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.grpc_client import OPTIONS

_Check: TypeAlias = (
    "grpc.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]"
)


def answers(url: str, path: str, seconds: float = 2.0) -> bool:
    """Whether a GET of a path is answered with 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def serving(target: str, seconds: float = 1.0) -> bool:
    """Whether a gRPC server says that all its services work, its database included."""
    with grpc.insecure_channel(target, options=OPTIONS) as channel:
        try:
            check: _Check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
            answer = check(health_pb2.HealthCheckRequest(), timeout=seconds, wait_for_ready=True)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def all_answer(facts: dict[str, object]) -> bool:
    """Whether everything that a ready.json names answers now."""
    regions = facts.get("regions")
    if not isinstance(regions, dict) or not isinstance(facts.get("sandbox"), str):
        return False
    return answers(str(facts["sandbox"]), "/_sandbox/health") and all(
        answers(str(region["api"]), "/readyz") and all(serving(address) for address in servers_of(region))
        for region in regions.values()
    )


def servers_of(region: Mapping[str, object]) -> list[str]:
    """Addresses of all servers that a region's part of ready.json names."""
    every = region.get("grpc_all")
    return [str(address) for address in every] if isinstance(every, list) else [str(region["grpc"])]
