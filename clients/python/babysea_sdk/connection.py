"""A connection to one region that outlives its certificates."""

from __future__ import annotations

import asyncio

import grpc

from babysea_sdk.channel import open_channel
from babysea_sdk.tls import TlsFiles, TlsMaterial, TlsReader

_RETIRE_SECONDS = 3_700.0
"""How long calls go on over a replaced channel: longer than the longest deadline in the service configs."""


def server_name(region: str) -> str:
    """The name in the certificate of every regional server, whatever its address: "us.babysea.internal"."""
    return f"{region}.babysea.internal"


class Connection:
    """The channel to use now. When a certificate file changes, the next call goes over a new one.

    Calls in progress stay on the channel that they began on. For the event loop that runs now.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: TlsFiles | None = None,
        region: str | None = None,
        service_config: str | None = None,
    ) -> None:
        """Opens the channel; nothing is sent before the first call.

        Args:
            target: as for `open_channel`.
            tls: certificate files; plaintext when omitted.
            region: checks that the server's certificate is that region's; its address is checked when omitted.
            service_config: as for `open_channel`.

        Raises:
            ValueError: the target or the files cannot be used; the message says what to do.
        """
        self._target = target
        self._name = None if region is None else server_name(region)
        self._config = service_config
        self._reader = None if tls is None else TlsReader(tls)
        self._material = None if self._reader is None else self._reader.current()
        self._channel = self._open(self._material)
        self._retiring: set[asyncio.Task[None]] = set()

    def channel(self) -> grpc.aio.Channel:
        """The channel for a call that begins now."""
        if self._reader is not None and (material := self._reader.current()) is not self._material:
            retired, self._material = self._channel, material
            self._channel = self._open(material)
            task = asyncio.get_running_loop().create_task(_retire(retired), name="retired channel")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        return self._channel

    async def close(self) -> None:
        """Ends every call and every connection."""
        tasks = tuple(self._retiring)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._channel.close()

    def _open(self, material: TlsMaterial | None) -> grpc.aio.Channel:
        credentials = None if material is None else material.for_client()
        return open_channel(self._target, self._config, credentials=credentials, server_name=self._name)


async def _retire(channel: grpc.aio.Channel) -> None:
    try:
        await asyncio.sleep(_RETIRE_SECONDS)
    finally:
        await channel.close()
