"""Metrics: how many calls ended how, and how long they took."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from server.runtime.interceptors.call import Call, Proceed
from server.runtime.interceptors.outcome import code_after

BUCKETS_MILLIS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0)
"""Upper bounds of the latency buckets; one more bucket holds what took longer."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the calls of one method took."""

    count: int
    total_millis: float
    buckets: tuple[int, ...]
    """Calls per bucket, each counted once; one entry more than BUCKETS_MILLIS."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures since the process began."""

    calls: dict[tuple[str, str], int]
    """Ended calls by (method path, gRPC code name)."""
    latency: dict[str, Latency]
    """By method path."""
    gauges: dict[str, float]
    """What stands at this moment, by name."""


class CallMetrics:
    """Counts calls in this process. Not for threads: calls end on the event loop."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, str]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._total: Counter[str] = Counter()
        self._millis: dict[str, float] = {}
        self._gauges: dict[str, float] = {}

    def record(self, method: str, code: str, millis: float) -> None:
        """Counts one ended call."""
        self._calls[method, code] += 1
        self._total[method] += 1
        self._millis[method] = self._millis.get(method, 0.0) + millis
        buckets = self._buckets.setdefault(method, [0] * (len(BUCKETS_MILLIS) + 1))
        buckets[bisect_left(BUCKETS_MILLIS, millis)] += 1

    def gauge(self, name: str, value: float) -> None:
        """Notes how something stands."""
        self._gauges[name] = value

    def snapshot(self) -> Snapshot:
        """The figures as they stand."""
        latency = {
            method: Latency(self._total[method], self._millis[method], tuple(buckets))
            for method, buckets in self._buckets.items()
        }
        return Snapshot(dict(self._calls), latency, dict(self._gauges))


class Metrics:
    """Counts every call but those that only probe the server."""

    name: ClassVar[str] = "metrics"
    after: ClassVar[tuple[str, ...]] = ("recovery",)

    def __init__(self, metrics: CallMetrics) -> None:
        self._metrics = metrics

    async def around(self, call: Call, proceed: Proceed) -> object:
        """Runs the rest of the call and counts it."""
        if call.method.is_probe:
            return await proceed()
        try:
            response = await proceed()
        except BaseException as error:
            self._metrics.record(call.method.path, code_after(call, error).name, call.millis())
            raise
        self._metrics.record(call.method.path, code_after(call, None).name, call.millis())
        return response
