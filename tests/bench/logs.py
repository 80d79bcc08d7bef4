"""`make bench-logs`: how long admissions take beside 2,000 request log rows a second, and without them, in the same run.

Admissions come at a fixed rate through gateway and server, each measured from the time at which it was due. Log rows come
from a process of their own by the recorder that servers use. Stretches without and with log rows take turns, so that
whatever else happens on the machine falls on both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import psutil
from pydantic import SecretStr

from cli.supervisor.layout import Layout
from kit.clock import SystemClock
from kit.ids import uuid7
from kit.settings import Settings
from server.logs.recording import RequestRecorder
from server.runtime.database import open_databases
from server.runtime.request_facts import RequestFact
from tests.bench.admission import UNLIMITED, babysea, overlay
from tests.bench.http_load import Load, post_for

ROWS_PER_SECOND = 2_000
TARGET = 1.2
ACCOUNTS = 50
CONNECTIONS = 16
_TICK_SECONDS = 0.01
_ROUTES = ("/v1/status", "/v1/content/list", "/v1/content/{generation_id}", "/v1/library/models")


@dataclass
class Total:
    """What the stretches of one kind saw together."""

    loads: list[Load] = field(default_factory=list)

    def joined(self) -> Load:
        """All of them as one."""
        whole = Load()
        for load in self.loads:
            whole.seconds += load.seconds
            whole.statuses += load.statuses
            whole.latencies += load.latencies
        return whole


def fact(owner: tuple[UUID, UUID], refused: bool) -> RequestFact:
    """A request that was answered just now."""
    now = datetime.now(UTC)
    millis = random.randint(1, 40)
    return RequestFact(
        id=uuid7(),
        account_id=owner[0],
        key_id=owner[1],
        person_id=None,
        at=now - timedelta(milliseconds=millis),
        ended_at=now,
        surface="rest",
        method="GET",
        route=random.choice(_ROUTES),
        query="limit=50&offset=0",
        status=429 if refused else 200,
        bse_code="BSE1005" if refused else None,
        millis=millis,
        replayed=False,
        address_hash=os.urandom(32),
        user_agent="babysea-sdk-js/2.0.0 (node/22)",
        request_id="req_0000000000000000000000",
    )


async def write_rows(
    url: str, owners: list[tuple[UUID, UUID]], rate: int, seconds: float
) -> dict[str, float]:
    """Records `rate` rows a second for a while; how many were written and lost, and what it took."""
    databases = open_databases(
        Settings.model_validate(
            {
                "logs_database_url": SecretStr(url),
                **dict.fromkeys(
                    ("database_url", "admitter_database_url", "worker_database_url", "vault_database_url"),
                    SecretStr(url),
                ),
            }
        )
    )
    if databases.logger is None:
        sys.exit("the logger has no database")
    largest = 0
    process = psutil.Process()
    cpu = process.cpu_times().user
    async with RequestRecorder(
        databases.logger, "bench", SystemClock(), lambda name, value: None
    ) as recorder:
        begun = time.perf_counter()
        made = 0
        while (passed := time.perf_counter() - begun) < seconds:
            for _ in range(int(passed * rate) - made):
                recorder.record(fact(random.choice(owners), made % 50 == 0))
                made += 1
            largest = max(largest, recorder.waiting)
            await asyncio.sleep(_TICK_SECONDS)
    spent = process.cpu_times().user - cpu
    await databases.close()
    return {
        "made": made,
        "written": recorder.written,
        "lost": recorder.lost,
        "largest": largest,
        "cpu": spent,
        "memory": process.memory_info().rss / 1_048_576,
    }


def logger_url(data_dir: Path, admin_url: str) -> str:
    """The log role's own URL into the bench's region."""
    passwords = json.loads((Layout(data_dir).region("us").secrets / "passwords.json").read_text())
    parts = urlsplit(admin_url)
    role = f"babysea_logger:{passwords['babysea_logger']}@{parts.hostname}:{parts.port}"
    return f"postgresql://{role}{parts.path}"


async def prepare(connection: asyncpg.Connection, account: UUID) -> list[tuple[UUID, UUID]]:
    """Money without limits for the admissions; accounts with keys for the log rows."""
    await connection.execute("select ledger.grant_credit($1, 900000000000, 'bench')", account)
    await connection.execute(
        "update ledger.account set in_flight_limit = $2 where id = $1", account, UNLIMITED
    )
    await connection.execute("select logs.ensure_partitions(1)")
    owners = [(uuid7(), uuid7()) for _ in range(ACCOUNTS)]
    for owner, key in owners:
        await connection.execute(
            "insert into accounts.account (id, plan, name_ct) values ($1, 'enterprise', '')", owner
        )
        await connection.execute(
            "insert into keys.api_key (id, account_id, public_id, hash, name, scopes) values ($1, $2, $3, 'x', 'bench', '{}')",
            key,
            owner,
            key.hex[-12:],
        )
    await connection.execute("analyze")
    return owners


async def measure(data_dir: Path, seconds: float, rounds: int, rate: float, rows: int) -> None:
    """Takes turns, then prints the table."""
    ready = json.loads((data_dir / "ready.json").read_text())["regions"]["us"]
    connection = await asyncpg.connect(ready["database_url"])
    owners = await prepare(connection, UUID(ready["account_id"]))
    url = f"{ready['api']}/v1/generate/image/bfl/flux-schnell"
    headers = {"Authorization": f"Bearer {ready['api_key']}", "Content-Type": "application/json"}
    body = json.dumps({"generation_prompt": "a lighthouse at dusk", "generation_ratio": "1:1"}).encode()
    await post_for(url, headers, body, 4, 2.0)
    stretch = seconds / rounds
    without, beside = Total(), Total()
    written = {"made": 0.0, "written": 0.0, "lost": 0.0, "largest": 0.0, "cpu": 0.0, "memory": 0.0}
    for _ in range(rounds):
        without.loads.append(await post_for(url, headers, body, CONNECTIONS, stretch, rate))
        writer = await _writer(logger_url(data_dir, ready["database_url"]), owners, rows, stretch)
        beside.loads.append(await post_for(url, headers, body, CONNECTIONS, stretch, rate))
        said, _ = await writer.communicate()
        for name, value in json.loads(said).items():
            most = name in {"largest", "memory"}
            written[name] = max(written[name], value) if most else written[name] + value
    stored = await connection.fetchval(
        "select count(*) from logs.request where account_id = any ($1)", [owner for owner, _ in owners]
    )
    await connection.close()
    _print(without.joined(), beside.joined(), written, stored, seconds)


async def _writer(
    url: str, owners: list[tuple[UUID, UUID]], rows: int, seconds: float
) -> asyncio.subprocess.Process:
    """The process that makes rows, once it is ready to begin."""
    task = json.dumps(
        {
            "url": url,
            "owners": [[str(one) for one in owner] for owner in owners],
            "rate": rows,
            "seconds": seconds,
        }
    )
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.logs", "--writer"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if writer.stdin is None or writer.stdout is None:
        sys.exit("the writer has no pipes")
    await writer.stdout.readline()
    writer.stdin.write(task.encode() + b"\n")
    await writer.stdin.drain()
    return writer


def _print(without: Load, beside: Load, written: dict[str, float], stored: int, seconds: float) -> None:
    print("admissions          per second     p50 ms     p99 ms   answers other than 200")
    for name, load in (("without log rows", without), ("beside log rows", beside)):
        other = sum(load.statuses.values()) - load.statuses[200]
        print(
            f"{name:18s}  {load.per_second:10.1f} {load.percentile(0.5):10.1f} {load.percentile(0.99):10.1f}   {other:10d}"
        )
    ratio = beside.percentile(0.99) / without.percentile(0.99)
    print(f"\np99 beside / without: {ratio:.2f} (target: at most {TARGET})")
    print(f"p50 beside / without: {beside.percentile(0.5) / without.percentile(0.5):.2f}")
    print(
        f"log rows: {written['made']:,.0f} made ({written['made'] / seconds:,.0f} a second), {written['written']:,.0f} written,"
        f" {stored:,} stored, {written['lost']:,.0f} lost; {written['largest']:,.0f} waited at most"
    )
    print(
        f"writer: {written['cpu'] / max(1.0, written['made']) * 1000:.3f} ms of CPU per row, {written['memory']:.0f} MB"
    )


def _write() -> None:
    print("ready", flush=True)
    task = json.loads(sys.stdin.readline())
    owners = [(UUID(account), UUID(key)) for account, key in task["owners"]]
    print(json.dumps(asyncio.run(write_rows(task["url"], owners, task["rate"], task["seconds"]))))


def main() -> None:
    """Starts a region without workers, measures, stops it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="time of each kind of load (default: 60)")
    parser.add_argument("--rounds", type=int, default=4, help="stretches of each kind (default: 4)")
    parser.add_argument("--rate", type=float, default=60.0, help="admissions a second (default: 60)")
    parser.add_argument("--rows", type=int, default=ROWS_PER_SECOND, help="log rows a second")
    parser.add_argument("--writer", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.writer:
        _write()
        return
    with tempfile.TemporaryDirectory(prefix="babysea-bench-") as folder:
        data_dir = Path(folder).resolve() / "data"
        catalog = Path(folder) / "catalog"
        catalog.mkdir()
        environment = {
            "BABYSEA_CATALOG_DIR": str(overlay(catalog)),
            "BABYSEA_TRACE_SAMPLE_RATIO": os.environ.get("BENCH_TRACE_SAMPLE_RATIO", "0.05"),
            "BABYSEA_LOG_LEVEL": "warning",
        }
        babysea(
            data_dir, "up", "--detach", "--regions", "us", "--workers", "0", "--ports", "auto", **environment
        )
        try:
            asyncio.run(measure(data_dir, asked.seconds, asked.rounds, asked.rate, asked.rows))
        finally:
            babysea(data_dir, "down")


if __name__ == "__main__":
    main()
