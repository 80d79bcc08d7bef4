"""`make bench-enumeration`: whether the time of an answer tells that an e-mail has an account.

One real server with passwords at their real cost. Calls for e-mails that have an account and for others alternate in random
order; every e-mail is asked about four times at most, as the limits of an e-mail would answer after that. Printed per method:
10th, 50th and 90th percentile in milliseconds of both, and two-sample statistics. AUC is the chance that a call for a known
e-mail took longer than one for an unknown e-mail: 0.5 tells nothing, and |z| below 2 is what chance gives nineteen times of
twenty.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Before gRPC is imported: PostgreSQL is started by fork.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc

from kit.clock import FixedClock
from server.runtime.lifecycle import serve
from server.runtime.service_identity import OPERATOR_PREFIX, SERVICE_PREFIX, make_token
from tests.integration.identity.people import PASSWORD, People
from tests.support.postgres import new_database, obtain_cluster, stop_cluster
from tests.support.region import open_region, settings_for

PEOPLE = 50
ROUNDS = 4

METHODS: dict[str, dict[str, str]] = {
    "SignIn": {"password": "not the password"},
    "RequestPasswordReset": {},
    "SignUp": {"password": PASSWORD, "name": "Somebody"},
    "ResendVerification": {},
}


async def timed(people: People, method: str, email: str) -> float:
    """Milliseconds of one call, refused or not."""
    began = time.perf_counter()
    try:
        await people.call(method, email=email, **METHODS[method])
    except grpc.aio.AioRpcError as failed:
        if failed.code() != grpc.StatusCode.UNAUTHENTICATED:
            raise
    return (time.perf_counter() - began) * 1000


async def measure(
    people: People, method: str, known: Sequence[str], unknown: Sequence[str]
) -> dict[bool, list[float]]:
    """Times by whether the e-mail is known."""
    calls = [(True, email) for email in known] + [(False, email) for email in unknown]
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(ROUNDS):
        random.shuffle(calls)
        for is_known, email in calls:
            times[is_known].append(await timed(people, method, email))
    return times


def auc(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Mann-Whitney: the chance that one of the first is greater, and how many standard errors it is from a half."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, group) in enumerate(ranked, 1) if group == 0)
    n, m = len(first), len(second)
    chance = (ranks - n * (n + 1) / 2) / (n * m)
    return chance, (chance - 0.5) / ((n + m + 1) / (12 * n * m)) ** 0.5


def largest_gap(first: Sequence[float], second: Sequence[float]) -> float:
    """Kolmogorov-Smirnov: the largest distance of the two distributions."""
    return max(
        abs(sum(v <= at for v in first) / len(first) - sum(v <= at for v in second) / len(second))
        for at in (*first, *second)
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def row(method: str, times: dict[bool, list[float]]) -> str:
    """One line of the table."""
    shown = [
        f"{percentile(times[known], share):7.2f}" for known in (True, False) for share in (0.1, 0.5, 0.9)
    ]
    chance, z = auc(times[True], times[False])
    gap = largest_gap(times[True], times[False])
    return f"{method:<22}{''.join(shown[:3])}  |{''.join(shown[3:])}  | {chance:.3f} {z:+6.2f}  {gap:.3f}"


async def run(folder: Path) -> None:
    """Opens a region, makes people, measures and prints."""
    database = await asyncio.to_thread(lambda: new_database(obtain_cluster(folder / "cluster")))
    service, operator = folder / "service.token", folder / "operator.token"
    make_token(service, SERVICE_PREFIX)
    make_token(operator, OPERATOR_PREFIX)
    changes: dict[str, Any] = {"service_token_file": service, "operator_token_file": operator}
    settings = settings_for(database, services="accounts,identity", **changes)
    region, clock = open_region(database), FixedClock(datetime.now(UTC))
    async with (
        serve(settings, clock=clock) as server,
        People.open(server.address, region, clock, settings) as people,
    ):
        known = [(await people.new_person()).email for _ in range(PEOPLE)]
        unknown = [f"{os.urandom(16).hex()}@example.com" for _ in range(PEOPLE)]
        for method in METHODS:
            # Warms connections, plans and caches; these e-mails are nobody's.
            for _ in range(20):
                await timed(people, method, f"{os.urandom(16).hex()}@example.com")
        print(f"{PEOPLE * ROUNDS} calls of each kind, one at a time, in ms")
        print(
            f"{'':<22}{'known p10':>7} {'p50':>6} {'p90':>6}  | unknown p10  p50   p90 |  AUC      z     KS"
        )
        for method in METHODS:
            print(row(method, await measure(people, method, known, unknown)), flush=True)
    await region.close()


def main() -> None:
    """The command."""
    with tempfile.TemporaryDirectory() as name:
        try:
            asyncio.run(run(Path(name)))
        finally:
            stop_cluster(Path(name) / "cluster")


if __name__ == "__main__":
    main()
