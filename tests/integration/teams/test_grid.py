"""The grid of section 13: every act by every role, in the own team and in another one, against a running server."""

from __future__ import annotations

from babysea.common.v1 import error_reason_pb2
from babysea.options.v1 import options_pb2
from server.generation import store
from tests.integration.isolation.tenants import Tenant, admission
from tests.integration.teams.acts import ACTS, Act, call, method_of, request_of, wire_path
from tests.integration.teams.live import ROLES, Live, Team, bearer, reason
from tests.integration.teams.rpcs import every_rpc

ACCOUNT_RESTRICTED = "ACCOUNT_RESTRICTED"


async def outcome(live: Live, act: Act, actor: Team, role: str, target: Team) -> str:
    """How an act of somebody in a role of one team ends in a team, the same or another."""
    request = await request_of(live, act, target, role)
    return await reason(call(live, method_of(act.path), actor[role].metadata, request))


def title(act: Act) -> str:
    """A row's name."""
    return f"{act.area}: {act.name}"


async def test_every_act_by_every_role_ends_as_the_contract_says(live: Live) -> None:
    mine, other = await live.team(), await live.team()
    found: dict[tuple[str, str, str], str] = {}
    wanted: dict[tuple[str, str, str], str] = {}
    for act in ACTS:
        for role in ROLES:
            own = await live.team() if act.ends_team else mine
            found[title(act), role, "other"] = await outcome(live, act, own, role, other)
            found[title(act), role, "own"] = await outcome(live, act, own, role, own)
            wanted[title(act), role, "other"] = "ACCOUNT_NOT_FOUND"
            wanted[title(act), role, "own"] = act.outcome[role]
    for act in ACTS:
        cells = [f"{found[title(act), role, place]:<26}" for place in ("own", "other") for role in ROLES]
        print(f"{title(act):<50}", *cells)
    assert found == wanted
    assert len(found) == len(ACTS) * len(ROLES) * 2


async def test_every_method_with_a_permission_has_a_row(live: Live) -> None:
    in_grid = {wire_path(method_of(act.path)) for act in ACTS}
    with_permission = {
        wire_path(method)
        for method in every_rpc(live.server)
        if method.GetOptions().Extensions[options_pb2.access].permission
    }
    assert with_permission == in_grid


async def test_an_unknown_team_and_a_strangers_one_are_refused_alike(live: Live, team: Team) -> None:
    from kit.ids import uuid7

    stranger = await live.person()
    for act in ACTS:
        method, request = method_of(act.path), await request_of(live, act, team, "member")
        answers = []
        for account_id in (str(team.id), str(uuid7()), "no id", ""):
            request.account_id = account_id  # type: ignore[attr-defined]
            answers.append(await _whole(live, method, stranger.metadata, request))
        assert len(set(answers)) == 1, title(act)
        assert answers[0][0] == "ACCOUNT_NOT_FOUND"


async def test_a_restricted_account_winds_down_and_a_frozen_one_only_looks(live: Live) -> None:
    found, wanted = {}, {}
    for standing in ("restricted", "frozen"):
        mine = await live.team()
        for act in ACTS:
            team = await live.team() if act.ends_team else mine
            role = "owner" if act.name == "leave" else "primary_owner"
            request = await request_of(live, act, team, role)
            await live.set_standing(team.id, standing)
            ended = await reason(call(live, method_of(act.path), team[role].metadata, request))
            if not act.ends_team:
                await live.set_standing(team.id, "active")
            found[title(act), standing] = ended
            is_open = act.restricted if standing == "restricted" else act.frozen
            wanted[title(act), standing] = act.outcome[role] if is_open else ACCOUNT_RESTRICTED
    for act in ACTS:
        print(f"{title(act):<50}", *(f"{found[title(act), s]:<22}" for s in ("restricted", "frozen")))
    assert found == wanted


async def test_a_key_of_a_restricted_or_frozen_account_reads_and_admission_refuses(
    live: Live, team: Team
) -> None:
    secret = await live.key(team.id)
    tenant = Tenant(team.id, await live.open_key(team.id), team.id, team.id, team.primary_owner)
    for standing in ("restricted", "frozen"):
        await live.set_standing(team.id, standing)
        live.server.shared.verifier.forget(secret.split("_")[2][:12])
        for method in every_rpc(live.server):
            access = method.GetOptions().Extensions[options_pb2.access]
            if options_pb2.CUSTOMER not in access.audience:
                continue
            ended = await reason(live.empty_call(method, bearer(secret)))
            writes = access.scope.endswith((":write", ":delete"))
            assert (ended == ACCOUNT_RESTRICTED) == writes, (method.full_name, standing, ended)
        # A request that was let in a moment before is stopped by the money's own lock.
        verdicts = await store.admit_many(live.region.databases.admitter, [admission(tenant, team.id)])
        assert [verdict.word for verdict in verdicts] == ["frozen"]
    await live.set_standing(team.id, "active")
    live.server.shared.verifier.forget(secret.split("_")[2][:12])
    assert await live.rows("select 1 from ledger.account where id = $1 and frozen", team.id) == []


async def _whole(live: Live, method: object, metadata: object, request: object) -> tuple[str, str, str]:
    import grpc

    from kit.rpc import error_of

    try:
        await call(live, method, metadata, request)  # type: ignore[arg-type]
    except grpc.aio.AioRpcError as failed:
        error = error_of(failed)
        assert error.reason != error_reason_pb2.ERROR_REASON_INTERNAL_ERROR
        return error.spec.name, error.message, str(sorted(error.details.items()))
    return "OK", "", ""
