"""The channel factory of the Python SDK."""

from __future__ import annotations

import json

import pytest

from babysea.generation.v1 import generation_service_pb2
from babysea.keys.v1 import key_service_pb2
from babysea_sdk.channel import default_service_config, resolvable


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("127.0.0.1:50051", "ipv4:127.0.0.1:50051"),
        ("127.0.0.1:1;127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        ("localhost:1; localhost:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        ("[::1]:1;[::1]:2", "ipv6:[::1]:1,[::1]:2"),
        ("region.internal:50051", "dns:///region.internal:50051"),
    ],
)
def test_a_target_becomes_a_name_that_grpc_resolves(target: str, name: str) -> None:
    assert resolvable(target) == name


@pytest.mark.parametrize(
    "target", ["", ";", "host", "host:", ":1", "host:0", "a:1;b:2", "127.0.0.1:1;[::1]:2"]
)
def test_a_target_that_cannot_be_understood_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        resolvable(target)


def test_every_method_has_a_deadline_and_only_reads_are_repeated_by_the_channel() -> None:
    config = json.loads(default_service_config())
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    by_method = {
        f"{name['service']}/{name['method']}": entry
        for entry in config["methodConfig"]
        for name in entry["name"]
    }
    for module in (generation_service_pb2, key_service_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                assert by_method[f"{service.full_name}/{method.name}"]["timeout"]
    create = by_method["babysea.generation.v1.GenerationService/CreateGeneration"]
    assert "retryPolicy" not in create
