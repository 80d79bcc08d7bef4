"""A download that is cut off in mid-write."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from server.providers.download import DownloadError, fetch_output, open_downloader
from tests.integration.resilience.trouble import until

SECRET = b"of tenant A "


async def test_a_download_cut_off_in_mid_write_never_writes_into_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, began, ended = os.write, list[int](), list[int]()

    def slow_disk(descriptor: int, content: bytes | memoryview) -> int:
        if bytes(content).startswith(SECRET):
            began.append(descriptor)
            time.sleep(0.4)
            ended.append(descriptor)
        return real(descriptor, content)

    async def half_a_file(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + SECRET * 100)
        await writer.drain()
        await reader.read()
        writer.close()

    async def quiet() -> bool:
        return bool(began) and len(began) == len(ended)

    monkeypatch.setattr(os, "write", slow_disk)
    server = await asyncio.start_server(half_a_file, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/file"
    async with server, open_downloader(allow_loopback=True) as client:
        with pytest.raises(DownloadError):
            await fetch_output(client, url, 10**6, 0.2, allow_private=True, directory=tmp_path)
        assert list(tmp_path.iterdir()) == []
        # The next file to be opened gets the lowest free descriptor: the one that the download had.
        with (tmp_path / "of tenant B").open("wb", buffering=0):
            await until(quiet)
            await asyncio.sleep(0.05)
        assert (tmp_path / "of tenant B").read_bytes() == b""
