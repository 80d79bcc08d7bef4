"""What a soak must have kept: each promise asked of the database, the providers' own log, and what customers were told."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import httpx

from tests.faults.soak_customers import Customers
from tests.faults.soak_memory import LONG_SECONDS, MOST_MB_A_MINUTE, Life
from tests.support.deployment import Deployment

_SENT = frozenset({"accepted", "lost"})
_JUDGED = (" server", " worker", "gateway", "supervisor")
_ZERO = {
    "generations without an end": "select count(*) from generation.generation where completed_at is null",
    "jobs left over": "select count(*) from runtime.job",
    "attempts left open": "select count(*) from generation.attempt"
    " where state in ('submitting', 'accepted', 'submit_unknown')",
    "holds still held": "select count(*) from ledger.hold where state = 'held'",
    "money still held": "select count(*) from ledger.account where held <> 0 or open_holds <> 0",
    "captured more than once": "select count(*) from (select 1 from ledger.transfer where kind = 'c'"
    " group by hold_id having count(*) > 1) as twice",
    "succeeded without a capture, or captured without success": "select count(*) from generation.generation g"
    " join ledger.hold h on h.id = g.id where (g.state = 'succeeded') <> (h.state = 'captured')",
    "audit findings": "select count(*) from ledger.audit()",
}


@dataclass(frozen=True)
class Promise:
    """One promise and how it came out."""

    name: str
    found: str
    kept: bool


async def judge(
    stack: Deployment,
    customers: Customers,
    lives: list[Life],
    *,
    clean: bool,
    planned_rate: float,
    rate: float,
) -> list[Promise]:
    """Every promise of a run that has drained.

    Args:
        stack: the region, still up.
        customers: what they asked and heard.
        lives: the longest life of each program.
        clean: what `babysea ledger audit` said.
        planned_rate: orders a second that were wanted.
        rate: generations a second that were admitted.
    """
    found = [_zero(name, await stack.value(statement)) for name, statement in _ZERO.items()]
    found.append(Promise("`babysea ledger audit`", "clean" if clean else "VIOLATED", clean))
    found += await _orders(stack, customers)
    found += _answers(customers)
    found += await _submits(stack)
    found.append(
        Promise("admitted per second", f"{rate:.1f} of {planned_rate:.1f}", rate >= 0.98 * planned_rate)
    )
    found += [
        Promise(f"memory of {life.name}, MB a minute", f"{slope:+.2f}", slope <= MOST_MB_A_MINUTE)
        for life in lives
        if (slope := life.slope()) is not None and any(word in life.name for word in _JUDGED)
    ]
    long = [life.name for life in lives if life.seconds >= LONG_SECONDS]
    if not any(" server" in name for name in long) or not any(" worker" in name for name in long):
        found.append(Promise("memory", "no life was long enough to judge", kept=True))
    return found


async def _orders(stack: Deployment, customers: Customers) -> list[Promise]:
    admitted = [order for order in customers.orders if order.answers]
    accounts = [customer.account_id for customer in customers.customers]
    states = {
        str(row["id"]): str(row["state"])
        for row in await stack.rows(
            "select id, state from generation.generation where account_id = any($1::uuid[])", accounts
        )
    }
    named = {order.generation_id for order in admitted}
    return [
        _zero("orders without an answer", sum(not o.answers and not o.refused for o in customers.orders)),
        _zero("orders refused for good", sum(bool(order.refused) for order in customers.orders)),
        _zero("keys that led to two generations", sum(len(order.answers) > 1 for order in admitted)),
        _zero("two keys that led to one generation", len(admitted) - len(named)),
        _zero("admitted (200) but missing", len(named - states.keys())),
        _zero("generations that nobody ordered", len(states.keys() - named)),
        _zero("final states that changed", len(customers.changed_their_mind)),
        _zero(
            "final states seen that are not those on record",
            sum(bool(order.seen) and states.get(order.generation_id) != order.seen for order in admitted),
        ),
    ]


def _answers(customers: Customers) -> list[Promise]:
    statuses: Counter[str] = Counter()
    for what, count in customers.codes.items():
        statuses[what.split()[1]] += count
    return [_zero(f"answers with {status}", statuses[status]) for status in ("401", "403", "500")]


async def _submits(stack: Deployment) -> list[Promise]:
    async with httpx.AsyncClient(base_url=stack.ready()["sandbox"], timeout=120, trust_env=False) as client:
        entries: list[dict[str, Any]] = (await client.get("/_sandbox/log")).json()["entries"]
    sent = [entry for entry in entries if entry["outcome"] in _SENT]
    by_request: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in sent:
        # Every order has a prompt of its own, so equal bodies at one provider are one attempt sent twice.
        by_request[str(entry["provider"]), str(entry["body_sha256"])].append(entry)
    known = {
        (str(row["provider"]), str(row["provider_job_id"]))
        for row in await stack.rows(
            "select provider, provider_job_id from generation.attempt where provider_job_id is not null"
        )
    }
    jobs = {(str(entry["provider"]), str(entry["job_id"])) for entry in sent}
    attempts = await stack.value("select count(*) from generation.attempt")
    return [
        _zero("second paid submits of an attempt", sum(len(them) - 1 for them in by_request.values())),
        _zero("jobs on record that no provider knows", len(known - jobs)),
        Promise(
            "accepted submits no more than attempts", f"{len(sent)} of {attempts}", len(sent) <= attempts
        ),
    ]


def _zero(name: str, count: int) -> Promise:
    return Promise(name, str(count), count == 0)
