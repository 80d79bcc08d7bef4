"""Lists: the accounts of a person, and the people of an account."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from server.accounts.permissions import role_of
from server.accounts.teams import store
from server.accounts.teams.parts import Teams
from server.accounts.teams.store import MyAccountRow
from server.accounts.teams.views import MemberView, account_name, opened_member
from server.runtime.database import person_transaction, tenant_transaction
from server.runtime.paging import Page, place_of, token_after


@dataclass(frozen=True, slots=True)
class MyAccountView:
    """An account of a person."""

    row: MyAccountRow
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class MemberPage:
    """One page of an account's people."""

    members: list[MemberView]
    total: int
    next_token: str
    """Continues after this page; empty on the last one."""


async def list_my_accounts(teams: Teams, person_id: UUID) -> list[MyAccountView]:
    """The accounts of a person: the personal one first, then by age."""
    async with person_transaction(teams.engine, person_id) as connection:
        rows = await store.list_mine(connection, person_id)
    return [
        MyAccountView(
            row,
            await account_name(teams, row.account.id, row.account.name_ct),
            role_of(row.role, primary=row.account.primary_owner == person_id),
        )
        for row in rows
    ]


async def list_members(teams: Teams, account_id: UUID, page: Page) -> MemberPage:
    """The people of an account, the Primary Owner first, then by age.

    Raises:
        BabySeaError: INVALID_INPUT for a page token that no answer gave.
    """
    after = place_of(page)
    async with tenant_transaction(teams.engine, account_id) as connection:
        rows = await store.list_members(
            connection, account_id, after=after, limit=page.size + 1, offset=page.offset
        )
        total = await store.count_members(connection, account_id)
    shown = rows[: page.size]
    more = len(rows) > page.size
    token = token_after(shown[-1].place.isoformat(), shown[-1].person_id) if more else ""
    return MemberPage([await opened_member(teams, row) for row in shown], total, token)
