"""The parts of teams, made from what the services of a process share."""

from __future__ import annotations

from server.accounts.identity.assembly import identity_of
from server.accounts.identity.password_change import prove_password
from server.accounts.teams.parts import Teams
from server.runtime.dependencies import Dependencies
from server.runtime.identity import Member


def teams_parts(shared: Dependencies) -> Teams:
    """The parts."""
    identity = identity_of(shared)

    async def prove(member: Member, password: str) -> None:
        await prove_password(identity, member, password, "password")

    return Teams(shared.databases.app, shared.envelope, shared.clock, shared.catalog, prove)
