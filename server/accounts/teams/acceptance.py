"""Joining a team by the token of a letter."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts.teams import invitation_store
from server.accounts.teams.errors import conflict, no_invitation
from server.accounts.teams.inviting import KIND
from server.accounts.teams.parts import Teams
from server.accounts.tokens import token_hash
from server.logs.activity import note_activity
from server.runtime.database import person_transaction
from server.runtime.identity import Member


@dataclass(frozen=True, slots=True)
class Joined:
    """What somebody belongs to now."""

    account_id: UUID
    role: str
    """"owner" or "member"."""


async def accept_invitation(teams: Teams, member: Member, *, token: str) -> Joined:
    """Makes the member one of the team; however often and however many at once, one membership and one note of it.

    Raises:
        BabySeaError: NOT_FOUND for text that is no token of an open invitation; INSUFFICIENT_PERMISSIONS for somebody
            whose verified address was not invited; CONFLICT when it has expired; ACCOUNT_RESTRICTED.
    """
    hashed = token_hash(teams.envelope, KIND, token)
    async with person_transaction(teams.engine, member.person_id) as connection:
        done = await invitation_store.accept_invitation(connection, hashed, teams.clock.now())
        if done.word not in {"accepted", "member"} or done.account_id is None or done.role is None:
            raise _refusal(done.word)
        if done.word == "accepted":
            await note_activity(
                connection,
                account_id=done.account_id,
                actor=member.person_id,
                category="invitation",
                action="accepted",
                target=done.invitation_id,
            )
            await note_activity(
                connection,
                account_id=done.account_id,
                actor=member.person_id,
                category="membership",
                action="created",
                target=member.person_id,
                details={"role": done.role},
            )
    return Joined(done.account_id, done.role)


def _refusal(word: str) -> BabySeaError:
    if word == "other_address":
        return BabySeaError(
            error_reason_pb2.ERROR_REASON_INSUFFICIENT_PERMISSIONS,
            "The invitation went to another address; sign in with that one.",
        )
    if word == "expired":
        return conflict("The invitation has expired; ask for a new one.")
    if word == "restricted":
        return BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_RESTRICTED)
    return no_invitation()
