"""The story of `babysea up`: heal, start everything at once, watch it, stop it in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from cli.errors import CliError
from cli.supervisor import environment, readiness, secrets
from cli.supervisor.children import Children, Program
from cli.supervisor.files import write_json
from cli.supervisor.layout import Layout
from cli.supervisor.options import UpOptions
from cli.supervisor.plan import Plan, make_plan
from cli.supervisor.processes import end
from cli.supervisor.region import START_SECONDS, RegionStack, Stopped, stop_cluster
from cli.supervisor.state import State
from server.runtime.embedded import EmbeddedPostgres

_TRACE_DAYS = 7
_TICK_SECONDS = 0.05


class Stack:
    """Every program of one data folder; whoever has one holds the folder's lock."""

    def __init__(
        self, layout: Layout, options: UpOptions, stop: threading.Event, tell: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._options = options
        self._stop = stop
        self._tell = tell
        self._state = State.load(layout.state)
        self._children = Children(layout.logs, self._state.remember_process, tell)
        self._regions: list[RegionStack] = []
        self._starting: list[Future[dict[str, object]]] = []

    def start(self) -> dict[str, object]:
        """Starts everything, waits until all of it answers, writes ready.json and returns its content.

        Raises:
            CliError, EmbeddedPostgresError: one sentence about what did not start.
            Stopped: `stop` was set meanwhile.
        """
        heal(self._layout, self._state)
        _drop_old_traces(self._layout)
        plan = make_plan(self._options, self._state)
        self._state.save()
        places = {region: self._layout.region(region) for region in self._options.regions}
        keys = {region: secrets.ensure(place) for region, place in places.items()}
        self._run("sandbox", environment.for_sandbox(), "--port", str(plan.sandbox))
        self._run("gateway", environment.for_gateway(self._layout, plan))
        self._regions = [
            RegionStack(
                region,
                self._layout,
                plan,
                keys[region],
                self._children,
                self._options.workers,
                self._stop,
                self._tell,
                self._options.servers,
            )
            for region in self._options.regions
        ]
        regions = self._start_regions()
        facts: dict[str, object] = {
            "gateway": plan.api_url(self._options.regions[0]),
            "sandbox": plan.sandbox_url,
            "regions": regions,
        }
        self._wait_for_edge(plan)
        self._children.check_all_alive()
        write_json(self._layout.ready, facts)
        return facts

    def watch(self) -> None:
        """Keeps every program running until `stop` is set."""
        while not self._stop.wait(_TICK_SECONDS * 2):
            self._children.tend()

    def close(self) -> None:
        """Stops everything in order, from the edge inwards, in a bounded time."""
        self._layout.ready.unlink(missing_ok=True)
        self._stop.set()
        self._children.freeze()
        wait(self._starting)
        # Calls in progress may finish: first nobody new comes in, then the servers drain.
        self._children.stop(lambda name: name == "gateway", 8.0)
        self._children.stop(lambda name: " server" in name, 15.0)
        self._children.stop(lambda name: " worker" in name, 12.0)
        self._children.stop(lambda name: name == "sandbox" or name.endswith(" valkey"), 5.0)
        with ThreadPoolExecutor(max_workers=8) as threads:
            list(threads.map(RegionStack.stop_database, self._regions))
        self._state.forget_processes()

    def _run(self, what: str, variables: dict[str, str], *arguments: str) -> None:
        self._children.run(Program(what, tuple(environment.command(what, *arguments)), variables))

    def _start_regions(self) -> dict[str, dict[str, object]]:
        threads = ThreadPoolExecutor(max_workers=len(self._regions))
        self._starting = [threads.submit(region.start) for region in self._regions]
        threads.shutdown(wait=False)
        while not all(future.done() for future in self._starting):
            self._tick()
            for future in self._starting:
                if future.done():
                    future.result()
        return {
            region.region: future.result()
            for region, future in zip(self._regions, self._starting, strict=True)
        }

    def _wait_for_edge(self, plan: Plan) -> None:
        wanted = [(plan.sandbox_url, "/_sandbox/health", "sandbox")]
        wanted += [(plan.api_url(region), "/readyz", "gateway") for region in plan.api]
        deadline = time.monotonic() + START_SECONDS
        for url, path, name in wanted:
            while not readiness.answers(url, path):
                self._tick()
                self._children.check_alive(name)
                if time.monotonic() > deadline:
                    log = self._children.log_of(name)
                    raise CliError(
                        f"The {name} at {url} did not get ready in {START_SECONDS:.0f} s; read {log}."
                    )

    def _tick(self) -> None:
        if self._stop.wait(_TICK_SECONDS):
            raise Stopped
        self._children.tend()


def heal(layout: Layout, state: State) -> None:
    """Ends what a killed supervisor left behind; databases are left to their manager, which takes them over."""
    layout.ready.unlink(missing_ok=True)
    end(state.processes.values(), 10.0)
    state.processes.clear()


def stop_leftovers(layout: Layout) -> bool:
    """Stops what a killed supervisor left behind, databases too, and says whether anything ran."""
    state = State.load(layout.state)
    ran = bool(state.processes)
    heal(layout, state)
    postgres = EmbeddedPostgres()
    for region in layout.known_regions():
        place = layout.region(region)
        if postgres.status(place.postgres).state in {"starting", "running"}:
            ran = True
            stop_cluster(postgres, place)
    state.save()
    return ran


def _drop_old_traces(layout: Layout) -> None:
    oldest = time.time() - _TRACE_DAYS * 86_400
    for path in layout.traces.glob("*/*.jsonl"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
