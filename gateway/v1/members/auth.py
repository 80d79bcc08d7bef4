"""Signing up, signing in and out, and getting back in. No answer tells whether an e-mail is known here."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.accounts.v1 import identity_pb2
from babysea.accounts.v1 import identity_service_pb2 as identity
from babysea.common.v1 import error_reason_pb2
from gateway.member_methods import (
    CONFIRM_SIGN_IN,
    REQUEST_PASSWORD_RESET,
    RESEND_VERIFICATION,
    RESET_PASSWORD,
    SIGN_IN,
    SIGN_OUT,
    SIGN_UP,
    VERIFY_EMAIL,
)
from gateway.methods import Q, R
from gateway.session import session_cookie
from gateway.v1.members.bodies import B, Body
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.routing import member_router, open_router, takes
from gateway.v1.members.signing import (
    SecondFactorData,
    SessionBody,
    SignedInData,
    check_page,
    new_cookie,
    signed_in_data,
)
from gateway.v1.responses import Envelope
from kit.errors import BabySeaError

router = open_router()
signed_in_router = member_router()

_Email = Annotated[str, Field(description="Address; upper and lower case are one.")]
_Password = Annotated[str, Field(description="10 to 256 characters, not a common password.")]
_Token = Annotated[str, Field(description="From the letter.")]
_Code = Annotated[str, Field(description="Six digits, where the person has a second factor.")]
_Recovery = Annotated[str, Field(description="A recovery code in place of the six digits.")]


Accepted = Annotated[
    dict[str, str],
    Field(
        description="Version by purpose of the texts that a sign-up needs: the `necessary` ones of /v1/consent-texts.",
        default_factory=dict,
    ),
]


class AskedData(TypedDict):
    """Always the same; what comes next is told by e-mail."""

    accepted: Literal[True]


class SignedOutData(TypedDict):
    """The session has ended."""

    signed_in: Literal[False]


class SignUp(Body):
    """Who wants an account."""

    email: _Email
    password: _Password
    name: Annotated[str, Field(description="Name for people, 2 to 100 characters.")]
    locale: Annotated[str, Field(description='Language of letters, such as "en" or "de-AT".')] = ""
    accepted_versions: Accepted


class EmailOnly(Body):
    """Whose letter to send."""

    email: _Email


class VerifyEmail(SessionBody):
    """A sign-up to finish."""

    token: _Token
    password: Annotated[str, Field(description="The password that the sign-up chose.")]


class SignIn(SessionBody):
    """Credentials."""

    email: _Email
    password: Annotated[str, Field(description="Password.")]
    totp_code: _Code = ""
    recovery_code: _Recovery = ""


class ConfirmSignIn(SessionBody):
    """The second factor."""

    second_factor_token: Annotated[str, Field(description="From the answer to the first factor.")]
    totp_code: _Code = ""
    recovery_code: _Recovery = ""


class ResetPassword(Body):
    """A new password."""

    token: _Token
    password: _Password


@router.post("/auth/sign-up", response_model=Envelope[AskedData], openapi_extra=takes(SignUp))
async def sign_up(request: Request) -> Response:
    """Asks for an account; a letter says how to go on."""
    call = PersonCall(request, SIGN_UP)
    body = await call.body(SignUp)
    await call.ask(
        identity.SignUpRequest(
            email=body.email,
            password=body.password,
            name=body.name,
            locale=body.locale,
            accepted_versions=body.accepted_versions,
        )
    )
    return _asked(call, "If the e-mail can be used, a letter is on its way")


@router.post("/auth/verify-email", response_model=Envelope[SignedInData], openapi_extra=takes(VerifyEmail))
async def verify_email(request: Request) -> Response:
    """Turns a sign-up into a person with an account and signs in, with the password that was chosen.

    A token works once, and ends after five wrong passwords.
    """
    call = PersonCall(request, VERIFY_EMAIL)
    body = await session_body(call, request, VerifyEmail)
    answer = await call.ask(identity.VerifyEmailRequest(token=body.token, password=body.password))
    return begun(call, request, answer.signed_in, body.session_transport)


@router.post("/auth/resend-verification", response_model=Envelope[AskedData], openapi_extra=takes(EmailOnly))
async def resend_verification(request: Request) -> Response:
    """Asks for another letter of a sign-up that waits."""
    call = PersonCall(request, RESEND_VERIFICATION)
    body = await call.body(EmailOnly)
    await call.ask(identity.ResendVerificationRequest(email=body.email))
    return _asked(call, "If a sign-up waits for this e-mail, a letter is on its way")


@router.post(
    "/auth/sign-in", response_model=Envelope[SignedInData | SecondFactorData], openapi_extra=takes(SignIn)
)
async def sign_in(request: Request) -> Response:
    """Begins a session, or asks for the second factor."""
    call = PersonCall(request, SIGN_IN)
    body = await session_body(call, request, SignIn)
    answer = await call.ask(
        identity.SignInRequest(
            email=body.email,
            password=body.password,
            totp_code=body.totp_code,
            recovery_code=body.recovery_code,
        )
    )
    if not answer.HasField("signed_in"):
        return second_factor(call, answer.second_factor_token)
    return begun(call, request, answer.signed_in, body.session_transport)


@router.post(
    "/auth/sign-in/confirm", response_model=Envelope[SignedInData], openapi_extra=takes(ConfirmSignIn)
)
async def confirm_sign_in(request: Request) -> Response:
    """Ends a sign-in that waits for the second factor."""
    call = PersonCall(request, CONFIRM_SIGN_IN)
    body = await session_body(call, request, ConfirmSignIn)
    answer = await call.ask(
        identity.ConfirmSignInRequest(
            second_factor_token=body.second_factor_token,
            totp_code=body.totp_code,
            recovery_code=body.recovery_code,
        )
    )
    return begun(call, request, answer.signed_in, body.session_transport)


@router.post(
    "/auth/password/reset-request", response_model=Envelope[AskedData], openapi_extra=takes(EmailOnly)
)
async def request_password_reset(request: Request) -> Response:
    """Asks for a letter by which a new password can be set."""
    call = PersonCall(request, REQUEST_PASSWORD_RESET)
    body = await call.body(EmailOnly)
    await call.ask(identity.RequestPasswordResetRequest(email=body.email))
    return _asked(call, "If somebody has this e-mail here, a letter is on its way")


@router.post("/auth/password/reset", response_model=Envelope[AskedData], openapi_extra=takes(ResetPassword))
async def reset_password(request: Request) -> Response:
    """Sets a new password and ends every session. A token works once."""
    call = PersonCall(request, RESET_PASSWORD)
    body = await call.body(ResetPassword)
    await call.ask(identity.ResetPasswordRequest(token=body.token, password=body.password))
    return _asked(call, "The password is set; sign in with it")


@signed_in_router.post("/auth/sign-out", response_model=Envelope[SignedOutData])
async def sign_out(request: Request) -> Response:
    """Ends the session. One that has ended already is signed out as well, so that a browser loses its cookie."""
    call = PersonCall(request, SIGN_OUT)
    try:
        await call.ask(identity.SignOutRequest())
    except BabySeaError as error:
        if error.reason != error_reason_pb2.ERROR_REASON_AUTHENTICATION_FAILED:
            raise
    data: SignedOutData = {"signed_in": False}
    return call.reply("Signed out successfully", data, cookie=session_cookie(request, ""))


async def session_body(call: PersonCall[Q, R], request: Request, model: type[B]) -> B:
    """The body of a request that may begin a session, from a page that may ask for one.

    Raises:
        BabySeaError: INSUFFICIENT_PERMISSIONS for a cookie that a page of another host asks for, and as for any body.
    """
    body = await call.body(model)
    check_page(request, getattr(body, "session_transport", "cookie"))
    return body


def begun(
    call: PersonCall[Q, R], request: Request, signed_in: identity_pb2.SignedIn, transport: str
) -> Response:
    """The reply that hands a new session over."""
    data = signed_in_data(signed_in, transport)
    cookie = new_cookie(request, signed_in.session_token)
    return call.reply("Signed in successfully", data, cookie=cookie)


def second_factor(call: PersonCall[Q, R], token: str) -> Response:
    """The reply that asks for a second factor."""
    data: SecondFactorData = {"signed_in": False, "second_factor_token": token}
    return call.reply("A code of the second factor is needed", data)


def _asked(call: PersonCall[Q, R], message: str) -> Response:
    data: AskedData = {"accepted": True}
    return call.reply(message, data)
