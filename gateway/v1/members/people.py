"""The people of an account: who they are, their roles, and how they come out of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from babysea.accounts.v1 import team_service_pb2 as teams
from gateway.member_methods import (
    CHANGE_ROLE,
    LEAVE_TEAM,
    LIST_MEMBERS,
    REMOVE_MEMBER,
    TRANSFER_OWNERSHIP,
)
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall, beside_of
from gateway.v1.members.routing import lists, member_router, takes
from gateway.v1.members.team_data import (
    AccountDetailsData,
    LeftData,
    MembersData,
    OneMemberData,
    details_data,
    member_data,
)
from gateway.v1.members.values import GoneData
from gateway.v1.responses import Envelope, ListEnvelope

router = member_router()


class ChangeRole(Body):
    """Another role."""

    role: Literal["owner", "member"]


class Transfer(Body):
    """Who becomes the Primary Owner."""

    person_id: Annotated[str, Field(description="A member of the team.")]
    password: Annotated[str, Field(description="The own password; empty where there is none.")] = ""


@router.get("/accounts/{account_id}/members", response_model=ListEnvelope[MembersData], openapi_extra=lists())
async def list_members(request: Request, account_id: str) -> Response:
    """The people of the account: the Primary Owner first, then by age."""
    call = PersonCall(request, LIST_MEMBERS)
    page = await call.page()
    answer = await call.ask(teams.ListMembersRequest(account_id=account_id, page=page))
    data: MembersData = {"members": [member_data(member) for member in answer.members]}
    return call.reply("Members retrieved successfully", data, beside=beside_of(page, answer.page))


@router.patch(
    "/accounts/{account_id}/members/{person_id}",
    response_model=Envelope[OneMemberData],
    openapi_extra=takes(ChangeRole),
)
async def change_role(request: Request, account_id: str, person_id: str) -> Response:
    """Changes a member's role."""
    call = PersonCall(request, CHANGE_ROLE)
    body = await call.body(ChangeRole)
    question = teams.ChangeRoleRequest(account_id=account_id, person_id=person_id, role=body.role)
    answer = await call.ask(question)
    data: OneMemberData = {"member": member_data(answer.member)}
    return call.reply("Role changed successfully", data)


@router.delete("/accounts/{account_id}/members/{person_id}", response_model=Envelope[GoneData])
async def remove_member(request: Request, account_id: str, person_id: str) -> Response:
    """Takes a member out of the team."""
    call = PersonCall(request, REMOVE_MEMBER)
    await call.ask(teams.RemoveMemberRequest(account_id=account_id, person_id=person_id))
    data: GoneData = {"id": person_id}
    return call.reply("Member removed successfully", data)


@router.post("/accounts/{account_id}/leave", response_model=Envelope[LeftData])
async def leave(request: Request, account_id: str) -> Response:
    """Takes the person out of the team; the Primary Owner cannot leave."""
    call = PersonCall(request, LEAVE_TEAM)
    await call.ask(teams.LeaveTeamRequest(account_id=account_id))
    data: LeftData = {"account_id": account_id}
    return call.reply("Left the team successfully", data)


@router.post(
    "/accounts/{account_id}/transfer",
    response_model=Envelope[AccountDetailsData],
    openapi_extra=takes(Transfer),
)
async def transfer(request: Request, account_id: str) -> Response:
    """Makes another member the Primary Owner; the person stays as an owner."""
    call = PersonCall(request, TRANSFER_OWNERSHIP)
    body = await call.body(Transfer)
    question = teams.TransferOwnershipRequest(
        account_id=account_id, person_id=body.person_id, password=body.password
    )
    answer = await call.ask(question)
    data: AccountDetailsData = {"account": details_data(answer.account)}
    return call.reply("Ownership transferred successfully", data)
