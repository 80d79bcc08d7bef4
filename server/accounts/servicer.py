"""AccountService: protobuf in, protobuf out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncEngine

from babysea.accounts.v1 import account_service_pb2 as pb
from babysea.accounts.v1 import account_service_pb2_grpc
from babysea.accounts.v1.accounts_pb2 import Account, Billing
from server.accounts.opening import open_account
from server.accounts.reading import AccountView, read_account, read_billing
from server.catalog.types import Catalog
from server.runtime.context import RpcContext
from server.runtime.encryption import Envelope
from server.runtime.identity import key_holder


class AccountServicer(account_service_pb2_grpc.AccountServiceServicer):
    """Serves babysea.accounts.v1.AccountService."""

    def __init__(self, engine: AsyncEngine, envelope: Envelope, catalog: Catalog) -> None:
        self._engine = engine
        self._envelope = envelope
        self._catalog = catalog

    async def CreateAccount(  # noqa: N802
        self, request: pb.CreateAccountRequest, context: RpcContext
    ) -> pb.CreateAccountResponse:
        """Makes an account, or gives the one that stands."""
        view = await open_account(
            self._engine,
            self._envelope,
            self._catalog,
            account_id=UUID(request.account_id),
            name=request.name,
            email=request.email,
            plan=request.plan,
        )
        return pb.CreateAccountResponse(account=_account(view))

    async def GetAccount(self, request: pb.GetAccountRequest, context: RpcContext) -> pb.GetAccountResponse:  # noqa: N802
        """The caller's account."""
        view = await read_account(self._engine, self._envelope, key_holder().account_id)
        return pb.GetAccountResponse(account=_account(view))

    async def GetBilling(self, request: pb.GetBillingRequest, context: RpcContext) -> pb.GetBillingResponse:  # noqa: N802
        """Plan and balance of the caller's account."""
        view = await read_billing(self._engine, self._catalog, key_holder().account_id)
        billing = Billing(
            account_id=str(view.account_id),
            plan_title=view.plan_title,
            balance_micros=view.balance_micros,
            subscription_status=view.subscription_status,
            created_at=_timestamp(view.created_at),
            updated_at=_timestamp(view.updated_at),
        )
        return pb.GetBillingResponse(billing=billing)


def _account(view: AccountView) -> Account:
    return Account(
        account_id=str(view.id),
        name=view.name,
        email=view.email,
        personal=view.personal,
        plan=view.plan,
        created_at=_timestamp(view.created_at),
    )


def _timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
