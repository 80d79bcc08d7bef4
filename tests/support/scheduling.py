"""Which tests stay together when a run has several processes.

A file's tests share databases and programs that are made once for the file; those of the folders below share a whole stack.
The plug-in's own ways do not serve: by file it would start such a stack in every process, and its marks for groups are
silently without effect under pytest 9.2.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_ONE_STACK = ("tests/e2e/", "tests/integration/processes/")
"""Folders with one stack for all of their tests."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out files, and folders with one stack as if they were files; in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        together = (folder for folder in _ONE_STACK if nodeid.startswith(folder))
        return next(together, nodeid.split("::", 1)[0])


def run_folder(config: pytest.Config) -> Path:
    """The folder that every process of this run has in common."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    base = factory.getbasetemp()
    return base.parent if hasattr(config, "workerinput") else base


def once(config: pytest.Config, what: str) -> None:
    """Fails when a process of this run made the same before, because tests that belong together were torn apart."""
    (run_folder(config) / f"made {what}").mkdir()
