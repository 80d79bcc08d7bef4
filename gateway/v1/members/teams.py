"""Accounts and teams: made, shown, changed and ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from babysea.accounts.v1 import team_service_pb2 as teams
from gateway.member_methods import (
    CREATE_TEAM,
    DELETE_TEAM,
    GET_ACCOUNT_DETAILS,
    LIST_MY_ACCOUNTS,
    UPDATE_ACCOUNT,
)
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall
from gateway.v1.members.pictures import MAX_BYTES, PICTURE, PICTURE_BODY, picture_reply
from gateway.v1.members.routing import member_router, takes
from gateway.v1.members.team_data import (
    AccountDetailsData,
    LeftData,
    MyAccountsData,
    details_data,
    my_account_data,
)
from gateway.v1.responses import Envelope

router = member_router()

_Name = Field(description="Name for people, 2 to 100 characters.")
_Slug = Field(description="Short name for addresses: lower-case letters, digits and single hyphens.")


class CreateTeam(Body):
    """A team to make."""

    account_name: Annotated[str, _Name]
    account_slug: Annotated[str, _Slug]


class UpdateAccount(Body):
    """What changes."""

    account_name: Annotated[str | None, _Name] = None
    account_slug: Annotated[str | None, _Slug] = None


class DeleteTeam(Body):
    """Proof that it is meant."""

    account_slug: Annotated[str, Field(description="The team's slug, typed again.")]
    password: Annotated[str, Field(description="The own password; empty where there is none.")] = ""


@router.get("/me/accounts", response_model=Envelope[MyAccountsData])
async def list_my_accounts(request: Request) -> Response:
    """The person's accounts: the personal one first, then teams by age."""
    call = PersonCall(request, LIST_MY_ACCOUNTS)
    answer = await call.ask(teams.ListMyAccountsRequest())
    data: MyAccountsData = {"accounts": [my_account_data(account) for account in answer.accounts]}
    return call.reply("Accounts retrieved successfully", data)


@router.post("/teams", response_model=Envelope[AccountDetailsData], openapi_extra=takes(CreateTeam))
async def create_team(request: Request) -> Response:
    """Makes a team on the free plan, whose Primary Owner the person becomes."""
    call = PersonCall(request, CREATE_TEAM)
    body = await call.body(CreateTeam)
    answer = await call.ask(teams.CreateTeamRequest(name=body.account_name, slug=body.account_slug))
    data: AccountDetailsData = {"account": details_data(answer.account)}
    return call.reply("Team created successfully", data)


@router.get("/accounts/{account_id}", response_model=Envelope[AccountDetailsData])
async def get_account(request: Request, account_id: str) -> Response:
    """An account of the person's."""
    call = PersonCall(request, GET_ACCOUNT_DETAILS)
    answer = await call.ask(teams.GetAccountDetailsRequest(account_id=account_id))
    data: AccountDetailsData = {"account": details_data(answer.account)}
    return call.reply("Account retrieved successfully", data)


@router.patch(
    "/accounts/{account_id}",
    response_model=Envelope[AccountDetailsData],
    openapi_extra=takes(UpdateAccount),
)
async def update_account(request: Request, account_id: str) -> Response:
    """Changes name or slug."""
    call = PersonCall(request, UPDATE_ACCOUNT)
    body = await call.body(UpdateAccount)
    question = teams.UpdateAccountRequest(
        account_id=account_id, name=body.account_name, slug=body.account_slug
    )
    answer = await call.ask(question)
    data: AccountDetailsData = {"account": details_data(answer.account)}
    return call.reply("Account updated successfully", data)


@router.delete("/accounts/{account_id}", response_model=Envelope[LeftData], openapi_extra=takes(DeleteTeam))
async def delete_team(request: Request, account_id: str) -> Response:
    """Ends a team: its keys, invitations and memberships. Refused while generations are in flight."""
    call = PersonCall(request, DELETE_TEAM)
    body = await call.body(DeleteTeam)
    await call.ask(
        teams.DeleteTeamRequest(account_id=account_id, slug=body.account_slug, password=body.password)
    )
    data: LeftData = {"account_id": account_id}
    return call.reply("Team deleted successfully", data)


@router.get("/accounts/{account_id}/avatar", response_class=Response, responses=PICTURE)
async def get_avatar(request: Request, account_id: str) -> Response:
    """The account's picture as it is."""
    call = PersonCall(request, GET_ACCOUNT_DETAILS)
    answer = await call.ask(teams.GetAccountDetailsRequest(account_id=account_id, with_avatar=True))
    return picture_reply(answer.account.avatar, answer.account.avatar_type)


@router.put(
    "/accounts/{account_id}/avatar",
    response_model=Envelope[AccountDetailsData],
    openapi_extra=PICTURE_BODY,
)
async def put_avatar(request: Request, account_id: str) -> Response:
    """Takes a PNG, JPEG or WebP picture of at most 256 KiB as the body."""
    call = PersonCall(request, UPDATE_ACCOUNT)
    picture = await call.raw_body(MAX_BYTES)
    answer = await call.ask(teams.UpdateAccountRequest(account_id=account_id, avatar=picture))
    data: AccountDetailsData = {"account": details_data(answer.account)}
    return call.reply("Picture updated successfully", data)


@router.delete("/accounts/{account_id}/avatar", response_model=Envelope[AccountDetailsData])
async def delete_avatar(request: Request, account_id: str) -> Response:
    """Removes the account's picture."""
    call = PersonCall(request, UPDATE_ACCOUNT)
    answer = await call.ask(teams.UpdateAccountRequest(account_id=account_id, avatar=b""))
    data: AccountDetailsData = {"account": details_data(answer.account)}
    return call.reply("Picture removed successfully", data)
