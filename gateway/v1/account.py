"""Who is calling: the key, its account, and the account's money."""

from __future__ import annotations

from fastapi import Request, Response

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.keys.v1 import key_service_pb2 as keys
from gateway.envelope import success
from gateway.exchange import exchange_of
from gateway.methods import GET_ACCOUNT, GET_BILLING, GET_CALLER_KEY
from gateway.upstream import upstream_of
from gateway.v1.responses import AccountData, BillingData, Envelope, StatusData
from gateway.v1.routing import v1_router
from gateway.v1.values import when
from kit.money import json_number

router = v1_router()


@router.get("/status", response_model=Envelope[StatusData])
async def status(request: Request) -> Response:
    """The calling key."""
    exchange = exchange_of(request)
    answer = await upstream_of(request).call(exchange, GET_CALLER_KEY, keys.GetCallerKeyRequest())
    key = answer.key
    data: StatusData = {
        "account_id": key.account_id,
        "apikey_id": key.key_id,
        "apikey_name": key.name or None,
        "apikey_prefix": key.prefix or None,
        "apikey_created_at": when(key.HasField("created_at"), key.created_at),
        "apikey_last_used_at": when(key.HasField("last_used_at"), key.last_used_at),
        "apikey_expires_at": when(key.HasField("expires_at"), key.expires_at),
    }
    return success(exchange, "API connected successfully", data)


@router.get("/user/account", response_model=Envelope[AccountData])
async def account(request: Request) -> Response:
    """The key's account."""
    exchange = exchange_of(request)
    answer = await upstream_of(request).call(exchange, GET_ACCOUNT, accounts.GetAccountRequest())
    owner = answer.account
    data: AccountData = {
        "account_id": owner.account_id,
        "account_name": owner.name,
        "account_email": owner.email or None,
        "account_is_personal": owner.personal,
        "account_picture_url": None,
        "account_created_at": when(owner.HasField("created_at"), owner.created_at),
    }
    return success(exchange, "User account data retrieved successfully", data)


@router.get("/user/billing", response_model=Envelope[BillingData])
async def billing(request: Request) -> Response:
    """Plan and balance of the key's account."""
    exchange = exchange_of(request)
    answer = await upstream_of(request).call(exchange, GET_BILLING, accounts.GetBillingRequest())
    state = answer.billing
    data: BillingData = {
        "account_id": state.account_id,
        "billing_plan": state.plan_title or None,
        "billing_credit_balance": json_number(state.balance_micros),
        "billing_subscription_status": state.subscription_status or None,
        # Subscriptions have no periods before payments exist.
        "billing_cancel_at_period_end": None,
        "billing_currency": "USD",
        "billing_period_starts_at": None,
        "billing_period_ends_at": None,
        "billing_created_at": when(state.HasField("created_at"), state.created_at),
        "billing_updated_at": when(state.HasField("updated_at"), state.updated_at),
    }
    return success(exchange, "User billing data retrieved successfully", data)
