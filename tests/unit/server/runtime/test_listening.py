"""Where a server may listen."""

from __future__ import annotations

import socket

import grpc
import pytest

from kit.settings import Settings
from server.runtime.errors import StartError
from server.runtime.listening import bind


@pytest.mark.parametrize("address", ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:5000", "example.org:5000"])
async def test_embedded_mode_refuses_an_address_that_is_not_loopback(address: str) -> None:
    with pytest.raises(StartError, match="loopback only"):
        bind(grpc.aio.server(), Settings(grpc_listen=address))


@pytest.mark.parametrize("address", ["", "127.0.0.1", ":5000", "127.0.0.1:x", "127.0.0.1:65536"])
async def test_a_malformed_address_is_named(address: str) -> None:
    with pytest.raises(StartError, match="must be host:port"):
        bind(grpc.aio.server(), Settings(grpc_listen=address))


async def test_production_mode_refuses_plaintext() -> None:
    with pytest.raises(StartError, match="plaintext"):
        bind(grpc.aio.server(), Settings(mode="production", grpc_listen="127.0.0.1:0"))


async def test_port_zero_becomes_a_real_port() -> None:
    address = bind(grpc.aio.server(), Settings(grpc_listen="127.0.0.1:0"))
    assert address.startswith("127.0.0.1:")
    assert int(address.rpartition(":")[2]) > 0


async def test_a_taken_port_ends_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"Cannot listen on 127.0.0.1:{port}"):
            bind(grpc.aio.server(), Settings(grpc_listen=f"127.0.0.1:{port}"))


async def test_two_servers_cannot_share_a_port() -> None:
    options = (("grpc.so_reuseport", 0),)
    first = grpc.aio.server(options=options)
    address = bind(first, Settings(grpc_listen="127.0.0.1:0"))
    await first.start()
    try:
        with pytest.raises(StartError, match="Cannot listen"):
            bind(grpc.aio.server(options=options), Settings(grpc_listen=address))
    finally:
        await first.stop(None)
