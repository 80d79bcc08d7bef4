"""The type of a servicer's context: grpc's is generic for type checkers but not at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    RpcContext = grpc.aio.ServicerContext[Any, Any]
else:
    RpcContext = grpc.aio.ServicerContext
