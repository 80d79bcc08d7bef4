"""`make bench-admission`: creates per second through gateway and server, with the executor stopped.

The reference, in the same run, is generation.admit_many called alone on one connection: what the database itself gives to
one caller without batching. A plan overlay lifts the limits of the plan, because the limits are not what is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from uuid import UUID

import asyncpg
import psutil

import server.catalog
from kit.ids import uuid7
from tests.bench.http_load import Load, post_for

CONNECTIONS = (1, 16, 64)
SECONDS = 6.0
UNLIMITED = 1_000_000_000


def overlay(folder: Path) -> Path:
    """A catalog folder whose enterprise plan has no limits worth speaking of."""
    built_in = Path(server.catalog.__file__).parent / "data" / "plans.toml"
    text = built_in.read_text()
    limits = tomllib.loads(text)
    enterprise = limits["plans"]["enterprise"] if "plans" in limits else limits["enterprise"]
    for name in ("requests_per_minute", "in_flight"):
        text = text.replace(f"{name} = {_written(text, enterprise[name])}", f"{name} = {UNLIMITED}")
    (folder / "plans.toml").write_text(text)
    return folder


def _written(text: str, number: int) -> str:
    grouped = f"{number:_}"
    return grouped if grouped in text else str(number)


def babysea(data_dir: Path, *arguments: str, **environment: str) -> None:
    """Runs the CLI on the bench's own data folder."""
    command = [sys.executable, "-m", "cli.main", "--data-dir", str(data_dir), *arguments]
    subprocess.run(command, check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)


def processes(supervisor_tree: list[psutil.Process]) -> dict[str, list[psutil.Process]]:
    """The stack's processes by what they are."""
    groups: dict[str, list[psutil.Process]] = {}
    for process in supervisor_tree:
        line = " ".join(process.cmdline())
        for name in ("gateway", "server", "worker", "sandbox"):
            if f"cli.main {name}" in line or line.endswith(f" {name}"):
                groups.setdefault(name, []).append(process)
    return groups


def cpu_seconds(group: list[psutil.Process]) -> float:
    """CPU time that the processes have used so far."""
    total = 0.0
    for process in group:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def find(data_dir: Path, backend: int) -> dict[str, list[psutil.Process]]:
    """The stack's processes, found by the bench's own data folder; PostgreSQL's by one of its backends."""
    marked = []
    for process in psutil.process_iter():
        try:
            if str(data_dir) in " ".join(process.cmdline()) or str(data_dir) in process.environ().get(
                "BABYSEA_DATA_DIR", ""
            ):
                marked += [process, *process.children(recursive=True)]
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    groups = processes(list({process.pid: process for process in marked}.values()))
    postmaster = psutil.Process(backend).parent()
    groups["postgres"] = [] if postmaster is None else [postmaster, *postmaster.children()]
    return groups


async def reference(database_url: str, account_id: UUID, seconds: float) -> float:
    """generation.admit_many for one item at a time on one connection, per second."""
    connection = await asyncpg.connect(database_url)
    statement = await connection.prepare(
        "select word from generation.admit_many(array[$1::uuid], array[$2::uuid], array[null::uuid], array[null::bytea],"
        " array['\\x01'::bytea], array[5000::bigint], array['bench'], array[now() + interval '1 hour'], array['enterprise'],"
        " array['bfl/flux-schnell'], array['image'], array['replicate,fal'], array[$2::uuid], array[$3::bytea], array[null::text])"
    )
    request = os.urandom(420)
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        word = await statement.fetchval(account_id, uuid7(), request)
        if word != "held":
            sys.exit(f"the reference was refused: {word}")
        done += 1
    elapsed = time.perf_counter() - begun
    await connection.close()
    return done / elapsed


async def measure(data_dir: Path) -> None:
    """Runs every level and prints the table."""
    ready = json.loads((data_dir / "ready.json").read_text())["regions"]["us"]
    connection = await asyncpg.connect(ready["database_url"])
    backend = connection.get_server_pid()
    account = UUID(ready["account_id"])
    await connection.execute("select ledger.grant_credit($1, 900000000000, 'bench')", account)
    await connection.execute(
        "update ledger.account set in_flight_limit = $2 where id = $1", account, UNLIMITED
    )
    await connection.execute("analyze")
    alone = await reference(ready["database_url"], account, SECONDS)
    body = json.dumps({"generation_prompt": "a lighthouse at dusk", "generation_ratio": "1:1"}).encode()
    headers = {"Authorization": f"Bearer {ready['api_key']}", "Content-Type": "application/json"}
    url = f"{ready['api']}/v1/generate/image/bfl/flux-schnell"
    await post_for(url, headers, body, 4, 1.0)
    print(f"admit_many alone, one connection, no batching (reference): {alone:,.0f} per second\n")
    print(
        "connections   requests/s   of reference   p50 ms   p99 ms   CPU ms per request (gateway, server, postgres)"
    )
    for connections in CONNECTIONS:
        groups = find(data_dir, backend)
        before = {name: cpu_seconds(group) for name, group in groups.items()}
        load: Load = await post_for(url, headers, body, connections, SECONDS)
        groups = find(data_dir, backend)
        spent = {name: (cpu_seconds(group) - before.get(name, 0.0)) * 1000 for name, group in groups.items()}
        if set(load.statuses) != {200}:
            print(f"    answers other than 200: {dict(load.statuses)}")
        answered = max(1, load.statuses[200])
        shares = ", ".join(
            f"{spent.get(name, 0.0) / answered:.2f}" for name in ("gateway", "server", "postgres")
        )
        print(
            f"{connections:11d}   {load.per_second:10,.0f}   {load.per_second / alone:12.2f}   {load.percentile(0.5):6.1f}"
            f"   {load.percentile(0.99):6.1f}   {shares}"
        )
    memory = {
        name: [p.memory_info().rss // 1_048_576 for p in group]
        for name, group in find(data_dir, backend).items()
        if name != "postgres"
    }
    print(f"\nresident memory, MB: {memory}")
    findings = await connection.fetch("select * from ledger.audit()")
    admitted = await connection.fetchval("select count(*) from generation.generation")
    await connection.close()
    print(f"admitted: {admitted:,}; ledger audit findings: {len(findings)}")


def main() -> None:
    """Starts a region without workers, measures, stops it."""
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
            asyncio.run(measure(data_dir))
        finally:
            babysea(data_dir, "down")


if __name__ == "__main__":
    main()
