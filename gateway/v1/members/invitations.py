"""Invitations to a team. No answer tells whether somebody has the invited e-mail."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from babysea.accounts.v1 import team_service_pb2 as teams
from gateway.member_methods import (
    ACCEPT_INVITATION,
    GET_INVITATION,
    INVITE_MEMBER,
    LIST_INVITATIONS,
    REMOVE_INVITATION,
    RENEW_INVITATION,
    UPDATE_INVITATION,
)
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall, beside_of
from gateway.v1.members.routing import lists, member_router, open_router, takes
from gateway.v1.members.team_data import (
    InvitationsData,
    JoinedData,
    LetterInvitationData,
    OneInvitationData,
    invitation_data,
)
from gateway.v1.members.values import GoneData, at
from gateway.v1.responses import Envelope, ListEnvelope

router = member_router()
letter_router = open_router()

Role = Literal["owner", "member"]


class Invite(Body):
    """Whom to invite."""

    email: Annotated[str, Field(description="Address; upper and lower case are one.")]
    role: Role


class UpdateInvitation(Body):
    """Another role to come to."""

    role: Role


@router.get(
    "/accounts/{account_id}/invitations",
    response_model=ListEnvelope[InvitationsData],
    openapi_extra=lists(),
)
async def list_invitations(request: Request, account_id: str) -> Response:
    """Open and expired invitations, newest first."""
    call = PersonCall(request, LIST_INVITATIONS)
    page = await call.page()
    answer = await call.ask(teams.ListInvitationsRequest(account_id=account_id, page=page))
    data: InvitationsData = {"invitations": [invitation_data(one) for one in answer.invitations]}
    return call.reply("Invitations retrieved successfully", data, beside=beside_of(page, answer.page))


@router.post(
    "/accounts/{account_id}/invitations",
    response_model=Envelope[OneInvitationData],
    openapi_extra=takes(Invite),
)
async def invite(request: Request, account_id: str) -> Response:
    """Invites somebody by e-mail."""
    call = PersonCall(request, INVITE_MEMBER)
    body = await call.body(Invite)
    question = teams.InviteMemberRequest(account_id=account_id, email=body.email, role=body.role)
    answer = await call.ask(question)
    data: OneInvitationData = {"invitation": invitation_data(answer.invitation)}
    return call.reply("Invitation sent successfully", data)


@router.patch(
    "/accounts/{account_id}/invitations/{invitation_id}",
    response_model=Envelope[OneInvitationData],
    openapi_extra=takes(UpdateInvitation),
)
async def update_invitation(request: Request, account_id: str, invitation_id: str) -> Response:
    """Changes the role that an invitation leads to."""
    call = PersonCall(request, UPDATE_INVITATION)
    body = await call.body(UpdateInvitation)
    question = teams.UpdateInvitationRequest(
        account_id=account_id, invitation_id=invitation_id, role=body.role
    )
    answer = await call.ask(question)
    data: OneInvitationData = {"invitation": invitation_data(answer.invitation)}
    return call.reply("Invitation updated successfully", data)


@router.delete("/accounts/{account_id}/invitations/{invitation_id}", response_model=Envelope[GoneData])
async def remove_invitation(request: Request, account_id: str, invitation_id: str) -> Response:
    """Takes an invitation back."""
    call = PersonCall(request, REMOVE_INVITATION)
    await call.ask(teams.RemoveInvitationRequest(account_id=account_id, invitation_id=invitation_id))
    data: GoneData = {"id": invitation_id}
    return call.reply("Invitation removed successfully", data)


@router.post(
    "/accounts/{account_id}/invitations/{invitation_id}/renew",
    response_model=Envelope[OneInvitationData],
)
async def renew_invitation(request: Request, account_id: str, invitation_id: str) -> Response:
    """Sends another letter, good for seven days; the one before ends."""
    call = PersonCall(request, RENEW_INVITATION)
    question = teams.RenewInvitationRequest(account_id=account_id, invitation_id=invitation_id)
    answer = await call.ask(question)
    data: OneInvitationData = {"invitation": invitation_data(answer.invitation)}
    return call.reply("Invitation renewed successfully", data)


@letter_router.get("/invitations/{token}", response_model=Envelope[LetterInvitationData])
async def get_invitation(request: Request, token: str) -> Response:
    """What a letter invites to; one and the same 404 for any other text."""
    call = PersonCall(request, GET_INVITATION)
    answer = await call.ask(teams.GetInvitationRequest(token=token))
    data: LetterInvitationData = {
        "team_name": answer.team_name,
        "role": answer.role,
        "expires_at": at(answer, "expires_at"),
    }
    return call.reply("Invitation retrieved successfully", data)


@router.post("/invitations/{token}/accept", response_model=Envelope[JoinedData])
async def accept_invitation(request: Request, token: str) -> Response:
    """Joins the team; only for the person whose e-mail was invited."""
    call = PersonCall(request, ACCEPT_INVITATION)
    answer = await call.ask(teams.AcceptInvitationRequest(token=token))
    data: JoinedData = {"account_id": answer.account_id, "role": answer.role}
    return call.reply("Joined the team successfully", data)
