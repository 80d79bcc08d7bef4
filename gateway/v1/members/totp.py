"""The second factor of the signed-in person: one-time codes, and recovery codes for the day the device is lost."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.accounts.v1 import identity_service_pb2 as identity
from gateway.member_methods import BEGIN_TOTP, CONFIRM_TOTP, DISABLE_TOTP, REGENERATE_RECOVERY_CODES
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.routing import member_router, takes
from gateway.v1.members.signing import ReplacedSessionData, replaced
from gateway.v1.responses import Envelope

router = member_router()

_Code = Annotated[str, Field(description="Six digits.")]


class TotpData(TypedDict):
    """A secret for one-time codes, shown once; it counts once it was confirmed."""

    secret: str
    otpauth_uri: str


class RecoveryData(TypedDict):
    """Recovery codes, shown once; each works once in place of the six digits."""

    recovery_codes: list[str]


class ConfirmedData(RecoveryData, ReplacedSessionData):
    """The second factor is on, and the session goes on under another token."""


class BeginTotp(Body):
    """Proof that the person is there."""

    password: Annotated[str, Field(description="The present password; empty where there is none.")] = ""


class TotpCode(Body):
    """A code."""

    totp_code: _Code


class DisableTotp(Body):
    """A code, or a recovery code in its place."""

    totp_code: _Code = ""
    recovery_code: Annotated[str, Field(description="A recovery code in place of the six digits.")] = ""


@router.post("/me/totp", response_model=Envelope[TotpData], openapi_extra=takes(BeginTotp))
async def begin_totp(request: Request) -> Response:
    """Makes a secret for one-time codes."""
    call = PersonCall(request, BEGIN_TOTP)
    body = await call.body(BeginTotp)
    answer = await call.ask(identity.BeginTotpRequest(password=body.password))
    data: TotpData = {"secret": answer.secret, "otpauth_uri": answer.otpauth_uri}
    return call.reply("Confirm with a first code", data)


@router.post("/me/totp/confirm", response_model=Envelope[ConfirmedData], openapi_extra=takes(TotpCode))
async def confirm_totp(request: Request) -> Response:
    """Turns the second factor on; every other session ends."""
    call = PersonCall(request, CONFIRM_TOTP)
    body = await call.body(TotpCode)
    answer = await call.ask(identity.ConfirmTotpRequest(totp_code=body.totp_code))
    handed, cookie = replaced(request, answer.session_token)
    data: ConfirmedData = {"recovery_codes": list(answer.recovery_codes), **handed}
    return call.reply("Second factor turned on", data, cookie=cookie)


@router.delete("/me/totp", response_model=Envelope[ReplacedSessionData], openapi_extra=takes(DisableTotp))
async def disable_totp(request: Request) -> Response:
    """Turns the second factor off; every other session ends."""
    call = PersonCall(request, DISABLE_TOTP)
    body = await call.body(DisableTotp)
    question = identity.DisableTotpRequest(totp_code=body.totp_code, recovery_code=body.recovery_code)
    answer = await call.ask(question)
    data, cookie = replaced(request, answer.session_token)
    return call.reply("Second factor turned off", data, cookie=cookie)


@router.post("/me/recovery-codes", response_model=Envelope[RecoveryData], openapi_extra=takes(TotpCode))
async def regenerate_recovery_codes(request: Request) -> Response:
    """Makes new recovery codes; the old ones end."""
    call = PersonCall(request, REGENERATE_RECOVERY_CODES)
    body = await call.body(TotpCode)
    answer = await call.ask(identity.RegenerateRecoveryCodesRequest(totp_code=body.totp_code))
    data: RecoveryData = {"recovery_codes": list(answer.recovery_codes)}
    return call.reply("Recovery codes made successfully", data)
