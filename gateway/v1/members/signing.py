"""How a session reaches its person: in a cookie that scripts cannot read, or in the reply where a program asks for it."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from fastapi import Request
from pydantic import Field
from typing_extensions import TypedDict

from babysea.accounts.v1 import identity_pb2
from gateway.session import came_from_this_host, foreign, session_cookie
from gateway.v1.members.bodies import Body
from gateway.v1.members.profiles import ProfileData, SessionData, profile_data, session_data

Transport = Annotated[
    Literal["cookie", "token"],
    Field(description='"cookie" sets a cookie only; "token" puts the session into the reply too.'),
]


class SignedInData(TypedDict):
    """A session that has begun."""

    signed_in: Literal[True]
    session: SessionData
    profile: ProfileData
    session_token: NotRequired[str]


class SecondFactorData(TypedDict):
    """The question for a second factor; the token stands for the first one for five minutes."""

    signed_in: Literal[False]
    second_factor_token: str


class ReplacedSessionData(TypedDict):
    """The session goes on under another token, which is told only to who sent the old one in a header."""

    session_token: NotRequired[str]


class SessionBody(Body):
    """A body whose answer may begin a session."""

    session_transport: Transport = "cookie"


def check_page(request: Request, transport: str) -> None:
    """Keeps pages of other hosts from signing a browser in here, as somebody of their choice.

    Raises:
        BabySeaError: INSUFFICIENT_PERMISSIONS.
    """
    if transport == "cookie" and came_from_this_host(request) is False:
        raise foreign()


def signed_in_data(signed_in: identity_pb2.SignedIn, transport: str) -> SignedInData:
    """A new session as the reply shows it."""
    data: SignedInData = {
        "signed_in": True,
        "session": session_data(signed_in.session),
        "profile": profile_data(signed_in.profile),
    }
    if transport == "token":
        data["session_token"] = signed_in.session_token
    return data


def new_cookie(request: Request, token: str) -> str | None:
    """The cookie of a new session; none for a page of another host."""
    return None if came_from_this_host(request) is False else session_cookie(request, token)


def replaced(request: Request, token: str) -> tuple[ReplacedSessionData, str | None]:
    """The payload and the cookie that hand over a session's new token, the way the old one came."""
    if "authorization" in request.headers:
        return {"session_token": token}, None
    return {}, session_cookie(request, token)
