"""What an account has settled: where its generations may run, and when it is warned of a low balance."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.accounts.v1 import settings_service_pb2 as settings
from gateway.member_methods import GET_ALERTS, GET_SETTINGS, UPDATE_ALERTS, UPDATE_SETTINGS
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.routing import member_router, takes
from gateway.v1.responses import Envelope
from gateway.v1.values import Number
from kit.errors import invalid
from kit.money import MICROS, json_number

router = member_router()
_LARGEST = 2**63 - 1


class SettingsData(TypedDict):
    """What the account has settled. Its standing is not its own to change."""

    residency: str
    standing: str


class OneSettingsData(TypedDict):
    """Settings."""

    settings: SettingsData


class AlertsData(TypedDict):
    """When and how the account is warned of a low balance; thresholds in credits, rising."""

    thresholds: list[Number]
    in_app: bool
    email: bool
    webhook: bool


class OneAlertsData(TypedDict):
    """Alerts."""

    alerts: AlertsData


class UpdateSettings(Body):
    """What changes."""

    residency: Annotated[
        Literal["strict", "best_effort"] | None,
        Field(
            description='"strict" runs generations only at providers that guarantee to process in the account\'s region, '
            'and refuses them (BSE3004) where there is none; "best_effort" runs them at any provider of the order.'
        ),
    ] = None


class PutAlerts(Body):
    """The alerts that the account shall have. A channel that is left out stays as it is."""

    thresholds: Annotated[list[float], Field(description="Credits; at most 10, none for no warning.")]
    in_app: Annotated[bool | None, Field(description="In the inbox.")] = None
    email: Annotated[bool | None, Field(description="By e-mail to the Primary Owner.")] = None
    webhook: Annotated[bool | None, Field(description="By webhook.")] = None


@router.get("/accounts/{account_id}/settings", response_model=Envelope[OneSettingsData])
async def get_settings(request: Request, account_id: str) -> Response:
    """What the account has settled."""
    call = PersonCall(request, GET_SETTINGS)
    answer = await call.ask(settings.GetSettingsRequest(account_id=account_id))
    return call.reply("Settings retrieved successfully", _settings_data(answer.settings))


@router.patch(
    "/accounts/{account_id}/settings",
    response_model=Envelope[OneSettingsData],
    openapi_extra=takes(UpdateSettings),
)
async def update_settings(request: Request, account_id: str) -> Response:
    """Changes settings; new generations follow them."""
    call = PersonCall(request, UPDATE_SETTINGS)
    body = await call.body(UpdateSettings)
    answer = await call.ask(settings.UpdateSettingsRequest(account_id=account_id, residency=body.residency))
    return call.reply("Settings updated successfully", _settings_data(answer.settings))


@router.get("/accounts/{account_id}/alerts", response_model=Envelope[OneAlertsData])
async def get_alerts(request: Request, account_id: str) -> Response:
    """When and how the account is warned of a low balance."""
    call = PersonCall(request, GET_ALERTS)
    answer = await call.ask(settings.GetAlertsRequest(account_id=account_id))
    return call.reply("Alerts retrieved successfully", _alerts_data(answer.alerts))


@router.put(
    "/accounts/{account_id}/alerts", response_model=Envelope[OneAlertsData], openapi_extra=takes(PutAlerts)
)
async def put_alerts(request: Request, account_id: str) -> Response:
    """Replaces thresholds and channels."""
    call = PersonCall(request, UPDATE_ALERTS)
    body = await call.body(PutAlerts)
    micros = [micros_of(threshold) for threshold in body.thresholds]
    if None in micros:
        raise await call.refusal(invalid("thresholds", "thresholds have six decimals at most."))
    question = settings.UpdateAlertsRequest(
        account_id=account_id,
        threshold_micros=[one for one in micros if one is not None],
        in_app=body.in_app,
        email=body.email,
        webhook=body.webhook,
    )
    answer = await call.ask(question)
    return call.reply("Alerts updated successfully", _alerts_data(answer.alerts))


def micros_of(amount: float) -> int | None:
    """Credits as exact micro-dollars, at most what 63 bits hold; None for more than six decimals."""
    micros = Decimal(repr(amount)) * MICROS
    if micros != micros.to_integral_value():
        return None
    return min(max(int(micros), -_LARGEST), _LARGEST)


def _settings_data(found: settings.Settings) -> OneSettingsData:
    return {"settings": {"residency": found.residency, "standing": found.standing}}


def _alerts_data(alerts: settings.Alerts) -> OneAlertsData:
    return {
        "alerts": {
            "thresholds": [json_number(micros) for micros in alerts.threshold_micros],
            "in_app": alerts.in_app,
            "email": alerts.email,
            "webhook": alerts.webhook,
        }
    }
