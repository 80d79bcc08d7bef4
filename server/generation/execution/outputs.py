"""From a provider's URLs to files of ours: fetch at once, check that it is what was asked, store, sign nothing yet."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from kit.telemetry import span
from server.generation.execution.work import AttemptView, Work
from server.generation.storage import OutputStore, StorageError
from server.providers.dimensions import dimensions, has_ratio
from server.providers.download import Downloaded, DownloadError, OutputNotMedia, fetch_output, keep_output
from server.providers.media import CONTENT_TYPES, mp4_seconds, mp4_size
from server.providers.protocol import RemoteOutput
from server.providers.registry import Providers
from server.runtime.fault_points import Point, reach

_LARGEST_BYTES = {"image": 64 * 1024 * 1024, "video": 1024 * 1024 * 1024}
_FETCH_SECONDS = 120.0
_MAY_HAVE_STORED = frozenset({"discarded", "canceled"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Stored outputs."""

    outputs_json: str
    """JSON array for generation.settle_many."""
    count: int
    seconds: float | None
    """Length of a video; None for images."""


class Delivery:
    """Fetches and stores outputs."""

    def __init__(self, providers: Providers, outputs: OutputStore, folder: Path) -> None:
        """Takes the providers, the store, and a folder for what is on its way."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._providers = providers
        self._outputs = outputs

    async def deliver(
        self, work: Work, attempt: AttemptView, remote: Sequence[RemoteOutput], *, patient: bool
    ) -> Delivered:
        """Fetches every output, stores it under a name of its own, and says what was stored.

        An output that is gone, too large or not what was asked is left out, as long as any other can be delivered. One
        that may come a little later is waited for by whoever is `patient`, and left out by others.

        Raises:
            DownloadError: nothing can be delivered, or not yet.
            StorageError, LocalStorageError: our own storage is away; no provider is to blame.
        """
        extension = work.request.output_format
        content_type = CONTENT_TYPES[extension]
        wanted = remote[: work.request.output_number]
        stored: list[dict[str, object]] = []
        seconds: float | None = None
        trouble: DownloadError | None = None
        with ExitStack() as fetched:
            for ordinal, output in enumerate(wanted, start=1):
                try:
                    file = await self._fetched(output, _LARGEST_BYTES[work.request.media], content_type)
                    fetched.callback(file.discard)
                    reach(Point.OUTPUT_FETCHED)
                    await _check_ratio(work, attempt, file)
                except DownloadError as error:
                    if error.retryable and patient:
                        raise
                    trouble = error
                    continue
                if work.request.media == "video":
                    seconds = mp4_seconds(file.path)
                key = OutputStore.key(work.account_id, work.generation_id, attempt.id, ordinal, extension)
                with span("store output", attributes={"babysea.bytes": file.size}):
                    await self._outputs.write(key, file.path, content_type)
                reach(Point.OUTPUT_STORED)
                stored.append(
                    {
                        "storage_key": key,
                        "content_type": content_type,
                        "size_bytes": file.size,
                        "sha256": file.sha256.hex(),
                    }
                )
        if trouble is not None and not stored:
            raise trouble
        return Delivered(json.dumps(stored), len(stored), seconds)

    async def _fetched(self, output: RemoteOutput, most_bytes: int, content_type: str) -> Downloaded:
        if output.content is not None:
            return await keep_output(
                output.content, most_bytes, expected=content_type, directory=self._folder
            )
        return await fetch_output(
            self._providers.downloader,
            output.url,
            most_bytes,
            _FETCH_SECONDS,
            expected=content_type,
            allow_private=self._providers.allow_private,
            directory=self._folder,
        )

    async def forget_ended(self, work: Work) -> None:
        """Removes what attempts stored that ended without delivering it: a worker may have died before it could.

        Due before the generation's job ends, for nobody looks at it after that.
        """
        for attempt in work.attempts:
            if attempt.state in _MAY_HAVE_STORED:
                await self.forget(work, attempt.id)

    async def forget(self, work: Work, attempt_id: UUID) -> None:
        """Removes whatever was stored for an attempt that delivered nothing; what cannot be removed now is logged."""
        extension = work.request.output_format
        for ordinal in range(1, work.request.output_number + 1):
            key = OutputStore.key(work.account_id, work.generation_id, attempt_id, ordinal, extension)
            try:
                await self._outputs.delete(key)
            except StorageError:
                _log.warning(
                    "a file that no record names could not be removed", extra={"facts": {"key": key}}
                )


async def _check_ratio(work: Work, attempt: AttemptView, file: Downloaded) -> None:
    """Raises OutputNotMedia for an output of quite another ratio than the one that the provider was told.

    With input files their own ratio may stand against it, so only what was made of words is looked at.
    """
    request = work.request
    told = work.model.provider(attempt.provider).says("ratio")
    if request.input_file or request.input_file_last_content or not told:
        return
    size = await asyncio.to_thread(_size, file)
    if size is None or not has_ratio(size, request.ratio):
        raise OutputNotMedia


def _size(file: Downloaded) -> tuple[int, int] | None:
    return (
        mp4_size(file.path) if file.content_type == "video/mp4" else dimensions(file.path, file.content_type)
    )
