"""The input files of a claimed generation: fetched once, before its first provider is called, and removed after the step.

Whoever names a slow host keeps a step waiting. So only a part of a worker's steps may fetch at a time, and only a few of one
account's: the others are given back and come again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from server.generation.execution.work import Work
from server.providers.inputs import InputFetcher, InputLimits, InputRefused, discard
from server.providers.protocol import Fault, FaultKind, InputFile
from server.providers.resolver import asking_for
from server.runtime.leases import Job

_AT_ONCE_OF_AN_ACCOUNT = 4
"""Generations of one account whose files a worker fetches at a time."""


class HeldInputs:
    """Fetched files, which are removed once nobody holds them any more. Whoever made it holds it once."""

    def __init__(self, files: Sequence[InputFile] = (), last: InputFile | None = None) -> None:
        """Takes the input files in their order, and the last frame of a video."""
        self.files = tuple(files)
        self._all = (*self.files, last) if last is not None else self.files
        self._holders = 1

    @property
    def took_time(self) -> bool:
        """Whether fetching them may have taken so long that the generation is another by now."""
        return bool(self._all)

    def hold(self) -> None:
        """Keeps the files for one more holder, for example a call to a provider that outlives its step."""
        self._holders += 1

    def release(self) -> None:
        """Ends one hold."""
        self._holders -= 1
        if self._holders == 0:
            for file in self._all:
                discard(file)


class Inputs:
    """Prepares input files."""

    def __init__(self, fetcher: InputFetcher, at_once: int, limits: InputLimits | None = None) -> None:
        """Takes how files are fetched and for how many generations at a time."""
        self._fetcher = fetcher
        self._at_once = at_once
        self._limits = limits or InputLimits()
        self._held: dict[tuple[UUID, int], HeldInputs] = {}
        self._fetching: Counter[UUID] = Counter()

    async def prepare(self, work: Work) -> HeldInputs | Fault | None:
        """The files of the request, fetched at the first call of a claim; or why no provider may be called.

        None when there is no room to fetch them now. The files stay until `forget`.

        Raises:
            LocalStorageError: our own disk is full or unwritable.
        """
        claim = (work.job.id, work.job.token)
        held = self._held.get(claim)
        if held is not None:
            return held
        urls = _urls(work)
        if not urls:
            return HeldInputs()
        account = work.account_id
        if self._fetching.total() >= self._at_once or self._fetching[account] >= _AT_ONCE_OF_AN_ACCOUNT:
            return None
        self._fetching[account] += 1
        try:
            with asking_for(account):
                fetched = await self._fetch(urls, len(work.request.input_file))
        finally:
            self._fetching[account] -= 1
            self._fetching += Counter()  # Forgets accounts that fetch nothing.
        if isinstance(fetched, HeldInputs):
            self._held[claim] = fetched
        return fetched

    def forget(self, job: Job) -> None:
        """Ends the hold of a claim's step; nothing happens where nothing was prepared."""
        held = self._held.pop((job.id, job.token), None)
        if held is not None:
            held.release()

    async def _fetch(self, urls: Sequence[str], count: int) -> HeldInputs | Fault:
        fetching = [asyncio.create_task(self._fetcher.fetch(url, self._limits)) for url in urls]
        try:
            found = await asyncio.gather(*fetching, return_exceptions=True)
        except asyncio.CancelledError:
            found = await _ended(fetching)
            _discard(found)
            raise
        failure = next((each for each in found if isinstance(each, BaseException)), None)
        if failure is None:
            files = [each for each in found if isinstance(each, InputFile)]
            return HeldInputs(files[:count], files[count] if len(files) > count else None)
        _discard(found)
        if isinstance(failure, InputRefused):
            return Fault(FaultKind.REQUEST, failure.reason, failure.sentence)
        raise failure


def _urls(work: Work) -> list[str]:
    last = work.request.input_file_last_content
    return [*work.request.input_file, *([last] if last else [])]


async def _ended(fetching: Sequence[asyncio.Task[InputFile]]) -> list[InputFile | BaseException]:
    for task in fetching:
        task.cancel()
    return await asyncio.gather(*fetching, return_exceptions=True)


def _discard(found: Sequence[InputFile | BaseException]) -> None:
    for each in found:
        if isinstance(each, InputFile):
            discard(each)
