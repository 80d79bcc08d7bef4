"""Opening an account: its data key, its row and its ledger, in an order in which any repetition completes the rest."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.common.v1 import error_reason_pb2
from kit.errors import BabySeaError, invalid
from server.accounts import store
from server.accounts.reading import AccountView, opened_view
from server.catalog.types import Catalog
from server.runtime.database import tenant_transaction
from server.runtime.encryption import DecryptionError, Envelope
from server.runtime.names import checked_name


async def open_account(
    engine: AsyncEngine,
    envelope: Envelope,
    catalog: Catalog,
    *,
    account_id: UUID,
    name: str,
    email: str,
    plan: str,
) -> AccountView:
    """The account of this id: a new one, or the one that stands, unchanged.

    Raises:
        BabySeaError: INVALID_INPUT naming the field; CONFLICT when an account of this id was erased.
    """
    name = checked_name("name", name)
    if plan not in catalog.plans:
        raise invalid("plan", f"plan must be one of {', '.join(catalog.plans)}.")
    # The data key is first: without it nothing about the account could ever be written.
    await envelope.create_data_key(account_id)
    try:
        name_ct = await envelope.seal(account_id, "account.name", account_id, name.encode())
        email_ct = None
        if email:
            email_ct = await envelope.seal(account_id, "account.email", account_id, email.encode())
    except DecryptionError as error:
        raise BabySeaError(
            error_reason_pb2.ERROR_REASON_CONFLICT, "An account of this id was erased; use a new id."
        ) from error
    async with tenant_transaction(engine, account_id) as connection:
        await store.insert_account(connection, account_id, plan, name_ct, email_ct)
        row = await store.get_account(connection, account_id)
        if row is None:
            raise LookupError("an account that was just written cannot be read")
        await store.open_ledger(connection, account_id, catalog.plan(row.plan).in_flight)
    return await opened_view(envelope, row)
