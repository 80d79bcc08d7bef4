"""Signing in with an OpenID provider. What ties the end to the beginning stays in a cookie of the same browser."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.accounts.v1 import identity_service_pb2 as identity
from gateway.exchange import exchange_of
from gateway.member_methods import (
    BEGIN_LINK_IDENTITY,
    BEGIN_OIDC,
    FINISH_LINK_IDENTITY,
    FINISH_OIDC,
    LIST_LINKED_IDENTITIES,
    LIST_OIDC_PROVIDERS,
    UNLINK_IDENTITY,
)
from gateway.methods import Q, R
from gateway.session import cookies_named, own_cookie
from gateway.v1.members.auth import Accepted, begun, second_factor, session_body
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.profiles import IdentitiesData, OneIdentityData, identity_data
from gateway.v1.members.routing import member_router, open_router, takes
from gateway.v1.members.signing import SecondFactorData, SessionBody, SignedInData
from gateway.v1.members.values import GoneData
from gateway.v1.responses import Envelope
from kit.errors import invalid

router = open_router()
signed_in_router = member_router()
_SECONDS = 600
_SENDABLE = re.compile(r"[\x21-\x7e]{1,200}")

_State = Annotated[str, Field(description="As the provider gave it back.")]
_Code = Annotated[str, Field(description="As the provider gave it.")]


class ProvidersData(TypedDict):
    """OpenID providers of the region."""

    providers: list[str]


class BegunData(TypedDict):
    """Where to send the browser."""

    authorization_url: str


class FinishOidc(SessionBody):
    """What came back from the provider."""

    state: _State
    code: _Code
    locale: Annotated[str, Field(description='Language of letters for somebody new, such as "en".')] = ""
    accepted_versions: Accepted


class FinishLink(Body):
    """What came back from the provider."""

    state: _State
    code: _Code


@router.get("/auth/oidc", response_model=Envelope[ProvidersData])
async def list_providers(request: Request) -> Response:
    """The OpenID providers of the region."""
    call = PersonCall(request, LIST_OIDC_PROVIDERS)
    answer = await call.ask(identity.ListOidcProvidersRequest())
    data: ProvidersData = {"providers": list(answer.providers)}
    return call.reply("Providers retrieved successfully", data)


@router.get("/auth/oidc/{provider}/start", response_model=Envelope[BegunData])
async def begin(request: Request, provider: str) -> Response:
    """Begins a sign-in: send the browser to the URL."""
    call = PersonCall(request, BEGIN_OIDC)
    answer = await call.ask(identity.BeginOidcRequest(provider=provider))
    data: BegunData = {"authorization_url": answer.authorization_url}
    return call.reply("Sign-in begun", data, cookie=_cookie(request, answer.browser_token))


@router.post(
    "/auth/oidc/{provider}/finish",
    response_model=Envelope[SignedInData | SecondFactorData],
    openapi_extra=takes(FinishOidc),
)
async def finish(request: Request, provider: str) -> Response:
    """Ends a sign-in; makes an account for somebody new whose e-mail the provider has verified."""
    call = PersonCall(request, FINISH_OIDC)
    body = await session_body(call, request, FinishOidc)
    answer = await call.ask(
        identity.FinishOidcRequest(
            state=body.state,
            code=body.code,
            browser_token=await _browser_token(call, request),
            locale=body.locale,
            accepted_versions=body.accepted_versions,
        )
    )
    if not answer.HasField("signed_in"):
        return second_factor(call, answer.second_factor_token)
    return begun(call, request, answer.signed_in, body.session_transport)


@signed_in_router.get("/me/identities", response_model=Envelope[IdentitiesData])
async def list_identities(request: Request) -> Response:
    """The OpenID identities that sign the person in, newest first."""
    call = PersonCall(request, LIST_LINKED_IDENTITIES)
    answer = await call.ask(identity.ListLinkedIdentitiesRequest())
    data: IdentitiesData = {"identities": [identity_data(linked) for linked in answer.identities]}
    return call.reply("Identities retrieved successfully", data)


@signed_in_router.post("/me/identities/{provider}/start", response_model=Envelope[BegunData])
async def begin_link(request: Request, provider: str) -> Response:
    """Begins to link an OpenID identity: send the browser to the URL."""
    call = PersonCall(request, BEGIN_LINK_IDENTITY)
    answer = await call.ask(identity.BeginLinkIdentityRequest(provider=provider))
    data: BegunData = {"authorization_url": answer.authorization_url}
    return call.reply("Linking begun", data, cookie=_cookie(request, answer.browser_token))


@signed_in_router.post(
    "/me/identities/{provider}/finish",
    response_model=Envelope[OneIdentityData],
    openapi_extra=takes(FinishLink),
)
async def finish_link(request: Request, provider: str) -> Response:
    """Links the OpenID identity."""
    call = PersonCall(request, FINISH_LINK_IDENTITY)
    body = await call.body(FinishLink)
    question = identity.FinishLinkIdentityRequest(
        state=body.state, code=body.code, browser_token=await _browser_token(call, request)
    )
    answer = await call.ask(question)
    data: OneIdentityData = {"identity": identity_data(answer.identity)}
    return call.reply("Identity linked successfully", data, cookie=_cookie(request, ""))


@signed_in_router.delete("/me/identities/{identity_id}", response_model=Envelope[GoneData])
async def unlink(request: Request, identity_id: str) -> Response:
    """Unlinks an OpenID identity; refused while it is the only way to sign in."""
    call = PersonCall(request, UNLINK_IDENTITY)
    await call.ask(identity.UnlinkIdentityRequest(identity_id=identity_id))
    data: GoneData = {"id": identity_id}
    return call.reply("Identity unlinked successfully", data)


def _cookie(request: Request, token: str) -> str:
    return own_cookie(request, _cookie_name(request), token, _SECONDS)


def _cookie_name(request: Request) -> str:
    return f"babysea_oidc_{exchange_of(request).region}"


async def _browser_token(call: PersonCall[Q, R], request: Request) -> str:
    found = cookies_named(request, _cookie_name(request))
    if len(found) == 1 and _SENDABLE.fullmatch(found[0]):
        return found[0]
    raise await call.refusal(invalid("state", "This browser did not begin it; begin again."))
