"""The combiner: results by position, order by key, and what cancellation and failures do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from kit import telemetry
from server.generation import store
from server.runtime.combiner import LANES, LARGEST_BATCH, Combiner
from server.runtime.database import database_stopwatch, system_transaction
from tests.integration.admission.calling import DEADLINE, Ask, fact, written
from tests.support.chain import assert_money_is_clean
from tests.support.region import TestRegion

Send = Callable[[Sequence[int]], Awaitable[Sequence[str]]]


class Counter:
    """A sender that waits at a gate and remembers what went out."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.poison: set[int] = set()

    async def __call__(self, items: Sequence[int]) -> Sequence[str]:
        self.sent.append(list(items))
        self.began.set()
        await self.gate.wait()
        if self.poison & set(items):
            raise ValueError(f"poison in {len(items)}")
        return [f"<{item}>" for item in items]


def submit(combiner: Combiner[int, str], item: int, key: int = 0) -> asyncio.Task[str]:
    """A caller of its own."""
    return asyncio.create_task(combiner.submit(item, key))


async def test_results_come_back_by_position_and_a_batch_is_never_larger_than_the_largest() -> None:
    send = Counter()
    combiner: Combiner[int, str] = Combiner("test", send)
    calls = [submit(combiner, n) for n in range(3 * LARGEST_BATCH)]
    await send.began.wait()
    send.gate.set()
    assert await asyncio.gather(*calls) == [f"<{n}>" for n in range(3 * LARGEST_BATCH)]
    assert max(len(batch) for batch in send.sent) == LARGEST_BATCH
    assert [n for batch in send.sent for n in batch] == list(range(3 * LARGEST_BATCH))


async def test_an_idle_lane_sends_at_once_and_gathers_while_one_is_in_flight() -> None:
    send = Counter()
    combiner: Combiner[int, str] = Combiner("test", send)
    first = submit(combiner, 1)
    await send.began.wait()
    later = [submit(combiner, n) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    assert send.sent == [[1]]
    send.gate.set()
    assert await asyncio.gather(first, *later) == ["<1>", "<2>", "<3>", "<4>"]
    assert send.sent == [[1], [2, 3, 4]]


async def test_items_of_one_key_keep_their_order_and_other_lanes_do_not_wait() -> None:
    send = Counter()
    combiner: Combiner[int, str] = Combiner("test", send)
    calls = [submit(combiner, n, key=n % LANES) for n in range(40)]
    await send.began.wait()
    await asyncio.sleep(0)
    assert sorted(batch[0] % LANES for batch in send.sent) == list(range(LANES))
    send.gate.set()
    await asyncio.gather(*calls)
    for lane in range(LANES):
        sent = [n for batch in send.sent for n in batch if n % LANES == lane]
        assert sent == list(range(lane, 40, LANES))
        assert all(len({n % LANES for n in batch}) == 1 for batch in send.sent)


async def test_a_batch_that_fails_is_sent_again_one_by_one_and_only_the_bad_item_fails() -> None:
    send = Counter()
    send.poison = {3}
    combiner: Combiner[int, str] = Combiner("test", send)
    first = submit(combiner, 0)
    await send.began.wait()
    calls = [submit(combiner, n) for n in range(1, 6)]
    await asyncio.sleep(0)
    send.gate.set()
    results = await asyncio.gather(first, *calls, return_exceptions=True)
    assert list(map(str, results)) == ["<0>", "<1>", "<2>", "poison in 1", "<4>", "<5>"]
    assert send.sent == [[0], [1, 2, 3, 4, 5], [1], [2], [3], [4], [5]]
    assert await combiner.submit(6, 0) == "<6>"


async def test_a_caller_that_is_cancelled_before_its_item_went_out_takes_it_along() -> None:
    send = Counter()
    combiner: Combiner[int, str] = Combiner("test", send)
    first = submit(combiner, 0)
    await send.began.wait()
    calls = [submit(combiner, n) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[1]
    send.gate.set()
    assert [await call for call in (first, calls[0], calls[2])] == ["<0>", "<1>", "<3>"]
    assert send.sent == [[0], [1, 3]]


async def test_callers_that_are_cancelled_after_dispatch_do_not_stop_the_batch() -> None:
    send = Counter()
    combiner: Combiner[int, str] = Combiner("test", send)
    done: list[int] = []

    async def slow(items: Sequence[int]) -> Sequence[str]:
        answer = await send(items)
        done.extend(items)
        return answer

    combiner = Combiner("test", slow)
    first = submit(combiner, 1)
    await send.began.wait()
    rest = [submit(combiner, n) for n in (2, 3)]
    await asyncio.sleep(0)
    first.cancel()
    send.gate.set()
    await asyncio.gather(first, return_exceptions=True)
    assert await asyncio.gather(*rest) == ["<2>", "<3>"]
    await combiner.close()
    assert (first.cancelled(), done) == (True, [1, 2, 3])


async def test_close_waits_for_what_was_submitted() -> None:
    send = Counter()
    combiner: Combiner[int, str] = Combiner("test", send)
    calls = [submit(combiner, n, n) for n in range(10)]
    await send.began.wait()
    closing = asyncio.create_task(combiner.close())
    await asyncio.sleep(0)
    assert not closing.done()
    send.gate.set()
    await closing
    await asyncio.sleep(0)
    assert all(call.done() for call in calls)


@pytest.mark.parametrize("answers", [0, 1, 4])
async def test_no_caller_hangs_when_the_answers_do_not_match_the_items(answers: int) -> None:
    gate, began = asyncio.Event(), asyncio.Event()

    async def send(items: Sequence[int]) -> Sequence[str]:
        began.set()
        await gate.wait()
        return ["fine"] if len(items) == 1 else ["odd"] * answers

    combiner: Combiner[int, str] = Combiner("test", send)
    first = submit(combiner, 0)
    await began.wait()
    calls = [submit(combiner, n) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(first, *calls) == ["fine"] * 4
    await combiner.close()


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[InMemorySpanExporter, trace.Tracer]]:
    """Collects the combiner's spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(telemetry, "tracer", lambda: tracer)
    yield exporter, tracer
    provider.shutdown()


async def test_a_batch_has_a_trace_of_its_own_that_links_to_each_callers_and_a_single_joins_its_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send = Counter()
    combiner: Combiner[int, str] = Combiner("test", send)
    inner: list[int] = []

    async def spying(items: Sequence[int]) -> Sequence[str]:
        inner.append(trace.get_current_span().get_span_context().trace_id)
        return await send(items)

    combiner = Combiner("test", spying)
    with recorded(monkeypatch) as (exporter, tracer):
        callers: list[int] = []

        async def call(n: int) -> str:
            with tracer.start_as_current_span(f"caller {n}") as span:
                callers.append(span.get_span_context().trace_id)
                return await combiner.submit(n, 0)

        calls = [asyncio.create_task(call(0))]
        await send.began.wait()
        calls += [asyncio.create_task(call(n)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        send.gate.set()
        await asyncio.gather(*calls)
        single, batch = [span for span in exporter.get_finished_spans() if span.name == "test"]
    assert _trace(single) == callers[0]
    assert single.parent is not None
    assert _trace(batch) not in callers
    assert batch.parent is None
    assert [link.context.trace_id for link in batch.links] == callers[1:]
    assert inner == [_trace(single), _trace(batch)]
    assert (batch.attributes or {})["babysea.batch_size"] == 3


async def test_singles_after_a_failed_batch_join_their_own_callers_traces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send = Counter()
    send.poison = {1}
    combiner: Combiner[int, str] = Combiner("test", send)
    with recorded(monkeypatch) as (exporter, tracer):
        callers: dict[int, int] = {}

        async def call(n: int) -> str:
            with tracer.start_as_current_span(f"caller {n}") as span:
                callers[n] = span.get_span_context().trace_id
                return await combiner.submit(n, 0)

        calls = [asyncio.create_task(call(0))]
        await send.began.wait()
        calls += [asyncio.create_task(call(n)) for n in (1, 2)]
        await asyncio.sleep(0)
        send.gate.set()
        await asyncio.gather(*calls, return_exceptions=True)
        singles = [
            span for span in exporter.get_finished_spans() if span.name == "test" and span.parent is not None
        ]
    assert [_trace(span) for span in singles] == [callers[0], callers[1], callers[2]]


def _trace(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def admission(ask: Ask) -> store.Admission:
    """The same request for the real sender."""
    return store.Admission(
        account=ask.account,
        id=ask.id,
        api_key=ask.api_key,
        key=ask.key,
        fingerprint=ask.fingerprint,
        amount=ask.amount or 0,
        rate_card="card",
        deadline=DEADLINE,
        plan="pro",
        model="bfl/flux-schnell",
        media="image",
        provider_order="fal",
        prediction=ask.id,
        request=b"sealed",
        trace="",
    )


def real(region: TestRegion) -> Combiner[store.Admission, store.Verdict]:
    """The combiner as admission has it."""

    async def send(items: Sequence[store.Admission]) -> Sequence[store.Verdict]:
        return await store.admit_many(region.databases.admitter, items)

    return Combiner("admit", send)


async def test_admissions_of_callers_that_went_away_after_dispatch_are_committed(region: TestRegion) -> None:
    account = await region.new_account(credit=1_000)
    combiner = real(region)
    calls = [asyncio.create_task(combiner.submit(admission(Ask(account)), account.int)) for _ in range(50)]
    assert (await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED))[0]
    for call in calls:
        call.cancel()
    gone = sum(
        isinstance(answer, BaseException) for answer in await asyncio.gather(*calls, return_exceptions=True)
    )
    await combiner.close()
    held = (await written(region, account))["ledger.hold"]
    assert 50 - gone <= held <= 50
    await assert_money_is_clean(region)


async def test_one_poisonous_admission_spoils_no_other(region: TestRegion) -> None:
    account, other = await region.new_account(credit=1_000), await region.new_account(credit=1_000)
    # Even, so that all of them share one lane.
    combiner = real(region)
    twice = Ask(account, key=b"one")
    asks = [Ask(account), twice, Ask(other), Ask(account, id=twice.id, key=b"two"), Ask(other)]
    verdicts = await asyncio.gather(*(combiner.submit(admission(ask), 0) for ask in asks))
    assert [verdict.word for verdict in verdicts] == ["held", "held", "held", "already_held", "held"]
    await combiner.close()
    await assert_money_is_clean(region)


async def test_a_thousand_admissions_through_the_combiner_are_each_answered_for_themselves(
    region: TestRegion,
) -> None:
    accounts = [await region.new_account(credit=500) for _ in range(8)]
    combiner = real(region)
    asks = [Ask(accounts[n % 8], 5) for n in range(1_000)]
    verdicts = await asyncio.gather(*(combiner.submit(admission(ask), ask.account.int) for ask in asks))
    for account in accounts:
        mine = [verdict.word for ask, verdict in zip(asks, verdicts, strict=True) if ask.account == account]
        assert mine == ["held"] * 100 + ["insufficient"] * 25
    for ask, verdict in zip(asks, verdicts, strict=True):
        assert verdict.generation_id == ask.id
    await combiner.close()
    await assert_money_is_clean(region)


async def test_a_single_statement_is_counted_once_for_its_caller(region: TestRegion) -> None:
    async def send(items: Sequence[int]) -> Sequence[str]:
        async with system_transaction(region.databases.worker) as connection:
            await connection.execute(text("select 1"))
        return ["done" for _ in items]

    combiner: Combiner[int, str] = Combiner("test", send)
    async with database_stopwatch() as waits:
        assert await combiner.submit(1, 0) == "done"
    assert len(waits) == 1
    assert await fact(region, "select 1") == 1
