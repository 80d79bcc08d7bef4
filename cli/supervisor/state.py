"""What the supervisor remembers from start to start: ports, and the processes that it started."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from cli.supervisor.files import read_json, write_json
from cli.supervisor.processes import ProcessId


@dataclass
class State:
    """Ports by name ("us api", "us grpc", "sandbox") and processes by program name; safe to use from threads.

    A damaged or missing file counts as empty: ports are then chosen anew.
    """

    path: Path
    ports: dict[str, int] = field(default_factory=dict)
    fixed_ports: bool = False
    """Whether the API ports were asked for, so that no others may take their place."""
    processes: dict[str, ProcessId] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def load(cls, path: Path) -> State:
        """What the last start left."""
        known = read_json(path)
        ports, processes = known.get("ports"), known.get("processes")
        return cls(
            path,
            ports=_ports(ports if isinstance(ports, dict) else {}),
            fixed_ports=known.get("fixed_ports") is True,
            processes=_processes(processes if isinstance(processes, dict) else {}),
        )

    def remember_process(self, name: str, process: ProcessId) -> None:
        """Records a process as soon as it exists, so that a crash of ours cannot lose it."""
        with self._lock:
            self.processes[name] = process
            self._save()

    def forget_processes(self) -> None:
        """Records that nothing runs."""
        with self._lock:
            self.processes.clear()
            self._save()

    def save(self) -> None:
        """Writes the file."""
        with self._lock:
            self._save()

    def _save(self) -> None:
        write_json(
            self.path,
            {
                "ports": self.ports,
                "fixed_ports": self.fixed_ports,
                "processes": {
                    name: {"pid": process.pid, "started": process.started}
                    for name, process in self.processes.items()
                },
            },
        )


def _ports(known: dict[object, object]) -> dict[str, int]:
    return {
        str(name): port
        for name, port in known.items()
        if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65_536
    }


def _processes(known: dict[object, object]) -> dict[str, ProcessId]:
    found: dict[str, ProcessId] = {}
    for name, value in known.items():
        if (
            isinstance(value, dict)
            and isinstance(value.get("pid"), int)
            and isinstance(value.get("started"), str)
        ):
            found[str(name)] = ProcessId(value["pid"], value["started"])
    return found
