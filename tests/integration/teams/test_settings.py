"""Settings of accounts: alerts, residency, and how an account stands."""

from __future__ import annotations

from typing import Any

from babysea.accounts.v1 import settings_service_pb2 as pb
from kit.ids import uuid7
from tests.integration.teams.live import PASSWORD, Live, Team, reason


async def alerts(live: Live, team: Team) -> tuple[list[int], bool, bool, bool]:
    """Thresholds and channels as a member sees them."""
    request = pb.GetAlertsRequest(account_id=str(team.id))
    found = (await live.settings.GetAlerts(request, metadata=team.member.metadata)).alerts
    return list(found.threshold_micros), found.in_app, found.email, found.webhook


async def update(live: Live, team: Team, thresholds: list[int], **channels: bool) -> str:
    """How an update by the Primary Owner ends."""
    fields: dict[str, Any] = {"account_id": str(team.id), "threshold_micros": thresholds, **channels}
    call = live.settings.UpdateAlerts(pb.UpdateAlertsRequest(**fields), metadata=team.primary_owner.metadata)
    return await reason(call)


async def test_every_account_begins_with_one_threshold_of_fifty_cents(live: Live, team: Team) -> None:
    assert await alerts(live, team) == ([500_000], True, True, False)


async def test_alerts_are_replaced_and_channels_change_one_by_one(live: Live, team: Team) -> None:
    assert await update(live, team, [5_000_000, 500_000, 1], webhook=True) == "OK"
    assert await alerts(live, team) == ([1, 500_000, 5_000_000], True, True, True)
    assert await update(live, team, [], email=False) == "OK"
    assert await alerts(live, team) == ([], True, False, True)
    for bad in ([0], [-1], list(range(1, 12)), [7, 7]):
        assert await update(live, team, bad) in {"INVALID_INPUT", "PARAMETER_OUT_OF_RANGE"}
    assert await update(live, team, list(range(1, 11))) == "OK"
    # The same again is no change, and no activity.
    assert await update(live, team, list(range(1, 11))) == "OK"
    assert await live.activity(team.id) == ["account.alerts_changed"] * 3


async def test_a_threshold_that_stays_keeps_its_state_and_one_that_returns_never_repeats_a_crossing(
    live: Live,
) -> None:
    team = await live.team(credit=1)
    worker = await live.region.connect("babysea_worker")
    crossing = "select crossing from notifications.cross_thresholds($1)"
    try:
        first = await worker.fetchval(crossing, team.id)
        assert first is not None
        assert await update(live, team, [500_000, 900_000]) == "OK"
        rows = await live.rows(
            "select threshold_micros, armed from accounts.alert_threshold where account_id = $1 order by 1",
            team.id,
        )
        assert [tuple(row) for row in rows] == [(500_000, False), (900_000, True)]
        assert await update(live, team, []) == "OK"
        assert await update(live, team, [500_000]) == "OK"
        assert await worker.fetchval(crossing, team.id) > first
    finally:
        await worker.close()


async def test_residency_is_what_admission_reads(live: Live, team: Team) -> None:
    def request(**fields: Any) -> pb.UpdateSettingsRequest:
        return pb.UpdateSettingsRequest(account_id=str(team.id), **fields)

    me = team.primary_owner.metadata
    for residency in ("strict", "strict", "best_effort"):
        answer = await live.settings.UpdateSettings(request(residency=residency), metadata=me)
        assert answer.settings.residency == residency
        rows = await live.rows("select residency from ledger.account where id = $1", team.id)
        assert rows[0]["residency"] == residency
    assert (
        await reason(live.settings.UpdateSettings(request(residency="mars"), metadata=me)) == "INVALID_INPUT"
    )
    assert (await live.settings.UpdateSettings(request(), metadata=me)).settings.residency == "best_effort"
    assert await live.activity(team.id) == ["account.residency_changed"] * 2


async def test_a_standing_is_noted_with_its_reason_and_its_owners_get_letters(live: Live, team: Team) -> None:
    def request(standing: str, account: str = str(team.id), why: str = "abuse") -> pb.SetStandingRequest:
        return pb.SetStandingRequest(account_id=account, standing=standing, reason=why)

    for standing, frozen, changed in (
        ("restricted", True, True),
        ("restricted", True, False),
        ("frozen", True, True),
        ("active", False, True),
    ):
        answer = await live.settings.SetStanding(request(standing), metadata=live.operator)
        assert (answer.standing, answer.changed) == (standing, changed)
        rows = await live.rows(
            "select a.standing, a.restricted, l.frozen from accounts.account a join ledger.account l using (id) where id = $1",
            team.id,
        )
        assert tuple(rows[0]) == (standing, frozen, frozen)
    # Primary Owner and owner, three times.
    assert await live.letters(team.id) == ["account.standing_changed"] * 6
    noted = await live.rows(
        "select details ->> 'to' as standing, details ->> 'reason' as why from logs.activity where account_id = $1",
        team.id,
    )
    assert sorted(tuple(row) for row in noted) == [
        ("active", "abuse"),
        ("frozen", "abuse"),
        ("restricted", "abuse"),
    ]
    unknown = request("frozen", str(uuid7()))
    assert await reason(live.settings.SetStanding(unknown, metadata=live.operator)) == "ACCOUNT_NOT_FOUND"
    nonsense = request("frozen", why="because")
    assert await reason(live.settings.SetStanding(nonsense, metadata=live.operator)) == "INVALID_INPUT"


async def test_a_deleted_team_is_not_freed_again(live: Live, team: Team) -> None:
    from babysea.accounts.v1 import team_service_pb2

    delete = team_service_pb2.DeleteTeamRequest(account_id=str(team.id), slug=team.slug, password=PASSWORD)
    await live.teams.DeleteTeam(delete, metadata=team.primary_owner.metadata)
    request = pb.SetStandingRequest(account_id=str(team.id), standing="active", reason="resolved")
    assert await reason(live.settings.SetStanding(request, metadata=live.operator)) == "ACCOUNT_NOT_FOUND"
