"""Addresses as gRPC tells them, names as people give them, and access rules as the contract has them."""

from __future__ import annotations

import pytest

from babysea.accounts.v1 import account_service_pb2
from babysea.generation.v1 import generation_service_pb2
from babysea.keys.v1 import key_service_pb2
from babysea.ledger.v1 import ledger_service_pb2
from babysea.options.v1 import options_pb2
from babysea.routing.v1 import routing_service_pb2
from kit.errors import BabySeaError
from server.runtime.interceptors.access import method_at, methods_without_access
from server.runtime.interceptors.addresses import peer_address, plain_address
from server.runtime.names import checked_name

CONTRACT = (
    account_service_pb2.DESCRIPTOR,
    generation_service_pb2.DESCRIPTOR,
    key_service_pb2.DESCRIPTOR,
    ledger_service_pb2.DESCRIPTOR,
    routing_service_pb2.DESCRIPTOR,
)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:5001", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:5001", "2001:db8::1"),
        ("ipv6:[::ffff:192.0.2.1]:5001", "192.0.2.1"),
        ("unix:/run/a.sock", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_peer(peer: str, address: str) -> None:
    assert peer_address(peer) == address


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.4, 5.6.7.8"])
def test_text_that_is_no_address_is_no_address(text: str) -> None:
    assert plain_address(text) == ""


@pytest.mark.parametrize("name", ["", "   ", "a" * 101, "a\nb", "a\x00b", "a\u202eb", "\x7f", "a\u2028b"])
def test_a_name_that_is_empty_long_or_has_invisible_characters_is_refused(name: str) -> None:
    with pytest.raises(BabySeaError) as refused:
        checked_name("name", name)
    assert refused.value.details == {"field": "name"}


@pytest.mark.parametrize("name", ["a", "CI / production", "日本語", "naïve café", "👩‍🎨 art", "a" * 100])
def test_a_name_that_people_can_read_is_kept(name: str) -> None:
    assert checked_name("name", f" {name} ") == name


def test_every_method_of_every_service_in_the_contract_has_an_access_rule() -> None:
    services = [service.full_name for file in CONTRACT for service in file.services_by_name.values()]
    assert len(services) == 6
    for service in services:
        assert methods_without_access(service) == []


def test_a_method_outside_the_contract_has_no_audience() -> None:
    assert not method_at("/other.Service/Method").audiences
    assert not method_at("/babysea.keys.v1.KeyService/NoSuchMethod").audiences
    assert not method_at("nonsense").audiences


def test_health_and_reflection_are_public_by_name() -> None:
    for path in (
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ):
        assert method_at(path).is_public
        assert method_at(path).is_probe


def test_no_api_key_can_reach_a_method_that_makes_keys_or_moves_money() -> None:
    for path in (
        "/babysea.keys.v1.KeyService/CreateKey",
        "/babysea.keys.v1.KeyService/ListKeys",
        "/babysea.keys.v1.KeyService/RevokeKey",
        "/babysea.ledger.v1.LedgerService/GrantCredit",
        "/babysea.ledger.v1.LedgerService/ListEntries",
    ):
        audiences = method_at(path).audiences
        assert audiences
        assert options_pb2.CUSTOMER not in audiences
