"""A server as a process of its own, as it is run for real. Arguments: settings as JSON, file for its address."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from kit.settings import Settings
from server.main import run
from server.runtime.lifecycle import RunningServer


@asynccontextmanager
async def server_process(settings: Settings, address: Path) -> AsyncIterator[str]:
    """Starts a server with the given settings and gives its address; kills it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.keys.server_process", _plain(settings), str(address)
    )
    try:
        async with asyncio.timeout(60):
            while not address.exists() or not address.read_text():
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield address.read_text()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _plain(settings: Settings) -> str:
    def readable(value: Any) -> Any:
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    values = {name: readable(getattr(settings, name)) for name in settings.model_fields_set}
    return json.dumps(values, default=str)


def _tell(server: RunningServer) -> None:
    Path(sys.argv[2]).write_text(server.address)


if __name__ == "__main__":
    run(Settings.model_validate(json.loads(sys.argv[1])), ready=_tell)
