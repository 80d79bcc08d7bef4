"""Where output files are kept: any object store that obstore knows, by URL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

_CHUNK_BYTES = 256 * 1024


class StorageError(Exception):
    """The object store is away or lacks the file; the message names neither."""


class OutputStore:
    """Writes and reads output files."""

    def __init__(self, url: str, data_dir: Path) -> None:
        """Opens the store; an empty URL means a folder in `data_dir`."""
        parts = urlsplit(url)
        self._store: Any
        self._folder: Path | None = None
        if not url or parts.scheme == "file":
            folder = Path(unquote(parts.path)) if url else data_dir / "storage"
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = folder.resolve()
            self._store = LocalStore(self._folder)
        else:
            self._store = from_url(url)

    @staticmethod
    def key(account_id: UUID, generation_id: UUID, attempt_id: UUID, ordinal: int, extension: str) -> str:
        """Where a file lies. It names its attempt, so that two workers never write to one place."""
        return f"outputs/{account_id}/{generation_id}/{attempt_id}-{ordinal}.{extension}"

    async def write(self, key: str, source: Path, content_type: str) -> None:
        """Stores a local file.

        Raises:
            StorageError: it was not stored.
        """
        attributes = None if isinstance(self._store, LocalStore) else {"Content-Type": content_type}
        try:
            await obstore.put_async(self._store, key, source, attributes=attributes)
            if self._folder is not None:
                # The settlement that names the file is durable; so must the file be.
                await asyncio.to_thread(_flush, self._folder / key)
        except (BaseError, OSError) as error:
            raise StorageError("the file could not be stored") from error

    async def read(self, key: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """The bytes of a part of a file, in chunks.

        Raises:
            StorageError: the file is gone or the store is away.
        """
        try:
            result = await obstore.get_async(self._store, key, options={"range": (offset, offset + length)})
            async for chunk in result.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)
        except (BaseError, OSError) as error:
            raise StorageError("the file could not be read") from error

    async def clear(self, account_id: UUID, generation_id: UUID) -> int:
        """Removes every file of a generation, recorded or not; how many there were.

        Raises:
            StorageError: the store is away.
        """
        removed = 0
        try:
            async for page in obstore.list(self._store, prefix=f"outputs/{account_id}/{generation_id}/"):
                for item in page:
                    await self.delete(item["path"])
                    removed += 1
        except FileNotFoundError:
            return removed
        except (BaseError, OSError) as error:
            raise StorageError("the files could not be removed") from error
        return removed

    async def delete(self, key: str) -> None:
        """Removes a file; one that is not there is no error.

        Raises:
            StorageError: the store is away.
        """
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StorageError("the file could not be removed") from error


def _flush(path: Path) -> None:
    """Makes a file and its name survive a power cut."""
    for place, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(place, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
