"""`make soak`: a region under load for minutes while its programs are killed and its database stops, and what it kept.

One region with two servers and two workers is brought up as a person does it, in a temp folder. The exit code is 1 when any
promise was broken. The machine should be quiet: what others use of it is printed, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import psutil

from tests.faults.soak_chaos import Chaos, Healed, plan
from tests.faults.soak_customers import Customer, Customers
from tests.faults.soak_memory import Life, Memory
from tests.faults.soak_verdict import Promise, judge
from tests.support.deployment import Deployment, deployed

ACCOUNTS = 8
CREDITS = "100000"
DRAIN_SECONDS = 420.0
ROTATE_EVERY_SECONDS = 15.0
TELL_EVERY_SECONDS = 20.0
_OPEN = (
    "select (select count(*) from generation.generation where completed_at is null)"
    " + (select count(*) from runtime.job)"
)
_WAITING = (
    "select state, provider, count(*) from generation.attempt"
    " where state in ('submitting', 'accepted', 'submit_unknown') group by state, provider"
)


@dataclass
class Figures:
    """What a run was and cost, besides its promises."""

    seconds: float
    drain_seconds: float
    rotations: Counter[str]
    healed: list[Healed]
    lives: list[Life]
    states: dict[str, int]
    busy: float
    steal: float


def main() -> int:
    """Runs it and prints the tables; 1 when a promise was broken."""
    asked = argparse.ArgumentParser(prog="soak", description=__doc__)
    asked.add_argument("--minutes", type=float, default=10.0, help="time under load (default: 10)")
    asked.add_argument("--rate", type=float, default=21.0, help="new generations a second (default: 21)")
    asked.add_argument("--kills", type=int, help="SIGKILLs (default: 2.2 a minute, 5 at least)")
    asked.add_argument(
        "--databases", type=int, help="stops of PostgreSQL (default: 0.3 a minute, 1 at least)"
    )
    asked.add_argument("--seed", type=int, default=1, help="start of every draw (default: 1)")
    asked.add_argument("--logs", type=Path, help="folder that the programs' logs are copied to at the end")
    options = asked.parse_args()
    kills = options.kills if options.kills is not None else max(5, round(2.2 * options.minutes))
    databases = options.databases if options.databases is not None else max(1, round(0.3 * options.minutes))
    with deployed("--servers", "2", "--workers", "2", BABYSEA_TRACE_SAMPLE_RATIO="0.05") as stack:
        try:
            promises = asyncio.run(
                _soak(stack, options.minutes * 60, options.rate, kills, databases, options.seed)
            )
        finally:
            if options.logs is not None:
                shutil.copytree(stack.data_dir / "logs", options.logs, dirs_exist_ok=True)
    return 0 if all(promise.kept for promise in promises) else 1


async def _soak(
    stack: Deployment, seconds: float, rate: float, kills: int, databases: int, seed: int
) -> list[Promise]:
    customers = Customers(stack.region["api"], [_customer(stack, n) for n in range(ACCOUNTS)], seed)
    await stack.execute("update ledger.account set in_flight_limit = 5000 where in_flight_limit > 0")
    chaos = Chaos(stack, plan(seconds, kills, databases, seed))
    memory = Memory(stack)
    rotations: Counter[str] = Counter()
    background = [
        asyncio.create_task(memory.watch()),
        asyncio.create_task(_rotate(stack, customers, rotations)),
    ]
    before, loading = psutil.cpu_times()._asdict(), time.monotonic()
    _note(f"{rate:g} orders a second for {seconds:.0f} s, {kills} kills, {databases} stops of the database …")
    async with asyncio.TaskGroup() as running:
        running.create_task(customers.order_for(seconds, rate))
        running.create_task(chaos.run())
    loaded = time.monotonic() - loading
    busy, steal = _shares(before, psutil.cpu_times()._asdict())
    background[1].cancel()
    _note("draining …")
    begun = time.monotonic()
    await customers.finish()
    await customers.settle_open_orders()
    await _drain(stack)
    drained = time.monotonic() - begun
    await customers.ask_again(200)
    background[0].cancel()
    await asyncio.gather(*background, return_exceptions=True)
    await customers.close()
    in_time = sum(at <= loading + loaded for at in customers.admitted_at)
    lives = memory.longest()
    promises = await judge(
        stack,
        customers,
        lives,
        clean=stack.audit_is_clean(),
        planned_rate=rate,
        rate=in_time / loaded,
    )
    promises.append(_healing(chaos))
    states = {
        str(row["state"]): int(row["count"])
        for row in await stack.rows("select state, count(*) from generation.generation group by state")
    }
    _print(customers, promises, Figures(loaded, drained, rotations, chaos.healed, lives, states, busy, steal))
    return promises


def _customer(stack: Deployment, number: int) -> Customer:
    made = json.loads(
        stack.run(
            "account",
            "create",
            "--region",
            "us",
            "--name",
            f"Soak {number}",
            "--plan",
            "enterprise",
            "--json",
        )
    )
    account = str(made["account_id"])
    where = ("--region", "us", "--account", account)
    stack.run("credits", "grant", *where, "--amount", CREDITS, "--key", "soak")
    key = json.loads(stack.run("key", "create", *where, "--name", "soak", "--json"))
    return Customer(account, str(key["key_id"]), str(key["api_key"]))


async def _rotate(stack: Deployment, customers: Customers, done: Counter[str]) -> None:
    """Gives one customer after the other a new key; the old one goes on for an hour."""
    number = 0
    while True:
        await asyncio.sleep(ROTATE_EVERY_SECONDS)
        customer = customers.customers[number % len(customers.customers)]
        number += 1
        where = ("--region", "us", "--account", customer.account_id, "--grace-hours", "1", "--json")
        try:
            said = await asyncio.to_thread(stack.run, "key", "rotate", *where, customer.key_id)
        except AssertionError:
            # Its region was away; whether there is a new key now, the old one works on.
            done["not answered"] += 1
            continue
        made = json.loads(said)
        customer.key_id, customer.secret = str(made["key_id"]), str(made["api_key"])
        done["rotated"] += 1


async def _drain(stack: Deployment) -> None:
    """Waits until every generation has ended and every job is gone, or the time is up."""
    began = told = time.monotonic()
    while left := await stack.value(_OPEN):
        if time.monotonic() - began > DRAIN_SECONDS:
            return
        if time.monotonic() - told > TELL_EVERY_SECONDS:
            told = time.monotonic()
            rows = await stack.rows(_WAITING)
            waiting = ", ".join(f"{row['count']} {row['state']} at {row['provider']}" for row in rows)
            _note(f"  {left} generations and jobs to go; attempts: {waiting or 'none'}")
        await asyncio.sleep(1)


def _healing(chaos: Chaos) -> Promise:
    ill = [healed.trouble.what for healed in chaos.healed if healed.seconds is None]
    count = len(chaos.troubles)
    return Promise(
        "healed by itself", f"{len(chaos.healed) - len(ill)} of {count} {ill or ''}".strip(), not ill
    )


def _shares(before: dict[str, float], after: dict[str, float]) -> tuple[float, float]:
    """Shares of the whole machine's time that were busy, and that the host took away."""
    # What guests use is part of what users use already.
    spent = {name: after[name] - before[name] for name in before if not name.startswith("guest")}
    total = sum(spent.values()) or 1.0
    idle = spent["idle"] + spent.get("iowait", 0.0)
    steal = spent.get("steal", 0.0)
    return (total - idle - steal) / total, steal / total


def _print(customers: Customers, promises: list[Promise], run: Figures) -> None:
    admitted = sum(bool(order.answers) for order in customers.orders)
    print(f"\nunder load {run.seconds:.0f} s, drained in {run.drain_seconds:.0f} s more")
    print(f"machine busy {run.busy:.0%} (everybody on it), stolen by its host {run.steal:.1%}")
    print(f"orders {len(customers.orders)}, admitted {admitted}, states {run.states}")
    print(f"keys {dict(run.rotations)}")
    print("\nanswers")
    for what, count in sorted(customers.codes.items()):
        print(f"  {what:<40} {count:>7}")
    print("\ntrouble              times   healed in s: median      most")
    times: defaultdict[str, list[float]] = defaultdict(list)
    for healed in run.healed:
        times[healed.trouble.what].append(float("inf") if healed.seconds is None else healed.seconds)
    for what, seconds in sorted(times.items()):
        print(f"  {what:<18} {len(seconds):>5} {median(seconds):>22.1f} {max(seconds):>10.1f}")
    print("\nmemory, longest life   minutes   MB after 1 min   middle      end   MB a minute (after 2 min)")
    for life in run.lives:
        slope = life.slope()
        shown = "too short" if slope is None else f"{slope:+.2f}"
        print(
            f"  {life.name:<18} {life.seconds / 60:>10.1f} {life.after(60):>16.0f} {life.at(0.5):>8.0f}"
            f" {life.at(1):>8.0f}   {shown}"
        )
    print("\npromise")
    for promise in promises:
        print(f"  {'kept  ' if promise.kept else 'BROKEN'}  {promise.name:<58} {promise.found}")
    sys.stdout.flush()


def _note(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
