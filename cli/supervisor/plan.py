"""The addresses of one stack: decided once per start, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from cli.supervisor.options import DEFAULT_PORTS, UpOptions
from cli.supervisor.ports import HOST, choose, claim, is_free
from cli.supervisor.state import State


@dataclass(frozen=True, slots=True)
class Plan:
    """Where every program listens; all on loopback."""

    api: dict[str, int]
    """API port of the gateway per region."""
    grpc: dict[str, int]
    """Port of the regional server; of the first one, where there are several."""
    sandbox: int
    more_grpc: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Ports of a region's further servers."""
    valkey: dict[str, int] = field(default_factory=dict)
    """Port of Valkey per region."""

    def api_url(self, region: str) -> str:
        """Base URL of a region's public API."""
        return f"http://{HOST}:{self.api[region]}"

    def servers(self, region: str) -> list[str]:
        """Addresses of all servers of a region, the first one first."""
        return [f"{HOST}:{port}" for port in (self.grpc[region], *self.more_grpc.get(region, ()))]

    @property
    def sandbox_url(self) -> str:
        """Base URL of the sandbox."""
        return f"http://{HOST}:{self.sandbox}"


def make_plan(options: UpOptions, state: State) -> Plan:
    """Chooses ports, keeping those of the last start where they are free, and remembers them in the state.

    Call it when nothing of the last start runs any more, or its own programs would look like strangers.

    Raises:
        CliError: an API port that people rely on is taken.
    """
    used: set[int] = set()
    api = {region: _api_port(region, options, state, used) for region in options.regions}
    if options.sandbox_port is not None:
        sandbox = claim(options.sandbox_port, "--sandbox-port", used)
    else:
        sandbox = choose(state.ports.get("sandbox"), used)
    grpc = {region: choose(state.ports.get(f"{region} grpc"), used) for region in options.regions}
    more = {region: _more_grpc(region, options, state, used) for region in options.regions}
    valkey = {region: choose(state.ports.get(f"{region} valkey"), used) for region in options.regions}
    for region in options.regions:
        state.ports[f"{region} valkey"] = valkey[region]
        state.ports[f"{region} api"] = api[region]
        state.ports[f"{region} grpc"] = grpc[region]
    state.ports["sandbox"] = sandbox
    state.fixed_ports = not options.free_ports
    return Plan(api, grpc, sandbox, {region: ports for region, ports in more.items() if ports}, valkey)


def _more_grpc(region: str, options: UpOptions, state: State, used: set[int]) -> tuple[int, ...]:
    ports = []
    for number in range(2, options.servers + 1):
        name = f"{region} grpc {number}"
        state.ports[name] = choose(state.ports.get(name), used)
        ports.append(state.ports[name])
    return tuple(ports)


def _api_port(region: str, options: UpOptions, state: State, used: set[int]) -> int:
    flag = f"--ports {region}=PORT"
    if region in options.ports:
        return claim(options.ports[region], flag, used)
    remembered = state.ports.get(f"{region} api")
    # Ports that were picked freely last time may move again; a promised one may not move in silence.
    if options.free_ports or (remembered is not None and not state.fixed_ports):
        wanted = remembered or DEFAULT_PORTS[region]
        return choose(wanted if is_free(wanted) else None, used)
    return claim(remembered or DEFAULT_PORTS[region], flag, used)
