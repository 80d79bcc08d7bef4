"""The signed-in person: profile, picture, password, e-mail and sessions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.accounts.v1 import identity_service_pb2 as identity
from gateway.member_methods import (
    CHANGE_PASSWORD,
    CONFIRM_EMAIL_CHANGE,
    GET_PROFILE,
    LIST_SESSIONS,
    REQUEST_EMAIL_CHANGE,
    REVOKE_OTHER_SESSIONS,
    REVOKE_SESSION,
    UPDATE_PROFILE,
)
from gateway.v1.members.auth import AskedData
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.pictures import MAX_BYTES, PICTURE, PICTURE_BODY, picture_reply
from gateway.v1.members.profiles import (
    OneProfileData,
    SessionsData,
    profile_data,
    session_data,
)
from gateway.v1.members.routing import member_router, takes
from gateway.v1.members.signing import ReplacedSessionData, replaced
from gateway.v1.members.values import GoneData
from gateway.v1.responses import Envelope

router = member_router()


class EndedData(TypedDict):
    """How many sessions ended."""

    sessions_ended: int


class UpdateMe(Body):
    """What changes."""

    name: Annotated[str | None, Field(description="Name for people, 2 to 100 characters.")] = None
    locale: Annotated[str | None, Field(description='Language of letters, such as "en" or "de-AT".')] = None


class ChangePassword(Body):
    """Another password."""

    current_password: Annotated[str, Field(description="Empty where the person has none yet.")] = ""
    new_password: Annotated[str, Field(description="10 to 256 characters, not a common password.")]


class ChangeEmail(Body):
    """Another e-mail; nothing changes before it is confirmed."""

    email: Annotated[str, Field(description="The new address.")]
    password: Annotated[str, Field(description="The present password; empty where there is none.")] = ""


class ConfirmEmail(Body):
    """Proof that the new e-mail is the person's."""

    token: Annotated[str, Field(description="From the letter.")]


@router.get("/me", response_model=Envelope[OneProfileData])
async def get_me(request: Request) -> Response:
    """The signed-in person."""
    call = PersonCall(request, GET_PROFILE)
    answer = await call.ask(identity.GetProfileRequest())
    data: OneProfileData = {"profile": profile_data(answer.profile)}
    return call.reply("Profile retrieved successfully", data)


@router.patch("/me", response_model=Envelope[OneProfileData], openapi_extra=takes(UpdateMe))
async def update_me(request: Request) -> Response:
    """Changes name or language."""
    call = PersonCall(request, UPDATE_PROFILE)
    body = await call.body(UpdateMe)
    answer = await call.ask(identity.UpdateProfileRequest(name=body.name, locale=body.locale))
    data: OneProfileData = {"profile": profile_data(answer.profile)}
    return call.reply("Profile updated successfully", data)


@router.get("/me/avatar", response_class=Response, responses=PICTURE)
async def get_avatar(request: Request) -> Response:
    """The person's picture as it is."""
    call = PersonCall(request, GET_PROFILE)
    answer = await call.ask(identity.GetProfileRequest(with_avatar=True))
    return picture_reply(answer.profile.avatar, answer.profile.avatar_type)


@router.put("/me/avatar", response_model=Envelope[OneProfileData], openapi_extra=PICTURE_BODY)
async def put_avatar(request: Request) -> Response:
    """Takes a PNG, JPEG or WebP picture of at most 256 KiB as the body."""
    call = PersonCall(request, UPDATE_PROFILE)
    picture = await call.raw_body(MAX_BYTES)
    answer = await call.ask(identity.UpdateProfileRequest(avatar=picture))
    data: OneProfileData = {"profile": profile_data(answer.profile)}
    return call.reply("Picture updated successfully", data)


@router.delete("/me/avatar", response_model=Envelope[OneProfileData])
async def delete_avatar(request: Request) -> Response:
    """Removes the person's picture."""
    call = PersonCall(request, UPDATE_PROFILE)
    answer = await call.ask(identity.UpdateProfileRequest(avatar=b""))
    data: OneProfileData = {"profile": profile_data(answer.profile)}
    return call.reply("Picture removed successfully", data)


@router.post(
    "/me/password", response_model=Envelope[ReplacedSessionData], openapi_extra=takes(ChangePassword)
)
async def change_password(request: Request) -> Response:
    """Sets another password; every other session ends, and this one goes on under another token."""
    call = PersonCall(request, CHANGE_PASSWORD)
    body = await call.body(ChangePassword)
    answer = await call.ask(
        identity.ChangePasswordRequest(current_password=body.current_password, new_password=body.new_password)
    )
    data, cookie = replaced(request, answer.session_token)
    return call.reply("Password changed successfully", data, cookie=cookie)


@router.post("/me/email", response_model=Envelope[AskedData], openapi_extra=takes(ChangeEmail))
async def change_email(request: Request) -> Response:
    """Asks for a letter to a new e-mail."""
    call = PersonCall(request, REQUEST_EMAIL_CHANGE)
    body = await call.body(ChangeEmail)
    await call.ask(identity.RequestEmailChangeRequest(email=body.email, password=body.password))
    data: AskedData = {"accepted": True}
    return call.reply("If the e-mail can be used, a letter is on its way", data)


@router.post(
    "/me/email/confirm", response_model=Envelope[ReplacedSessionData], openapi_extra=takes(ConfirmEmail)
)
async def confirm_email(request: Request) -> Response:
    """Moves the person to the new e-mail; every other session ends, and this one goes on under another token."""
    call = PersonCall(request, CONFIRM_EMAIL_CHANGE)
    body = await call.body(ConfirmEmail)
    answer = await call.ask(identity.ConfirmEmailChangeRequest(token=body.token))
    data, cookie = replaced(request, answer.session_token)
    return call.reply("E-mail changed successfully", data, cookie=cookie)


@router.get("/me/sessions", response_model=Envelope[SessionsData])
async def list_sessions(request: Request) -> Response:
    """The person's sessions that work, newest first."""
    call = PersonCall(request, LIST_SESSIONS)
    answer = await call.ask(identity.ListSessionsRequest())
    data: SessionsData = {"sessions": [session_data(session) for session in answer.sessions]}
    return call.reply("Sessions retrieved successfully", data)


@router.delete("/me/sessions/{session_id}", response_model=Envelope[GoneData])
async def revoke_session(request: Request, session_id: str) -> Response:
    """Ends one of the person's sessions."""
    call = PersonCall(request, REVOKE_SESSION)
    await call.ask(identity.RevokeSessionRequest(session_id=session_id))
    data: GoneData = {"id": session_id}
    return call.reply("Session ended successfully", data)


@router.post("/me/sessions/revoke-others", response_model=Envelope[EndedData])
async def revoke_other_sessions(request: Request) -> Response:
    """Ends every session of the person but this one."""
    call = PersonCall(request, REVOKE_OTHER_SESSIONS)
    answer = await call.ask(identity.RevokeOtherSessionsRequest())
    data: EndedData = {"sessions_ended": answer.ended}
    return call.reply("Other sessions ended successfully", data)
