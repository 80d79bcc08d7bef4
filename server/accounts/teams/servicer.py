"""TeamService: protobuf in, protobuf out."""

from __future__ import annotations

from uuid import UUID

from babysea.accounts.v1 import team_service_pb2 as pb
from babysea.accounts.v1 import team_service_pb2_grpc
from server.accounts.teams import shown
from server.accounts.teams.acceptance import accept_invitation
from server.accounts.teams.creation import create_team
from server.accounts.teams.deletion import delete_team
from server.accounts.teams.details import read_details, update_account
from server.accounts.teams.invitations import (
    list_invitations,
    preview_invitation,
    remove_invitation,
    update_invitation,
)
from server.accounts.teams.inviting import invite_member, renew_invitation
from server.accounts.teams.listing import list_members, list_my_accounts
from server.accounts.teams.membership import change_role, leave_team, remove_member
from server.accounts.teams.parts import Teams
from server.accounts.teams.transfer import transfer_ownership
from server.runtime.context import RpcContext
from server.runtime.identity import member
from server.runtime.paging import page_info, page_of


class TeamServicer(team_service_pb2_grpc.TeamServiceServicer):
    """Serves babysea.accounts.v1.TeamService."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams

    async def CreateTeam(self, request: pb.CreateTeamRequest, context: RpcContext) -> pb.CreateTeamResponse:  # noqa: N802
        """Makes a team."""
        view = await create_team(self._teams, member(), name=request.name, slug=request.slug)
        return pb.CreateTeamResponse(account=shown.details(view))

    async def ListMyAccounts(  # noqa: N802
        self, request: pb.ListMyAccountsRequest, context: RpcContext
    ) -> pb.ListMyAccountsResponse:
        """The accounts of the caller."""
        views = await list_my_accounts(self._teams, member().person_id)
        return pb.ListMyAccountsResponse(accounts=[shown.my_account(view) for view in views])

    async def GetAccountDetails(  # noqa: N802
        self, request: pb.GetAccountDetailsRequest, context: RpcContext
    ) -> pb.GetAccountDetailsResponse:
        """An account."""
        view = await read_details(self._teams, member(), with_avatar=request.with_avatar)
        return pb.GetAccountDetailsResponse(account=shown.details(view))

    async def UpdateAccount(  # noqa: N802
        self, request: pb.UpdateAccountRequest, context: RpcContext
    ) -> pb.UpdateAccountResponse:
        """Changes name, slug or picture."""
        view = await update_account(
            self._teams,
            member(),
            name=request.name if request.HasField("name") else None,
            slug=request.slug if request.HasField("slug") else None,
            avatar=request.avatar if request.HasField("avatar") else None,
        )
        return pb.UpdateAccountResponse(account=shown.details(view))

    async def DeleteTeam(self, request: pb.DeleteTeamRequest, context: RpcContext) -> pb.DeleteTeamResponse:  # noqa: N802
        """Ends a team."""
        await delete_team(self._teams, member(), slug=request.slug, password=request.password)
        return pb.DeleteTeamResponse()

    async def ListMembers(  # noqa: N802
        self, request: pb.ListMembersRequest, context: RpcContext
    ) -> pb.ListMembersResponse:
        """The people of an account."""
        page = page_of(request.page, key_parts=2)
        found = await list_members(self._teams, member().account, page)
        return pb.ListMembersResponse(
            members=[shown.member(view) for view in found.members],
            page=page_info(page, found.total, found.next_token),
        )

    async def InviteMember(  # noqa: N802
        self, request: pb.InviteMemberRequest, context: RpcContext
    ) -> pb.InviteMemberResponse:
        """Invites an address."""
        view = await invite_member(self._teams, member(), email=request.email, role=request.role)
        return pb.InviteMemberResponse(invitation=shown.invitation(view))

    async def ListInvitations(  # noqa: N802
        self, request: pb.ListInvitationsRequest, context: RpcContext
    ) -> pb.ListInvitationsResponse:
        """Invitations that wait for their answer."""
        page = page_of(request.page, key_parts=2)
        found = await list_invitations(self._teams, member().account, page)
        return pb.ListInvitationsResponse(
            invitations=[shown.invitation(view) for view in found.invitations],
            page=page_info(page, found.total, found.next_token),
        )

    async def RenewInvitation(  # noqa: N802
        self, request: pb.RenewInvitationRequest, context: RpcContext
    ) -> pb.RenewInvitationResponse:
        """Sends another letter."""
        view = await renew_invitation(self._teams, member(), UUID(request.invitation_id))
        return pb.RenewInvitationResponse(invitation=shown.invitation(view))

    async def UpdateInvitation(  # noqa: N802
        self, request: pb.UpdateInvitationRequest, context: RpcContext
    ) -> pb.UpdateInvitationResponse:
        """Changes where an invitation leads."""
        view = await update_invitation(self._teams, member(), UUID(request.invitation_id), role=request.role)
        return pb.UpdateInvitationResponse(invitation=shown.invitation(view))

    async def RemoveInvitation(  # noqa: N802
        self, request: pb.RemoveInvitationRequest, context: RpcContext
    ) -> pb.RemoveInvitationResponse:
        """Takes an invitation back."""
        await remove_invitation(self._teams, member(), UUID(request.invitation_id))
        return pb.RemoveInvitationResponse()

    async def GetInvitation(  # noqa: N802
        self, request: pb.GetInvitationRequest, context: RpcContext
    ) -> pb.GetInvitationResponse:
        """What a letter's token invites to."""
        view = await preview_invitation(self._teams, request.token)
        return pb.GetInvitationResponse(
            team_name=view.team_name, role=view.role, expires_at=shown.timestamp(view.expires_at)
        )

    async def AcceptInvitation(  # noqa: N802
        self, request: pb.AcceptInvitationRequest, context: RpcContext
    ) -> pb.AcceptInvitationResponse:
        """Joins a team."""
        joined = await accept_invitation(self._teams, member(), token=request.token)
        return pb.AcceptInvitationResponse(account_id=str(joined.account_id), role=joined.role)

    async def ChangeRole(self, request: pb.ChangeRoleRequest, context: RpcContext) -> pb.ChangeRoleResponse:  # noqa: N802
        """Changes a member's role."""
        view = await change_role(self._teams, member(), UUID(request.person_id), role=request.role)
        return pb.ChangeRoleResponse(member=shown.member(view))

    async def RemoveMember(  # noqa: N802
        self, request: pb.RemoveMemberRequest, context: RpcContext
    ) -> pb.RemoveMemberResponse:
        """Takes a member out."""
        await remove_member(self._teams, member(), UUID(request.person_id))
        return pb.RemoveMemberResponse()

    async def LeaveTeam(self, request: pb.LeaveTeamRequest, context: RpcContext) -> pb.LeaveTeamResponse:  # noqa: N802
        """Takes the caller out."""
        await leave_team(self._teams, member())
        return pb.LeaveTeamResponse()

    async def TransferOwnership(  # noqa: N802
        self, request: pb.TransferOwnershipRequest, context: RpcContext
    ) -> pb.TransferOwnershipResponse:
        """Makes another member the Primary Owner."""
        view = await transfer_ownership(
            self._teams, member(), UUID(request.person_id), password=request.password
        )
        return pb.TransferOwnershipResponse(account=shown.details(view))
