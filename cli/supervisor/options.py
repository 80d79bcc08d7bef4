"""What `babysea up` was asked for, and the text forms of it on the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

from cli.supervisor.layout import REGIONS

DEFAULT_PORTS = {"us": 8080, "eu": 8081, "jp": 8082}


@dataclass(frozen=True, slots=True)
class UpOptions:
    """A stack to run."""

    regions: tuple[str, ...] = REGIONS
    ports: dict[str, int] = field(default_factory=dict)
    """API ports that were asked for; the others keep the last start's, or the default ones."""
    free_ports: bool = False
    """Whether a taken API port may be replaced by a free one."""
    workers: int = 1
    """Worker processes per region."""
    sandbox_port: int | None = None
    servers: int = 1
    """Server processes per region, each on a port of its own."""

    def arguments(self) -> list[str]:
        """The same options as arguments of `babysea up`."""
        ports = [f"{region}={port}" for region, port in self.ports.items()]
        if self.free_ports:
            ports.append("auto")
        found = ["--regions", ",".join(self.regions), "--workers", str(self.workers)]
        found += ["--servers", str(self.servers)]
        if ports:
            found += ["--ports", ",".join(ports)]
        if self.sandbox_port is not None:
            found += ["--sandbox-port", str(self.sandbox_port)]
        return found


def parse_regions(text: str) -> tuple[str, ...]:
    """Regions joined by commas, for argparse."""
    regions = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [region for region in regions if region not in REGIONS]
    if unknown or not regions or len(set(regions)) < len(regions):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of regions; name each of {', '.join(REGIONS)} at most once, like us,eu"
        )
    return regions


def parse_ports(text: str) -> tuple[dict[str, int], bool]:
    """API ports like us=8080,eu=8081, and whether "auto" allows free ones instead; for argparse."""
    ports: dict[str, int] = {}
    auto = False
    for part in (part.strip() for part in text.split(",")):
        region, separator, number = part.partition("=")
        if part == "auto":
            auto = True
        elif separator and region in REGIONS and region not in ports and _is_port(number):
            ports[region] = int(number)
        else:
            raise argparse.ArgumentTypeError(
                f"{part!r} is not a port of a region; write ports like us=8080,eu=8081, or auto for free ones"
            )
    return ports, auto


def parse_port(text: str) -> int:
    """One port, for argparse."""
    if not _is_port(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 1 and 65535")
    return int(text)


def parse_count(text: str) -> int:
    """A number of processes, for argparse."""
    if not text.isdecimal() or not 0 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 64")
    return int(text)


def parse_servers(text: str) -> int:
    """A number of servers, for argparse; a region without one would answer nothing."""
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 1 and 64")
    return int(text)


def parse_processes(text: str) -> int:
    """A number of processes, for argparse; auto or 0 is one per core, given as 0."""
    return 0 if text == "auto" else parse_count(text)


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii() and 1 <= int(text) <= 65_535
