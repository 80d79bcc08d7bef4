"""The order of the interceptor stages."""

from __future__ import annotations

import pytest

from kit.clock import SystemClock
from server.keys.allowlist import allows
from server.runtime.identity import KeyHolder
from server.runtime.interceptors.call import Stage
from server.runtime.interceptors.chain import Chain, ChainOrderError
from server.runtime.interceptors.metrics import CallMetrics
from server.runtime.interceptors.standard import standard_chain
from server.runtime.rate_limit import AccountLimits, AuthFailures, ProcessWindows
from server.runtime.service_identity import Identities
from tests.support.nobody import NoMembers, NoSessions

DESIGN = (
    "tracing",
    "recovery",
    "request_log",
    "metrics",
    "deadline",
    "authentication",
    "authorization",
    "rate_limit",
    "validation",
)


class NoKeys:
    async def verify(self, secret: str) -> KeyHolder:
        raise AssertionError("nobody calls")


def chain() -> Chain:
    windows = ProcessWindows(SystemClock())
    return standard_chain(
        keys=NoKeys(),
        sessions=NoSessions(),
        members=NoMembers(),
        identities=Identities(),
        allows=allows,
        limits=AccountLimits(windows, lambda plan: 1),
        failures=AuthFailures(windows, lambda address: address),
        metrics=CallMetrics(),
        address_hash=lambda address: address,
    )


def stages() -> dict[str, Stage]:
    return {stage.name: stage for stage in chain()._stages}


def test_the_chain_has_the_order_of_the_design() -> None:
    assert chain().names == DESIGN


@pytest.mark.parametrize(
    ("stage", "earlier"), [(stage.name, earlier) for stage in chain()._stages for earlier in stage.after]
)
def test_a_stage_that_stands_before_one_it_relies_on_refuses_to_start(stage: str, earlier: str) -> None:
    known = stages()
    order = [name for name in DESIGN if name != stage]
    order.insert(order.index(earlier), stage)
    with pytest.raises(ChainOrderError, match="must run after"):
        Chain([known[name] for name in order])


def test_a_chain_without_a_stage_that_another_relies_on_refuses_to_start() -> None:
    known = stages()
    with pytest.raises(ChainOrderError, match='"authorization" must run after "authentication"'):
        Chain([known["tracing"], known["recovery"], known["authorization"]])


def test_a_stage_that_is_there_twice_refuses_to_start() -> None:
    known = stages()
    with pytest.raises(ChainOrderError, match="there twice"):
        Chain([known["tracing"], known["tracing"]])


def test_every_security_stage_stands_inside_recovery() -> None:
    for name, stage in stages().items():
        if name not in {"tracing", "recovery"}:
            assert "recovery" in stage.after
