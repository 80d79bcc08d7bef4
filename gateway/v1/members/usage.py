"""How often each key of an account was used."""

from __future__ import annotations

from fastapi import Request, Response

from babysea.logs.v1 import log_service_pb2 as logs
from gateway.member_methods import LIST_KEY_USAGE
from gateway.v1 import query
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.log_data import UsageData, usage_data
from gateway.v1.members.routing import member_router
from gateway.v1.responses import Envelope
from gateway.v1.routing import parameter

router = member_router()
_MOST = 365
_DEFAULT = 30
_DAYS = {
    "parameters": [
        parameter(
            "days", {"type": "integer", "default": _DEFAULT}, f"Days up to today; clamped to 1..{_MOST}."
        )
    ]
}


@router.get("/accounts/{account_id}/keys/usage", response_model=Envelope[UsageData], openapi_extra=_DAYS)
async def list_usage(request: Request, account_id: str) -> Response:
    """How often each key was used, by day. The counts outlive the logs and the keys."""
    return await _usage(request, account_id, None)


@router.get(
    "/accounts/{account_id}/keys/{key_id}/usage", response_model=Envelope[UsageData], openapi_extra=_DAYS
)
async def key_usage(request: Request, account_id: str, key_id: str) -> Response:
    """How often one key was used, by day; an empty list when it was not."""
    return await _usage(request, account_id, key_id)


async def _usage(request: Request, account_id: str, key_id: str | None) -> Response:
    call = PersonCall(request, LIST_KEY_USAGE)
    days = await call.query(
        lambda parameters: query.whole_number(parameters, "days", default=_DEFAULT, low=1, high=_MOST)
    )
    answer = await call.ask(logs.ListKeyUsageRequest(account_id=account_id, days=days))
    data: UsageData = {
        "account_id": account_id,
        "usage_period_days": answer.days,
        "apikeys": [usage_data(usage) for usage in answer.keys if key_id in (None, usage.key.key_id)],
    }
    return call.reply("Key usage retrieved successfully", data)
