"""An account as its members see it, and what they change of it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts.holding import hold_right
from server.accounts.identity.profile import check_avatar, checked_person_name
from server.accounts.teams import store
from server.accounts.teams.errors import conflict
from server.accounts.teams.parts import Teams
from server.accounts.teams.views import AccountDetails, account_name
from server.logs.activity import note_activity
from server.runtime.database import member_transaction, tenant_transaction
from server.runtime.identity import Member

_SLUG_TAKEN = "Another account has this slug; choose another one."


async def read_details(teams: Teams, member: Member, *, with_avatar: bool) -> AccountDetails:
    """The account that the call is about.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND.
    """
    async with tenant_transaction(teams.engine, member.account) as connection:
        return await details_in(teams, connection, member.account, member.role, with_avatar=with_avatar)


async def update_account(
    teams: Teams, member: Member, *, name: str | None, slug: str | None, avatar: bytes | None
) -> AccountDetails:
    """Changes what is given; an empty picture removes it.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; CONFLICT when another account has the slug.
    """
    account_id = member.account
    name_ct = avatar_ct = None
    if name is not None:
        checked = checked_person_name(name)
        name_ct = await teams.envelope.seal(account_id, "account.name", account_id, checked.encode())
    if avatar:
        check_avatar(avatar)
        avatar_ct = await teams.envelope.seal(account_id, "account.avatar", account_id, avatar)
    given = {"name": name, "slug": slug, "avatar": avatar}
    changed = ",".join(field for field, value in given.items() if value is not None)
    try:
        async with member_transaction(teams.engine, account_id, member.person_id) as connection:
            # Alone: it writes the row that is held, and two who share it would wait for each other.
            held = await hold_right(connection, account_id, member.person_id, "account.edit", alone=True)
            if changed:
                await store.update_account(
                    connection,
                    account_id,
                    name_ct=name_ct,
                    slug=slug,
                    keep_avatar=avatar is None,
                    avatar_ct=avatar_ct,
                    now=teams.clock.now(),
                )
                await note_activity(
                    connection,
                    account_id=account_id,
                    actor=member.person_id,
                    category="account",
                    action="updated",
                    details={"fields": changed},
                )
            return await details_in(teams, connection, account_id, held.role)
    except IntegrityError:
        raise conflict(_SLUG_TAKEN) from None


async def details_in(
    teams: Teams, connection: AsyncConnection, account_id: UUID, role: str, *, with_avatar: bool = False
) -> AccountDetails:
    """The account, read in the caller's transaction.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND.
    """
    found = await store.get_account(connection, account_id)
    if found is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    row, members = found
    avatar = b""
    if with_avatar and (sealed := await store.get_avatar(connection, account_id)) is not None:
        avatar = await teams.envelope.open(account_id, "account.avatar", account_id, sealed)
    return AccountDetails(row, await account_name(teams, account_id, row.name_ct), role, members, avatar)
