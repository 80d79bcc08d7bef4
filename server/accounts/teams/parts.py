"""What the use cases of teams share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from kit.clock import Clock
from server.catalog.types import Catalog
from server.runtime.encryption import Envelope
from server.runtime.identity import Member

ProvePassword = Callable[[Member, str], Awaitable[object]]
"""Lets a call go on whose member gave the right password; raises INVALID_INPUT or AUTH_RATE_LIMITED otherwise."""


@dataclass(frozen=True, slots=True)
class Teams:
    """The parts of one region."""

    engine: AsyncEngine
    envelope: Envelope
    clock: Clock
    catalog: Catalog
    prove_password: ProvePassword
