"""Invitations: what letters carry, who may accept, and that no answer tells whether somebody has an address."""

from __future__ import annotations

import json
import random
import statistics
import time
from datetime import timedelta

from babysea.accounts.v1 import team_service_pb2 as pb
from kit.ids import uuid7
from server.notifications.posting import LETTER_DATA, LETTER_TO
from tests.integration.teams.live import Live, Team, reason
from tests.support.people import Person, new_person, new_team


def invite(team: Team, email: str, role: str = "member") -> pb.InviteMemberRequest:
    """A request to invite."""
    return pb.InviteMemberRequest(account_id=str(team.id), email=email, role=role)


async def accept(live: Live, person: Person, token: str) -> str:
    """How somebody's acceptance ends."""
    request = pb.AcceptInvitationRequest(token=token)
    return await reason(live.teams.AcceptInvitation(request, metadata=person.metadata))


async def test_an_invited_person_joins_in_the_role_of_the_invitation(live: Live, team: Team) -> None:
    for role in ("owner", "member"):
        guest = await live.person()
        _, token = await live.invitation(team, guest, role)
        preview = await live.teams.GetInvitation(pb.GetInvitationRequest(token=token))
        assert (preview.team_name, preview.role) == ("Test", role)
        joined = await live.teams.AcceptInvitation(
            pb.AcceptInvitationRequest(token=token), metadata=guest.metadata
        )
        assert (joined.account_id, joined.role) == (str(team.id), role)
        assert (await live.roles(team.id))[guest.id] == role
        # The same again changes nothing, and the letter shows nothing any more.
        assert await accept(live, guest, token) == "OK"
        assert await reason(live.teams.GetInvitation(pb.GetInvitationRequest(token=token))) == "NOT_FOUND"
    assert (
        await live.activity(team.id)
        == [
            "invitation.created",
            "invitation.accepted",
            "membership.created",
        ]
        * 2
    )
    rows = await live.rows("select email_ct from accounts.invitation where account_id = $1", team.id)
    assert [row["email_ct"] for row in rows] == [None, None]


async def test_the_letter_holds_the_token_and_says_who_invites_whom_to_what(live: Live, team: Team) -> None:
    guest = await live.person()
    answer = await live.teams.InviteMember(invite(team, guest.email), metadata=team.owner.metadata)
    rows = await live.rows(
        "select id, sealed_by, to_ct, data_ct, person_id from notifications.letter where account_id = $1",
        team.id,
    )
    letter, open_ct = rows[0], live.region.envelope.open
    assert (len(rows), letter["sealed_by"], letter["person_id"]) == (1, team.id, None)
    to = await open_ct(team.id, LETTER_TO, letter["id"], letter["to_ct"])
    data = json.loads(await open_ct(team.id, LETTER_DATA, letter["id"], letter["data_ct"]))
    token = data.pop("token")
    assert to.decode() == guest.email
    assert data == {"team": "Test", "inviter": "The owner", "role": "a member", "days": "7"}
    assert token not in str(answer)
    assert await accept(live, guest, token) == "OK"


async def test_a_letter_is_for_its_address_alone(live: Live, team: Team) -> None:
    guest, thief = await live.person(), await live.person()
    _, token = await live.invitation(team, guest)
    assert await accept(live, thief, token) == "INSUFFICIENT_PERMISSIONS"
    assert await accept(live, guest, token[:-1] + ("a" if token[-1] != "a" else "b")) == "NOT_FOUND"
    assert thief.id not in await live.roles(team.id)
    assert await accept(live, guest, token) == "OK"


async def test_an_invitation_ends_after_seven_days_and_is_renewed_with_another_token(
    live: Live, team: Team
) -> None:
    guest = await live.person()
    invitation_id, token = await live.invitation(team, guest)
    live.clock.at += timedelta(days=6, hours=23)
    assert await reason(live.teams.GetInvitation(pb.GetInvitationRequest(token=token))) == "OK"
    live.clock.at += timedelta(hours=1)
    guest = await _signed_in_again(live, guest)
    owner = await _signed_in_again(live, team.owner)
    assert await accept(live, guest, token) == "CONFLICT"
    listing = pb.ListInvitationsRequest(account_id=str(team.id))
    found = await live.teams.ListInvitations(listing, metadata=owner.metadata)
    assert [(i.email, i.expired, i.renewals) for i in found.invitations] == [(guest.email, True, 0)]
    request = pb.RenewInvitationRequest(account_id=str(team.id), invitation_id=invitation_id)
    renewed = await live.teams.RenewInvitation(request, metadata=owner.metadata)
    assert (renewed.invitation.renewals, renewed.invitation.expired) == (1, False)
    assert await accept(live, guest, token) == "NOT_FOUND"
    assert await accept(live, guest, await live.give_token(invitation_id)) == "OK"
    assert await live.letters(team.id) == ["team.invitation"] * 2


async def test_a_removed_invitation_opens_nothing(live: Live, team: Team) -> None:
    guest = await live.person()
    invitation_id, token = await live.invitation(team, guest)
    request = pb.RemoveInvitationRequest(account_id=str(team.id), invitation_id=invitation_id)
    await live.teams.RemoveInvitation(request, metadata=team.owner.metadata)
    assert await reason(live.teams.RemoveInvitation(request, metadata=team.owner.metadata)) == "NOT_FOUND"
    assert await accept(live, guest, token) == "NOT_FOUND"
    assert (
        await reason(live.teams.InviteMember(invite(team, guest.email), metadata=team.owner.metadata)) == "OK"
    )


async def test_a_removed_member_does_not_come_back_by_the_old_letter(live: Live, team: Team) -> None:
    guest = await live.person()
    _, token = await live.invitation(team, guest)
    assert await accept(live, guest, token) == "OK"
    request = pb.RemoveMemberRequest(account_id=str(team.id), person_id=str(guest.id))
    await live.teams.RemoveMember(request, metadata=team.owner.metadata)
    assert await accept(live, guest, token) == "NOT_FOUND"
    assert guest.id not in await live.roles(team.id)


async def test_nobody_comes_in_by_a_right_that_has_ended(live: Live) -> None:
    for end in ("demoted", "removed", "left"):
        team, guest, renewed = await live.team(), await live.person(), await live.person()
        _, token = await live.invitation(team, guest)
        kept_id, _ = await live.invitation(team, renewed)
        account, boss = str(team.id), team.primary_owner.metadata
        # Another owner stands for it now.
        again = pb.RenewInvitationRequest(account_id=account, invitation_id=kept_id)
        await live.teams.RenewInvitation(again, metadata=boss)
        person_id = str(team.owner.id)
        if end == "demoted":
            change = pb.ChangeRoleRequest(account_id=account, person_id=person_id, role="member")
            await live.teams.ChangeRole(change, metadata=boss)
        elif end == "removed":
            remove = pb.RemoveMemberRequest(account_id=account, person_id=person_id)
            await live.teams.RemoveMember(remove, metadata=boss)
        else:
            await live.teams.LeaveTeam(pb.LeaveTeamRequest(account_id=account), metadata=team.owner.metadata)
        assert await accept(live, guest, token) == "NOT_FOUND", end
        assert await accept(live, renewed, await live.give_token(kept_id)) == "OK", end


async def test_nobody_joins_a_restricted_or_frozen_team(live: Live, team: Team) -> None:
    guest = await live.person()
    _, token = await live.invitation(team, guest)
    for standing in ("restricted", "frozen"):
        await live.set_standing(team.id, standing)
        assert await accept(live, guest, token) == "ACCOUNT_RESTRICTED"
    await live.set_standing(team.id, "active")
    assert await accept(live, guest, token) == "OK"


async def test_another_teams_invitation_is_as_absent_as_none(live: Live, team: Team) -> None:
    other = await live.team()
    invitation_id, _ = await live.invitation(other, await live.person())
    for request, call in (
        (pb.RenewInvitationRequest, live.teams.RenewInvitation),
        (pb.RemoveInvitationRequest, live.teams.RemoveInvitation),
    ):
        for wanted in (invitation_id, str(uuid7())):
            asked = request(account_id=str(team.id), invitation_id=wanted)
            assert await reason(call(asked, metadata=team.owner.metadata)) == "NOT_FOUND"
    update = pb.UpdateInvitationRequest(account_id=str(team.id), invitation_id=invitation_id, role="owner")
    assert await reason(live.teams.UpdateInvitation(update, metadata=team.owner.metadata)) == "NOT_FOUND"


async def test_one_address_has_one_open_invitation_and_no_member_is_invited(live: Live, team: Team) -> None:
    me = team.owner.metadata
    assert await reason(live.teams.InviteMember(invite(team, "Guest@Example.com"), metadata=me)) == "OK"
    assert await reason(live.teams.InviteMember(invite(team, "guest@example.COM"), metadata=me)) == "CONFLICT"
    assert await reason(live.teams.InviteMember(invite(team, team.member.email), metadata=me)) == "CONFLICT"
    assert await reason(live.teams.InviteMember(invite(team, "nobody"), metadata=me)) == "INVALID_INPUT"


async def test_one_address_gets_ten_letters_a_day(live: Live) -> None:
    guest = await live.person()
    for number in range(11):
        team = await live.team()
        call = live.teams.InviteMember(invite(team, guest.email), metadata=team.owner.metadata)
        assert await reason(call) == ("OK" if number < 10 else "RATE_LIMIT_EXCEEDED")


async def test_whoever_makes_team_after_team_writes_no_more_letters_for_it(live: Live) -> None:
    ada = await live.person()
    key = live.region.envelope.keyed_hash("attempt.invitations.person", ada.id.bytes)
    for letters, expected in ((0, "OK"), (299, "OK"), (300, "RATE_LIMIT_EXCEEDED")):
        await live.execute("update accounts.attempt set count = $2 where key = $1", key, letters)
        team = await new_team(live.region, ada.id)
        request = pb.InviteMemberRequest(account_id=str(team), email="guest@example.com", role="member")
        assert await reason(live.teams.InviteMember(request, metadata=ada.metadata)) == expected


async def test_no_token_and_no_address_is_stored_readably(live: Live, team: Team) -> None:
    _, token = await live.invitation(team, await new_person(live.region, email="very.readable@example.com"))
    for table in ("accounts.invitation", "notifications.letter", "logs.activity"):
        text = "".join(str(row[0]) for row in await live.rows(f"select t::text from {table} t"))
        hexed = text.lower()
        for secret in ("very.readable@example.com", token):
            assert secret not in text
            assert secret.encode().hex() not in hexed


async def test_an_answer_and_its_time_do_not_tell_whether_somebody_has_the_address(live: Live) -> None:
    # The inviter learns an id and times; everything else is what the inviter wrote.
    times: dict[bool, list[float]] = {True: [], False: []}
    answers: dict[bool, list[pb.InviteMemberResponse]] = {True: [], False: []}
    order = [True, False] * 50
    random.Random(7).shuffle(order)
    team = await live.team()
    for known in order:
        email = f"p{uuid7().hex}@example.com"
        # Somebody is made either way, so that only the address differs.
        await new_person(live.region, email=email if known else f"other{email}")
        began = time.perf_counter()
        answer = await live.teams.InviteMember(invite(team, email), metadata=team.owner.metadata)
        times[known].append(time.perf_counter() - began)
        answer.invitation.email = answer.invitation.invitation_id = ""
        answers[known].append(answer)
    assert all(answer == answers[True][0] for answer in answers[True] + answers[False])
    slower = sum(k > u for k in times[True] for u in times[False]) / (50 * 50)
    print(f"a known address took longer than an unknown one in {slower:.0%} of all pairs")
    for known, spent in times.items():
        quartiles = [f"{q * 1000:.1f}" for q in statistics.quantiles(spent, n=4)]
        print(f"invitation of {'a known' if known else 'an unknown'} address, quartiles in ms: {quartiles}")


async def _signed_in_again(live: Live, person: Person) -> Person:
    from tests.support.people import new_session

    token = await new_session(live.region, person.id, now=live.clock.now())
    return Person(person.id, person.email, person.name, token)
