"""Keys that members make: who did it stands in the activity, and a new key works at once."""

from __future__ import annotations

from babysea.keys.v1 import key_service_pb2 as pb
from tests.integration.teams.live import Live, Team, bearer, reason


async def test_an_owner_makes_rotates_revokes_and_deletes_a_key_in_the_own_name(
    live: Live, team: Team
) -> None:
    me, account = team.owner.metadata, str(team.id)
    made = await live.keys.CreateKey(
        pb.CreateKeyRequest(account_id=account, name="mine", preset="read_only"), metadata=me
    )
    assert (
        await reason(live.keys.GetCallerKey(pb.GetCallerKeyRequest(), metadata=bearer(made.secret))) == "OK"
    )
    rotated = await live.keys.RotateKey(
        pb.RotateKeyRequest(account_id=account, key_id=made.key.key_id), metadata=me
    )
    assert rotated.key.scopes == made.key.scopes
    for call, request in (
        (live.keys.RevokeKey, pb.RevokeKeyRequest),
        (live.keys.DeleteKey, pb.DeleteKeyRequest),
    ):
        await call(request(account_id=account, key_id=rotated.key.key_id), metadata=me)
    noted = await live.rows(
        "select category || '.' || action as what, actor_person from logs.activity where account_id = $1 order by at, id",
        team.id,
    )
    assert [row["what"] for row in noted] == [
        "api_key.created",
        "api_key.rotated",
        "api_key.revoked",
        "api_key.deleted",
    ]
    assert {row["actor_person"] for row in noted} == {team.owner.id}


async def test_a_key_of_another_team_is_as_absent_as_none(live: Live, team: Team) -> None:
    other = await live.team()
    key_id = str(await live.open_key(other.id))
    for call, request in (
        (live.keys.RevokeKey, pb.RevokeKeyRequest),
        (live.keys.RotateKey, pb.RotateKeyRequest),
        (live.keys.DeleteKey, pb.DeleteKeyRequest),
    ):
        asked = request(account_id=str(team.id), key_id=key_id)
        assert await reason(call(asked, metadata=team.owner.metadata)) == "NOT_FOUND"
    assert (
        await live.rows("select 1 from keys.api_key where id::text = $1 and revoked_at is null", key_id) != []
    )
