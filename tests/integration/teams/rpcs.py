"""Every method that a server serves."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default

from server.runtime.lifecycle import RunningServer


def every_rpc(server: RunningServer) -> Iterator[MethodDescriptor]:
    """The methods of every service that is ours."""
    for service in server.services:
        yield from Default().FindServiceByName(service).methods
