"""A server as a process of its own, whose GetCallerKey waits until a file appears. Arguments: settings, folder."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import grpc

from babysea.keys.v1 import key_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2_grpc
from kit.settings import Settings
from server.keys.notices import KeyNotices
from server.keys.servicer import KeyServicer
from server.main import run
from server.runtime.context import RpcContext
from server.runtime.dependencies import Dependencies
from server.runtime.lifecycle import RunningServer
from server.services import SERVICES, Service

FOLDER = Path(sys.argv[2])


class SlowKeys(KeyServicer):
    """Answers only when it is told to."""

    async def GetCallerKey(  # noqa: N802
        self, request: pb.GetCallerKeyRequest, context: RpcContext
    ) -> pb.GetCallerKeyResponse:
        (FOLDER / "entered").touch()
        # A file is what the other process can make.
        while not (FOLDER / "go").exists():
            await asyncio.sleep(0.01)
        return await super().GetCallerKey(request, context)


def slow_keys(shared: Dependencies) -> Service:
    region = shared.settings.region
    servicer = SlowKeys(
        shared.databases.app,
        shared.hasher,
        shared.verifier,
        region,
        shared.clock,
        KeyNotices(shared.databases.app, shared.envelope, shared.clock, region),
    )

    def register(server: grpc.aio.Server) -> None:
        key_service_pb2_grpc.add_KeyServiceServicer_to_server(servicer, server)

    return Service("babysea.keys.v1.KeyService", register)


def tell(server: RunningServer) -> None:
    (FOLDER / "address").write_text(server.address)


if __name__ == "__main__":
    run(
        Settings.model_validate(json.loads(sys.argv[1])),
        services={**SERVICES, "keys": slow_keys},
        ready=tell,
    )
