"""`python -m tests.faults.providers [WORD …]`: plays every fault, or those in whose line all words occur, and tells."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence

from cli.supervisor.ports import choose
from tests.faults.providers import accounts, flapping, races
from tests.faults.providers.cells import ACCOUNTS, CELLS, REFUSED, Cell
from tests.faults.providers.play import Result, play
from tests.faults.providers.worker import Stage, staged

_FIRST_MARK = 301
_AT_ONCE = 12
_RACES = 67
"""At each of three providers."""
_WIDTHS = (5, 27, 13, 7, 62)


async def run(words: list[str]) -> int:
    """Plays the faults; 0 when every one ended as it must."""
    wanted = {
        name: [cell for cell in cells if _is_wanted(cell, words)]
        for name, cells in (("refused", REFUSED), ("cells", CELLS), ("accounts", ACCOUNTS))
    }
    began = time.monotonic()
    results: list[Result] = []
    _line("fault", "what", "provider", "took", "outcome", "verdict")
    async with staged() as stage:
        if wanted["refused"]:
            closed = f"http://127.0.0.1:{choose(None, set())}"
            names = ("OPENAI", "ALIBABA", "BFL")
            with stage.worker(**{f"BABYSEA_{name}_BASE_URL": closed for name in names}):
                results += await _play_all(stage, wanted["refused"], _FIRST_MARK)
        if wanted["cells"]:
            with stage.worker():
                results += await _play_all(stage, wanted["cells"], _FIRST_MARK + 100)
        if wanted["accounts"]:
            with stage.worker():
                results += [_told(each) for each in await accounts.play_all(stage.live, wanted["accounts"])]
        if _has("M18", words):
            with stage.worker():
                results += [_told(each) for each in await flapping.play_all(stage.live)]
        if _has("M23", words):
            with stage.worker():
                results += [_told(each) for each in await races.play_all(stage.live, _RACES)]
        audit = await stage.live.audit()
    failed = [result for result in results if result.findings]
    print(
        f"{len(results)} faults in {time.monotonic() - began:.0f} s: {len(failed)} not as they must be; "
        f"ledger audit {audit or 'clean'}."
    )
    return 1 if failed or audit or not results else 0


async def _play_all(stage: Stage, cells: Sequence[Cell], first: int) -> list[Result]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(cell: Cell, mark: int) -> Result:
        async with room:
            return _told(await play(stage.live, cell, mark))

    return list(await asyncio.gather(*(one(cell, first + number) for number, cell in enumerate(cells))))


def _told(result: Result) -> Result:
    cell = result.cell
    verdict = "; ".join(result.findings) or "ok"
    _line(cell.fault, cell.what, cell.provider, f"{result.seconds:.1f} s", result.outcome, verdict)
    return result


def _is_wanted(cell: Cell, words: list[str]) -> bool:
    return all(word in f"{cell.fault} {cell.what} {cell.provider}" for word in words)


def _has(fault: str, words: list[str]) -> bool:
    return all(word in fault for word in words)


def _line(*columns: str) -> None:
    padded = [column.ljust(width) for column, width in zip(columns, _WIDTHS, strict=False)]
    print(" ".join([*padded, columns[-1]]), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1:])))
