"""The addresses of several server processes, and how patiently dead ones are started again."""

import socket

import pytest

from server.processes import addresses, cores, next_pause
from server.runtime.errors import StartError


def test_free_ports_are_all_different() -> None:
    found = addresses("127.0.0.1:0", 8)
    assert len(set(found)) == 8
    assert all(address.startswith("127.0.0.1:") and not address.endswith(":0") for address in found)


def test_a_given_port_is_the_first_of_a_row() -> None:
    with socket.create_server(("127.0.0.1", 0)) as last:
        port = last.getsockname()[1]
    assert addresses(f"127.0.0.1:{port}", 1) == (f"127.0.0.1:{port}",)


@pytest.mark.parametrize(
    "listen", ["127.0.0.1", "50051", ":50051", "127.0.0.1:x", "127.0.0.1:65535", "127.0.0.1:-1"]
)
def test_an_address_without_room_for_all_is_one_sentence(listen: str) -> None:
    with pytest.raises(StartError, match="BABYSEA_GRPC_LISTEN"):
        addresses(listen, 2)


def test_pauses_double_to_five_seconds_and_begin_anew_after_a_steady_run() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause(pauses[-1], 1.0))
    assert pauses[1:] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert next_pause(5.0, 10.0) == 0.2


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1
