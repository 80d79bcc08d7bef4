"""`python -m tests.sdk INTERPRETER`: the official SDKs in that interpreter's environment, and our adapters, compared."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sdk.adapters import Players
from tests.sdk.recorder import recording
from tests.sdk.table import Line, compare

_OFFICIAL = Path(__file__).with_name("official.py")
_WIDTHS = (13, 23, 74)


def main(interpreter: str) -> int:
    """Plays both and prints the tables; 0 when every operation worked and is the same."""
    with sandbox() as url, recording(url) as recorder, tempfile.TemporaryDirectory() as folder:
        broken = _sdks(interpreter, recorder.url)
        wrong = asyncio.run(Players(recorder.url, Path(folder)).play())
        lines = list(compare(recorder.seen))
    print()
    _line("provider", "operation", "request of the SDK", "our adapter's")
    for line in lines:
        _line(line.provider, line.operation, line.request, _verdict(line))
    for provider, operation, reason in wrong:
        print(f"our adapter of {provider} failed in the step after {operation}: {reason}")
    different = [line for line in lines if line.differences]
    equal = sum(1 for line in lines if not line.differences)
    print(f"{len(lines)} operations: {equal} equal, {len(different)} different; {broken} SDK steps failed.")
    return 1 if broken or wrong or different or not lines else 0


def _verdict(line: Line) -> str:
    if line.differences:
        return "DIFFERENT: " + "; ".join(line.differences)
    return "equal" + (f", and {', '.join(line.ours_alone)}" if line.ours_alone else "")


def _sdks(interpreter: str, url: str) -> int:
    """Plays the SDKs and prints what came of it; how many steps failed."""
    # -P keeps this folder out of the import path: a module here must not stand in for an SDK of the same name.
    done = subprocess.run(
        [interpreter, "-P", "-W", "ignore", str(_OFFICIAL), url],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    _line("provider", "operation", "what the official SDK got from the sandbox", "verdict")
    for each in outcomes:
        _line(each["provider"], each["operation"], each["outcome"], "ok" if each["good"] else "FAILED")
    if done.returncode and not any(not each["good"] for each in outcomes):
        print(done.stderr[-2000:], file=sys.stderr)
        return 1
    return sum(1 for each in outcomes if not each["good"])


@contextmanager
def sandbox() -> Iterator[str]:
    """A sandbox in a process of its own; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(10)


def _line(*columns: str) -> None:
    padded = [column.ljust(width) for column, width in zip(columns, _WIDTHS, strict=False)]
    print(" ".join([*padded, *columns[len(_WIDTHS) :]]), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
