"""How the other commands find a running stack: ready.json in the data folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CliError, Exit
from cli.supervisor.layout import REGIONS, Layout

if TYPE_CHECKING:
    from cli.grpc_client import Operator


@dataclass(frozen=True, slots=True)
class RunningRegion:
    """One region that answers, and its bootstrap account."""

    name: str
    grpc: str
    api: str
    account_id: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Running:
    """A running stack."""

    layout: Layout
    sandbox: str
    regions: dict[str, RunningRegion]

    def region(self, name: str | None) -> RunningRegion:
        """The region of that name, or the first one.

        Raises:
            CliError: it does not run here.
        """
        if name is None:
            return next(iter(self.regions.values()))
        if name not in self.regions:
            raise CliError(
                f"The region {name} does not run here, only {', '.join(self.regions)}; choose one of those with --region.",
                Exit.USAGE,
            )
        return self.regions[name]

    def operator(self, region: RunningRegion) -> Operator:
        """A client with the operator's token of a region; close it after use."""
        from cli.grpc_client import Operator
        from cli.supervisor.secrets import read_token

        return Operator(region.grpc, read_token(self.layout.region(region.name)))


def find(data_dir: Path) -> Running:
    """The stack that runs in a data folder.

    Raises:
        CliError: none does, or it belongs to another user.
    """
    layout = Layout.at(data_dir)
    try:
        facts = json.loads(layout.ready.read_bytes())
        regions = {
            name: RunningRegion(name, entry["grpc"], entry["api"], entry["account_id"], entry["api_key"])
            for name, entry in sorted(facts["regions"].items(), key=lambda item: REGIONS.index(item[0]))
        }
        return Running(layout, facts["sandbox"], regions)
    except PermissionError:
        raise CliError(
            f"{layout.ready} belongs to another user; run this as the user who ran `babysea up`."
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise CliError(
            f"Nothing runs in {layout.root}; start it with `babysea up`, or name its folder with --data-dir.",
            Exit.UNREACHABLE,
        ) from None
