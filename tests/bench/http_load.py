"""A small HTTP/1.1 load generator: keep-alive connections, one request in flight on each, exact latencies."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """What a run of load saw."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Answers with status 200 per second."""
        return self.statuses[200] / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that this share of answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


async def post_for(
    url: str,
    headers: dict[str, str],
    body: bytes,
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> Load:
    """Posts the same body over `connections` connections for a while.

    With a `rate`, so many requests a second are due over all connections, and each one's latency counts from the time at
    which it was due; without, a request follows at once on the answer before it.
    """
    load = Load()
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    end = time.perf_counter() + seconds
    begun = time.perf_counter()

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        due = begun if rate is None else begun + number / rate
        while time.perf_counter() < end:
            if rate is not None:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent = due if rate is not None else time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            await reader.readexactly(length)
            load.latencies.append(time.perf_counter() - sent)
            load.statuses[int(head[9:12])] += 1
            if rate is not None:
                due += connections / rate
        writer.close()

    await asyncio.gather(*(one(number) for number in range(connections)))
    load.seconds = time.perf_counter() - begun
    return load
