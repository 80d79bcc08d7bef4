"""BabySea for Python programs: how to reach a regional server over gRPC."""

from babysea_sdk.blocking import BlockingClient
from babysea_sdk.channel import default_service_config, open_channel
from babysea_sdk.connection import Connection, server_name
from babysea_sdk.deadlines import time_limit
from babysea_sdk.errors import CallError, NoAnswerError, RefusedError
from babysea_sdk.internal import Identity, InternalClient
from babysea_sdk.tls import TlsFiles, TlsFilesError

__all__ = [
    "BlockingClient",
    "CallError",
    "Connection",
    "Identity",
    "InternalClient",
    "NoAnswerError",
    "RefusedError",
    "TlsFiles",
    "TlsFilesError",
    "default_service_config",
    "open_channel",
    "server_name",
    "time_limit",
]
