"""`python -m tests.faults [WORD …]`: plays every crash of the matrix, or those in whose line all words occur, and tells."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import asyncpg
import httpx

from server.runtime.fault_points import Point
from tests.faults.lives import Result, play
from tests.faults.matrix import CELLS, STALLS, Cell
from tests.faults.stage import Stage
from tests.support.deployment import Deployment, deployed

_WIDTHS = (22, 8, 27, 7, 20)
_SETTINGS = {"BABYSEA_FAULT_POINTS": "all", "BABYSEA_LEASE_SECONDS": "2"}


def main(words: list[str]) -> int:
    """Plays the crashes; 0 when every one healed."""
    chosen = [cell for cell in CELLS if all(word in _name(cell) for word in words)]
    stalls = [cell for cell in STALLS if all(word in _name(cell) for word in words)]
    points = list(dict.fromkeys(cell.point for cell in chosen))
    crashes = [[cell for cell in chosen if points.index(cell.point) % 2 == lane] for lane in (0, 1)]
    if not chosen and not stalls:
        print(f"No crash is named by {' '.join(words)}.", file=sys.stderr)
        return 2
    began = time.monotonic()
    _line("point", "process", "outcome", "healed", "submits", "verdict")
    with ExitStack() as up:
        # One after the other, so that they choose ports of their own; the crashes then side by side, as most is waiting.
        lanes = [
            (up.enter_context(deployed("--workers", workers, **_SETTINGS)), cells)
            for cells, workers in ((crashes[0], "1"), (crashes[1], "1"), (stalls, "2"))
            if cells
        ]
        with ThreadPoolExecutor() as threads:
            played = threads.map(lambda lane: asyncio.run(_play_all(*lane)), lanes)
            results = [result for lane in played for result in lane]
        clean = all(stack.audit_is_clean() for stack, _ in lanes)
    return _tell(results, clean=clean, whole=not words, seconds=time.monotonic() - began)


async def _play_all(stack: Deployment, cells: list[Cell]) -> list[Result]:
    results = []
    async with (
        asyncpg.create_pool(stack.region["database_url"], min_size=1, max_size=4) as database,
        httpx.AsyncClient(base_url=stack.region["api"], timeout=40, trust_env=False) as rest,
    ):
        stage = Stage(stack, database, rest)
        for cell in cells:
            results.append(result := await play(stage, cell))
            verdict = "; ".join(result.findings) or "ok"
            _line(
                cell.point.label,
                cell.killed,
                cell.outcome_name,
                f"{result.healed:.1f} s",
                result.submits,
                verdict,
            )
    return results


def _tell(results: list[Result], *, clean: bool, whole: bool, seconds: float) -> int:
    failed = [result for result in results if result.findings]
    healed = sorted(result.healed for result in results if not result.findings)
    missed = set(Point) - {result.cell.point for result in results} if whole else set()
    for point in missed:
        print(f"No crash is played at {point.label}; add it to tests/faults/matrix.py.")
    print(
        f"{len(results)} crashes at {len({result.cell.point for result in results})} points in {seconds:.0f} s: "
        f"{len(failed)} did not heal; ledger audit {'clean' if clean else 'NOT clean'}."
    )
    if healed:
        print(f"Seconds to heal: median {healed[len(healed) // 2]:.1f}, longest {healed[-1]:.1f}.")
    return 1 if failed or missed or not clean else 0


def _name(cell: Cell) -> str:
    return f"{cell.point.label} {cell.killed} {cell.outcome_name}"


def _line(*columns: str) -> None:
    padded = [column.ljust(width) for column, width in zip(columns, _WIDTHS, strict=False)]
    print(" ".join([*padded, columns[-1]]), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
