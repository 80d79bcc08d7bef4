"""Reading an account: who it is, and what it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError
from server.accounts import store
from server.accounts.store import AccountRow
from server.catalog.types import Catalog, Plan
from server.runtime.database import tenant_transaction
from server.runtime.encryption import Envelope


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as its owner sees it."""

    id: UUID
    name: str
    email: str
    """Empty when none is known."""
    personal: bool
    plan: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BillingView:
    """Plan and money of an account."""

    account_id: UUID
    plan_title: str
    balance_micros: int
    """Posted minus held."""
    subscription_status: str
    """Empty without a subscription."""
    created_at: datetime
    updated_at: datetime


async def read_account(engine: AsyncEngine, envelope: Envelope, account_id: UUID) -> AccountView:
    """The account.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND.
    """
    async with tenant_transaction(engine, account_id) as connection:
        row = await store.get_account(connection, account_id)
    if row is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    return await opened_view(envelope, row)


async def read_billing(engine: AsyncEngine, catalog: Catalog, account_id: UUID) -> BillingView:
    """Plan and balance of the account.

    Raises:
        BabySeaError: ACCOUNT_NOT_FOUND, also while its ledger is not open yet.
    """
    async with tenant_transaction(engine, account_id) as connection:
        row = await store.get_account(connection, account_id)
        balance = await store.get_balance(connection, account_id)
    if row is None or balance is None:
        raise BabySeaError(error_reason_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND)
    return BillingView(
        account_id=row.id,
        plan_title=plan_title(catalog.plan(row.plan)),
        balance_micros=balance,
        subscription_status=row.subscription_status or "",
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def plan_title(plan: Plan) -> str:
    """A plan as people read it: "Starter Monthly", or "Free" for one that is not sold."""
    # Until subscriptions exist every paid plan is billed monthly.
    return f"{plan.title} Monthly" if plan.monthly_micros and plan.yearly_micros else plan.title


async def opened_view(envelope: Envelope, row: AccountRow) -> AccountView:
    """The row with what people wrote made readable."""
    email = b""
    if row.email_ct is not None:
        email = await envelope.open(row.id, "account.email", row.id, row.email_ct)
    return AccountView(
        id=row.id,
        name=(await envelope.open(row.id, "account.name", row.id, row.name_ct)).decode(),
        email=email.decode(),
        personal=row.personal,
        plan=row.plan,
        created_at=row.created_at,
    )
