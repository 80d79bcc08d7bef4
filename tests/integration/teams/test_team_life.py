"""A team from its making to its end."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from babysea.accounts.v1 import team_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2 as keys_pb
from kit.ids import uuid7
from tests.integration.teams.live import PASSWORD, Live, Team, bearer, reason

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def test_a_new_team_belongs_to_its_maker_and_has_no_credit(live: Live) -> None:
    ada = await live.person()
    made = await live.teams.CreateTeam(
        pb.CreateTeamRequest(name="Tide Lab", slug="tide-lab"), metadata=ada.metadata
    )
    account = made.account
    assert (account.name, account.slug, account.personal, account.plan) == (
        "Tide Lab",
        "tide-lab",
        False,
        "free",
    )
    assert (account.role, account.primary_owner_id, account.members) == ("primary_owner", str(ada.id), 1)
    rows = await live.rows("select posted from ledger.account where id = $1", UUID(account.account_id))
    assert [row["posted"] for row in rows] == [0]
    mine = await live.teams.ListMyAccounts(pb.ListMyAccountsRequest(), metadata=ada.metadata)
    assert [(a.account_id, a.role, a.name) for a in mine.accounts] == [
        (account.account_id, "primary_owner", "Tide Lab")
    ]
    taken = live.teams.CreateTeam(
        pb.CreateTeamRequest(name="Other", slug="tide-lab"), metadata=(await live.person()).metadata
    )
    assert await reason(taken) == "CONFLICT"


@pytest.mark.parametrize("slug", ["ab", "A-b", "-ab", "ab-", "a--b", "a b", "ä-b", "a" * 49])
async def test_a_slug_is_lower_case_and_short(live: Live, slug: str) -> None:
    ada = await live.person()
    call = live.teams.CreateTeam(pb.CreateTeamRequest(name="Tide", slug=slug), metadata=ada.metadata)
    assert await reason(call) == "INVALID_INPUT"


async def test_a_person_owns_at_most_twenty_teams(live: Live) -> None:
    ada = await live.person()
    for number in range(20):
        request = pb.CreateTeamRequest(name="Many", slug=f"many-{number}-{uuid7().hex[-8:]}")
        await live.teams.CreateTeam(request, metadata=ada.metadata)
    request = pb.CreateTeamRequest(name="Many", slug="one-too-many")
    assert await reason(live.teams.CreateTeam(request, metadata=ada.metadata)) == "PLAN_LIMIT_EXCEEDED"


async def test_name_slug_and_picture_change_apart_from_each_other(live: Live, team: Team) -> None:
    me = team.primary_owner.metadata
    slug = f"new-{uuid7().hex[-8:]}"

    async def update(**fields: object) -> pb.UpdateAccountResponse:
        request = pb.UpdateAccountRequest(account_id=str(team.id), **fields)  # type: ignore[arg-type]
        response: pb.UpdateAccountResponse = await live.teams.UpdateAccount(request, metadata=me)
        return response

    assert (await update(name="Renamed")).account.name == "Renamed"
    assert (await update(slug=slug)).account.slug == slug
    assert (await update(avatar=PNG)).account.has_avatar
    request = pb.GetAccountDetailsRequest(account_id=str(team.id), with_avatar=True)
    account = (await live.teams.GetAccountDetails(request, metadata=team.member.metadata)).account
    assert (account.name, account.slug, account.avatar, account.avatar_type) == (
        "Renamed",
        slug,
        PNG,
        "image/png",
    )
    assert account.role == "member"
    assert not (await update(avatar=b"")).account.has_avatar
    for picture in (b"GIF89a" + bytes(50), b"<svg/>", PNG + bytes(262_144)):
        bad = pb.UpdateAccountRequest(account_id=str(team.id), avatar=picture)
        assert await reason(live.teams.UpdateAccount(bad, metadata=me)) == "INVALID_INPUT"
    assert await live.activity(team.id) == ["account.updated"] * 4


async def test_members_are_listed_with_name_and_address_page_by_page(live: Live, team: Team) -> None:
    seen, token = [], ""
    for _ in range(3):
        request = pb.ListMembersRequest(account_id=str(team.id))
        request.page.page_size, request.page.page_token = 1, token
        page = await live.teams.ListMembers(request, metadata=team.member.metadata)
        assert page.page.total == 3
        seen += [(m.person_id, m.role, m.name, m.email) for m in page.members]
        token = page.page.next_page_token
    assert token == ""
    people = {role: team[role] for role in ("primary_owner", "owner", "member")}
    assert seen == [(str(p.id), role, p.name, p.email) for role, p in people.items()]


async def test_a_transfer_needs_the_password_and_leaves_the_old_one_as_an_owner(
    live: Live, team: Team
) -> None:
    def request(person_id: UUID, password: str = PASSWORD) -> pb.TransferOwnershipRequest:
        return pb.TransferOwnershipRequest(
            account_id=str(team.id), person_id=str(person_id), password=password
        )

    me = team.primary_owner.metadata
    assert (
        await reason(live.teams.TransferOwnership(request(team.member.id, "wrong"), metadata=me))
        == "INVALID_INPUT"
    )
    stranger = await live.person()
    assert await reason(live.teams.TransferOwnership(request(stranger.id), metadata=me)) == "NOT_FOUND"
    assert (
        await reason(live.teams.TransferOwnership(request(team.primary_owner.id), metadata=me)) == "CONFLICT"
    )
    done = await live.teams.TransferOwnership(request(team.member.id), metadata=me)
    assert (done.account.role, done.account.primary_owner_id) == ("owner", str(team.member.id))
    assert await live.roles(team.id) == {
        team.primary_owner.id: "owner",
        team.owner.id: "owner",
        team.member.id: "primary_owner",
    }
    again = live.teams.TransferOwnership(request(team.owner.id), metadata=me)
    assert await reason(again) == "INSUFFICIENT_PERMISSIONS"
    assert await live.letters(team.id) == ["team.ownership_transferred"] * 2
    assert await live.activity(team.id) == ["membership.ownership_transferred"]


async def test_a_deleted_team_has_no_members_no_keys_and_no_invitations(live: Live, team: Team) -> None:
    secret = await live.key(team.id)
    guest = await live.person()
    _, token = await live.invitation(team, guest)
    me = team.primary_owner.metadata

    def request(slug: str = team.slug, password: str = PASSWORD) -> pb.DeleteTeamRequest:
        return pb.DeleteTeamRequest(account_id=str(team.id), slug=slug, password=password)

    assert await reason(live.teams.DeleteTeam(request("other"), metadata=me)) == "INVALID_INPUT"
    assert await reason(live.teams.DeleteTeam(request(password="wrong"), metadata=me)) == "INVALID_INPUT"
    await live.execute("update ledger.account set open_holds = 1 where id = $1", team.id)
    assert await reason(live.teams.DeleteTeam(request(), metadata=me)) == "CONFLICT"
    assert len(await live.roles(team.id)) == 3
    await live.execute("update ledger.account set open_holds = 0 where id = $1", team.id)
    await live.teams.DeleteTeam(request(), metadata=me)
    assert await live.roles(team.id) == {}
    for role in ("primary_owner", "owner", "member"):
        details = pb.GetAccountDetailsRequest(account_id=str(team.id))
        call = live.teams.GetAccountDetails(details, metadata=team[role].metadata)
        assert await reason(call) == "ACCOUNT_NOT_FOUND"
    accept = pb.AcceptInvitationRequest(token=token)
    assert await reason(live.teams.AcceptInvitation(accept, metadata=guest.metadata)) == "NOT_FOUND"
    assert await reason(live.teams.GetInvitation(pb.GetInvitationRequest(token=token))) == "NOT_FOUND"
    live.server.shared.verifier.forget(secret.split("_")[2][:12])
    caller = live.keys.GetCallerKey(keys_pb.GetCallerKeyRequest(), metadata=bearer(secret))
    assert await reason(caller) == "AUTHENTICATION_FAILED"
    rows = await live.rows(
        "select a.standing, a.slug, a.deleted_at, l.frozen from accounts.account a join ledger.account l using (id) where id = $1",
        team.id,
    )
    assert (rows[0]["standing"], rows[0]["slug"], rows[0]["frozen"]) == ("frozen", None, True)
    told = [template for template in await live.letters(team.id) if template.startswith("team.")]
    assert sorted(told) == ["team.deleted"] * 3 + ["team.invitation"]


async def test_a_personal_account_has_one_person_for_good(live: Live) -> None:
    team = await live.team()
    await live.execute("update accounts.account set personal = true where id = $1", team.id)
    me, account = team.primary_owner.metadata, str(team.id)
    invite = pb.InviteMemberRequest(account_id=account, email="x@example.com", role="member")
    assert await reason(live.teams.InviteMember(invite, metadata=me)) == "CONFLICT"
    transfer = pb.TransferOwnershipRequest(
        account_id=account, person_id=str(team.owner.id), password=PASSWORD
    )
    assert await reason(live.teams.TransferOwnership(transfer, metadata=me)) == "CONFLICT"
    delete = pb.DeleteTeamRequest(account_id=account, slug=team.slug, password=PASSWORD)
    assert await reason(live.teams.DeleteTeam(delete, metadata=me)) == "CONFLICT"
    assert (
        await reason(live.teams.LeaveTeam(pb.LeaveTeamRequest(account_id=account), metadata=me)) == "CONFLICT"
    )


async def test_an_expired_session_is_nobody(live: Live, team: Team) -> None:
    live.clock.at += timedelta(days=8)
    request = pb.GetAccountDetailsRequest(account_id=str(team.id))
    call = live.teams.GetAccountDetails(request, metadata=team.member.metadata)
    assert await reason(call) == "AUTHENTICATION_FAILED"
