"""Making a team."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from kit.ids import uuid7
from server.accounts import store as accounts_store
from server.accounts.identity.profile import checked_person_name
from server.accounts.teams import store
from server.accounts.teams.details import details_in
from server.accounts.teams.errors import conflict
from server.accounts.teams.parts import Teams
from server.accounts.teams.views import AccountDetails
from server.logs.activity import note_activity
from server.runtime.database import member_transaction, person_transaction
from server.runtime.identity import Member

PLAN = "free"
"""Plan that a team begins with."""

MOST_TEAMS = 20
"""Teams that one person may be the Primary Owner of."""


async def create_team(teams: Teams, member: Member, *, name: str, slug: str) -> AccountDetails:
    """A team of the member alone, its Primary Owner, without credit.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; CONFLICT when the slug is taken; PLAN_LIMIT_EXCEEDED for somebody
            with 20 teams.
    """
    name = checked_person_name(name)
    async with person_transaction(teams.engine, member.person_id) as connection:
        await _check_number(connection, member.person_id)
    account_id, now = uuid7(), teams.clock.now()
    # The data key is first: without it nothing about the team could ever be written.
    await teams.envelope.create_data_key(account_id)
    name_ct = await teams.envelope.seal(account_id, "account.name", account_id, name.encode())
    try:
        async with member_transaction(teams.engine, account_id, member.person_id) as connection:
            # Again, and one at a time: calls made at once all found room.
            await store.hold_person(connection, member.person_id)
            await _check_number(connection, member.person_id)
            await store.insert_team(
                connection, account_id, member.person_id, plan=PLAN, name_ct=name_ct, slug=slug, now=now
            )
            await accounts_store.open_ledger(connection, account_id, teams.catalog.plan(PLAN).in_flight)
            await note_activity(
                connection,
                account_id=account_id,
                actor=member.person_id,
                category="account",
                action="created",
            )
            return await details_in(teams, connection, account_id, "primary_owner")
    except IntegrityError:
        raise conflict("Another account has this slug; choose another one.") from None


async def _check_number(connection: AsyncConnection, person_id: UUID) -> None:
    if await store.count_owned(connection, person_id) >= MOST_TEAMS:
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_PLAN_LIMIT_EXCEEDED,
            f"One person can own {MOST_TEAMS} teams; transfer or delete one first.",
        )
