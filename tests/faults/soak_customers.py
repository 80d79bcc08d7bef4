"""The soak's customers: a fixed number of new orders a second, whatever the service answers, and what each was told."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

PICTURE = "/v1/generate/image/bfl/flux-schnell"
FILM = "/v1/generate/video/bytedance/seedance-1-pro"
FINAL = frozenset({"succeeded", "failed", "canceled"})
_PATIENCE_SECONDS = 120.0
_FINAL_REFUSALS = frozenset({400, 401, 402, 403, 404, 409, 422})

# Share of the orders, and the words that make a provider misbehave.
_MAGIC = (
    (0.02, "[[fail@replicate]]"),
    (0.02, "[[outage@replicate]]"),
    (0.02, "[[fail]]"),
    (0.01, "[[moderate]]"),
    (0.01, "[[ratelimit@replicate]]"),
    (0.01, "[[lose@replicate]]"),
    (0.01, "[[slow=5000]]"),
)


@dataclass
class Customer:
    """An account and the key that it uses now."""

    account_id: str
    key_id: str
    secret: str = field(repr=False)


@dataclass
class Order:
    """One generation that a customer wants exactly once."""

    number: int
    customer: Customer
    path: str
    body: dict[str, Any]
    then: str
    """"cancel", "delete", "read" or nothing."""
    answers: set[str] = field(default_factory=set)
    """Every generation id that a 200 named; more than one would be a second generation."""
    refused: str = ""
    deleted: bool = False
    seen: str = ""
    """The first final state that the customer saw."""

    @property
    def key(self) -> str:
        """Its Idempotency-Key."""
        return f"soak-{self.number}"

    @property
    def generation_id(self) -> str:
        """The admitted generation; empty while none is known."""
        return next(iter(self.answers), "")


class Customers:
    """All of them, behind one gateway."""

    def __init__(self, api: str, customers: list[Customer], seed: int) -> None:
        self.customers = customers
        self.orders: list[Order] = []
        self.codes: Counter[str] = Counter()
        """Answers by "method status code"; status 0 is a connection that broke."""
        self.changed_their_mind: list[str] = []
        """Generations that showed two different final states."""
        self.admitted_at: list[float] = []
        self._dice = random.Random(seed)
        self._running: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(
            base_url=api, timeout=30, trust_env=False, limits=httpx.Limits(max_connections=400)
        )

    async def close(self) -> None:
        """Ends the connections."""
        await self._client.aclose()

    async def order_for(self, seconds: float, rate: float) -> None:
        """Places `rate` orders a second, on time also when nothing is answered."""
        begun = time.monotonic()
        for number in range(round(seconds * rate)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            order = self._new_order(len(self.orders))
            self.orders.append(order)
            task = asyncio.create_task(self._life(order))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Waits until every customer gave up or got what it wanted."""
        while self._running:
            await asyncio.wait(tuple(self._running))

    async def settle_open_orders(self) -> None:
        """Repeats every order that nobody has answered yet, until each is known."""
        for order in self.orders:
            if not order.answers and not order.refused:
                await self._place(order)

    async def ask_again(self, count: int) -> None:
        """Repeats some orders that were admitted, under the same key."""
        known = [order for order in self.orders if order.answers and not order.deleted]
        for order in self._dice.sample(known, min(count, len(known))):
            await self._place(order)

    def _new_order(self, number: int) -> Order:
        dice = self._dice
        prompt = f"order {number}: a lighthouse"
        drawn = dice.random()
        for share, words in _MAGIC:
            if drawn < share:
                prompt = f"{prompt} {words}"
                break
            drawn -= share
        body: dict[str, Any] = {"generation_prompt": prompt}
        path = PICTURE
        if dice.random() < 0.02:
            path = FILM
            body |= {"generation_duration": 2, "generation_resolution": "480p"}
        then = dice.choices(("", "read", "cancel", "delete"), (0.62, 0.3, 0.04, 0.04))[0]
        return Order(number, dice.choice(self.customers), path, body, then)

    async def _life(self, order: Order) -> None:
        await self._place(order)
        if not order.generation_id or not order.then:
            return
        await asyncio.sleep(self._dice.uniform(0.05, 3.0))
        record = f"/v1/content/{order.generation_id}"
        if order.then == "cancel":
            await self._insist(order, "POST", f"/v1/content/generation/cancel/{order.generation_id}")
            await self._look(order)
        elif order.then == "delete":
            # A deleted generation is a 404 afterwards; before the answer is known it may be either.
            order.deleted = True
            await self._insist(order, "DELETE", record)
        await self._look(order)

    async def _look(self, order: Order) -> None:
        if order.deleted:
            return
        reply = await self._insist(order, "GET", f"/v1/content/{order.generation_id}")
        if reply is None or reply.status_code != 200:
            return
        state = str(reply.json()["data"]["generation_status"])
        if order.seen and state != order.seen:
            self.changed_their_mind.append(order.generation_id)
        if state in FINAL:
            order.seen = order.seen or state

    async def _place(self, order: Order) -> None:
        reply = await self._insist(
            order, "POST", order.path, json=order.body, headers={"Idempotency-Key": order.key}
        )
        if reply is None:
            return
        if reply.status_code == 200:
            if not order.answers:
                self.admitted_at.append(time.monotonic())
            order.answers.add(str(reply.json()["data"]["generation_id"]))
        else:
            order.refused = reply.json()["error"]["code"]

    async def _insist(self, order: Order, method: str, path: str, **more: Any) -> httpx.Response | None:
        """Repeats a request that is safe to repeat until it is answered; None when the patience ends."""
        until = time.monotonic() + _PATIENCE_SECONDS
        pause = 0.25
        headers = more.pop("headers", {})
        while time.monotonic() < until:
            bearer = {"Authorization": f"Bearer {order.customer.secret}"}
            try:
                reply = await self._client.request(method, path, headers=bearer | headers, **more)
            except httpx.TransportError as error:
                self.codes[f"{method} 0 {type(error).__name__}"] += 1
                reply = None
            if reply is not None:
                self.codes[f"{method} {reply.status_code} {_code_of(reply)}".rstrip()] += 1
                if reply.status_code == 200 or reply.status_code in _FINAL_REFUSALS:
                    return reply
            await asyncio.sleep(pause * self._dice.uniform(0.5, 1.0))
            pause = min(2.0, pause * 2)
        return None


def _code_of(reply: httpx.Response) -> str:
    if reply.status_code == 200:
        return ""
    error = reply.json()["error"]
    return f"{error['code']}{' retryable' if error['retryable'] else ''}"
