"""Races: whatever happens at once, a team has its Primary Owner and nobody acts by a right that has ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from babysea.accounts.v1 import team_service_pb2 as pb
from babysea.keys.v1 import key_service_pb2 as keys_pb
from kit.ids import uuid7
from server.generation import store
from tests.integration.isolation.tenants import Tenant, admission
from tests.integration.teams.live import PASSWORD, Live, Team, reason
from tests.support.people import Person, join


def remove(team: Team, person: Person) -> pb.RemoveMemberRequest:
    """A request to take somebody out."""
    return pb.RemoveMemberRequest(account_id=str(team.id), person_id=str(person.id))


def change(team: Team, person: Person, role: str) -> pb.ChangeRoleRequest:
    """A request to change somebody's role."""
    return pb.ChangeRoleRequest(account_id=str(team.id), person_id=str(person.id), role=role)


def transfer(team: Team, heir: Person) -> pb.TransferOwnershipRequest:
    """A request to give the team away."""
    return pb.TransferOwnershipRequest(account_id=str(team.id), person_id=str(heir.id), password=PASSWORD)


async def the_primary_owner(live: Live, account_id: UUID) -> UUID:
    """The one Primary Owner, who is a stored owner."""
    rows = await live.rows(
        "select a.primary_owner, m.role from accounts.account a join accounts.membership m"
        " on m.account_id = a.id and m.person_id = a.primary_owner where a.id = $1",
        account_id,
    )
    assert [row["role"] for row in rows] == ["owner"]
    found: UUID = rows[0]["primary_owner"]
    return found


async def test_a_hundred_acceptances_at_once_make_one_membership(live: Live, team: Team) -> None:
    guest = await live.person()
    _, token = await live.invitation(team, guest)
    request = pb.AcceptInvitationRequest(token=token)
    found = await asyncio.gather(
        *(reason(live.teams.AcceptInvitation(request, metadata=guest.metadata)) for _ in range(100))
    )
    assert Counter(found) == {"OK": 100}
    assert (await live.roles(team.id))[guest.id] == "member"
    assert Counter(await live.activity(team.id)) == {
        "invitation.created": 1,
        "invitation.accepted": 1,
        "membership.created": 1,
    }


@pytest.mark.parametrize("attempt", range(5))
async def test_a_transfer_and_the_removal_of_the_heir_leave_a_primary_owner(
    live: Live, team: Team, attempt: int
) -> None:
    given, removed = await asyncio.gather(
        reason(
            live.teams.TransferOwnership(transfer(team, team.member), metadata=team.primary_owner.metadata)
        ),
        reason(live.teams.RemoveMember(remove(team, team.member), metadata=team.owner.metadata)),
    )
    owner = await the_primary_owner(live, team.id)
    # Either the heir was first, and nobody removes a Primary Owner; or the removal was, and nobody is left to inherit.
    assert (given, removed) in {("OK", "INSUFFICIENT_PERMISSIONS"), ("NOT_FOUND", "OK")}
    assert owner == (team.member.id if given == "OK" else team.primary_owner.id)


@pytest.mark.parametrize("attempt", range(5))
async def test_two_transfers_at_once_give_the_team_once(live: Live, team: Team, attempt: int) -> None:
    me = team.primary_owner.metadata
    found = await asyncio.gather(
        *(
            reason(live.teams.TransferOwnership(transfer(team, heir), metadata=me))
            for heir in (team.owner, team.member)
        )
    )
    assert sorted(found) == ["INSUFFICIENT_PERMISSIONS", "OK"]
    assert await the_primary_owner(live, team.id) == (team.owner, team.member)[found.index("OK")].id


@pytest.mark.parametrize("attempt", range(5))
async def test_an_owner_who_is_demoted_meanwhile_demotes_nobody(live: Live, attempt: int) -> None:
    team = await live.team()
    first, second = team.primary_owner, team.owner
    # The first owner takes the second one's role while the second one takes a member out.
    demoted, removed = await asyncio.gather(
        reason(live.teams.ChangeRole(change(team, second, "member"), metadata=first.metadata)),
        reason(live.teams.RemoveMember(remove(team, team.member), metadata=second.metadata)),
    )
    assert demoted == "OK"
    assert removed in {"OK", "INSUFFICIENT_PERMISSIONS"}
    order = [a for a in await live.activity(team.id) if a.startswith("membership")]
    if removed == "OK":
        assert order == ["membership.removed", "membership.role_changed"]
    else:
        assert order == ["membership.role_changed"]
        assert team.member.id in await live.roles(team.id)


async def test_two_owners_cannot_remove_each_other(live: Live, team: Team) -> None:
    other = await live.person()
    await join(live.region, team.id, other.id, "owner")
    found = await asyncio.gather(
        reason(live.teams.RemoveMember(remove(team, other), metadata=team.owner.metadata)),
        reason(live.teams.RemoveMember(remove(team, team.owner), metadata=other.metadata)),
    )
    assert list(found) == ["INSUFFICIENT_PERMISSIONS"] * 2
    assert len(await live.roles(team.id)) == 4


async def test_a_primary_owner_and_an_owner_who_remove_each_other_leave_the_primary_owner(
    live: Live, team: Team
) -> None:
    found = await asyncio.gather(
        reason(live.teams.RemoveMember(remove(team, team.owner), metadata=team.primary_owner.metadata)),
        reason(live.teams.RemoveMember(remove(team, team.primary_owner), metadata=team.owner.metadata)),
    )
    assert found[0] == "OK"
    assert found[1] in {"INSUFFICIENT_PERMISSIONS", "NOT_FOUND", "ACCOUNT_NOT_FOUND"}
    assert await the_primary_owner(live, team.id) == team.primary_owner.id


@pytest.mark.parametrize("act", ["key", "invite", "remove"])
async def test_a_right_that_ends_while_its_use_waits_is_not_used(live: Live, team: Team, act: str) -> None:
    calls = {
        "key": lambda: live.keys.CreateKey(
            keys_pb.CreateKeyRequest(account_id=str(team.id), name="late", preset="full_access"),
            metadata=team.owner.metadata,
        ),
        "invite": lambda: live.teams.InviteMember(
            pb.InviteMemberRequest(account_id=str(team.id), email="late@example.com", role="member"),
            metadata=team.owner.metadata,
        ),
        "remove": lambda: live.teams.RemoveMember(remove(team, team.member), metadata=team.owner.metadata),
    }
    connection = await live.region.connect()
    try:
        # Somebody else's change of the owner's role, which has not committed when the call is let in.
        change = connection.transaction()
        await change.start()
        await connection.execute("select 1 from accounts.account where id = $1 for no key update", team.id)
        waiting = asyncio.ensure_future(reason(calls[act]()))
        while not await live.rows(
            "select 1 from pg_locks l join pg_stat_activity s using (pid)"
            " where not l.granted and s.datname = current_database()"
        ):
            assert not waiting.done()
        await connection.execute(
            "update accounts.membership set role = 'member' where account_id = $1 and person_id = $2",
            team.id,
            team.owner.id,
        )
        await change.commit()
        assert await waiting == "INSUFFICIENT_PERMISSIONS"
    finally:
        await connection.close()
    assert await live.activity(team.id) == []


async def test_a_key_made_while_its_team_ends_does_not_work(live: Live, team: Team) -> None:
    create = keys_pb.CreateKeyRequest(account_id=str(team.id), name="late", preset="full_access")
    delete = pb.DeleteTeamRequest(account_id=str(team.id), slug=team.slug, password=PASSWORD)
    ended, *made = await asyncio.gather(
        reason(live.teams.DeleteTeam(delete, metadata=team.primary_owner.metadata)),
        *(reason(live.keys.CreateKey(create, metadata=team.owner.metadata)) for _ in range(10)),
        *(reason(live.keys.CreateKey(create, metadata=live.operator)) for _ in range(10)),
    )
    assert ended == "OK"
    assert set(made) <= {"OK", "ACCOUNT_NOT_FOUND", "INSUFFICIENT_PERMISSIONS"}
    keys = await live.rows("select public_id from keys.api_key where account_id = $1", team.id)
    for key in keys:
        state = await live.rows("select revoked_at from keys.find_key($1)", key["public_id"])
        assert state == []


@pytest.mark.parametrize("attempt", range(5))
async def test_a_team_that_ends_while_generations_begin_has_none_or_stays(live: Live, attempt: int) -> None:
    team = await live.team(credit=1_000_000)
    tenant = Tenant(team.id, await live.open_key(team.id), team.id, team.id, team.primary_owner)
    delete = pb.DeleteTeamRequest(account_id=str(team.id), slug=team.slug, password=PASSWORD)
    engine = live.region.databases.admitter
    ended, *verdicts = await asyncio.gather(
        reason(live.teams.DeleteTeam(delete, metadata=team.primary_owner.metadata)),
        *(store.admit_many(engine, [admission(tenant, uuid7())]) for _ in range(3 * attempt)),
    )
    words = Counter(verdict.word for found in verdicts for verdict in found)  # type: ignore[attr-defined]
    rows = await live.rows("select open_holds, frozen from ledger.account where id = $1", team.id)
    assert set(words) <= {"held", "frozen", "key_inactive"}
    assert rows[0]["open_holds"] == words["held"]
    assert rows[0]["frozen"] == (ended == "OK")
    assert ended == ("CONFLICT" if words["held"] else "OK")
    assert await live.region.audit() == []


async def test_the_primary_owner_cannot_leave_or_be_touched(live: Live, team: Team) -> None:
    leave = pb.LeaveTeamRequest(account_id=str(team.id))
    boss = team.primary_owner
    assert await reason(live.teams.LeaveTeam(leave, metadata=boss.metadata)) == "CONFLICT"
    for who in (team.owner, team.member):
        for call in (
            live.teams.RemoveMember(remove(team, boss), metadata=who.metadata),
            live.teams.ChangeRole(change(team, boss, "member"), metadata=who.metadata),
        ):
            assert await reason(call) == "INSUFFICIENT_PERMISSIONS"
    assert await reason(live.teams.RemoveMember(remove(team, boss), metadata=boss.metadata)) == "CONFLICT"
    assert (
        await reason(live.teams.ChangeRole(change(team, boss, "member"), metadata=boss.metadata))
        == "CONFLICT"
    )
    for who in (team.owner, team.member):
        assert await reason(live.teams.LeaveTeam(leave, metadata=who.metadata)) == "OK"
    # The last one is the Primary Owner.
    assert await reason(live.teams.LeaveTeam(leave, metadata=boss.metadata)) == "CONFLICT"
    assert await live.roles(team.id) == {boss.id: "primary_owner"}


async def test_changes_of_an_account_made_at_once_all_happen(live: Live, team: Team) -> None:
    """Each writes the row that holds the right; two that held it together would wait for each other."""
    ada = team.primary_owner
    requests = [
        pb.UpdateAccountRequest(account_id=str(team.id), name=f"Tide {number}") for number in range(8)
    ]
    found = await asyncio.gather(
        *(reason(live.teams.UpdateAccount(request, metadata=ada.metadata)) for request in requests)
    )
    assert Counter(found) == {"OK": 8}


async def test_teams_made_at_once_are_twenty_at_most(live: Live) -> None:
    ada = await live.person()
    requests = [pb.CreateTeamRequest(name="Many", slug=f"once-{uuid7().hex[-10:]}") for _ in range(40)]
    found = await asyncio.gather(
        *(reason(live.teams.CreateTeam(request, metadata=ada.metadata)) for request in requests)
    )
    assert Counter(found) == {"OK": 20, "PLAN_LIMIT_EXCEEDED": 20}
