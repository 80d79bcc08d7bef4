"""An attempt of several calls: each is made once, and what some deliver is delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1.generation_service_pb2 import CreateGenerationRequest
from kit.ids import uuid7
from server.catalog import load_catalog
from server.catalog.types import ProviderInfo
from server.generation.request import normalise
from server.providers.fan_out import FanOut, shares_of
from server.providers.protocol import (
    Accepted,
    CallbackFacts,
    CallbackRefused,
    CanceledUpstream,
    CancelOutcome,
    Done,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Job,
    Lost,
    NotSent,
    Pending,
    Progress,
    ProviderRef,
    ProviderUnreachable,
    Refused,
    RemoteOutput,
    Submission,
    Unknown,
    believed,
)

_CATALOG = load_catalog()
_IMAGE = "bfl/flux-schnell"


def _fault(kind: FaultKind = FaultKind.PROVIDER) -> Fault:
    return Fault(kind, error_reason_pb2.ERROR_REASON_PROVIDER_ERROR, "A sentence.")


def _finished(name: str, cost: int | None = 5, seconds: float | None = 1.0) -> Finished:
    return Finished((RemoteOutput(f"https://files.example/{name}", None),), seconds, cost)


class Scripted:
    """A provider that answers what it is told to, call by call."""

    def __init__(self, answers: Sequence[object]) -> None:
        self.answers = list(answers)
        self.asked: list[object] = []
        self.seeds: list[object] = []

    @property
    def capabilities(self) -> ProviderInfo:
        return _CATALOG.provider("fal")

    async def submit(self, job: Job) -> Submission:
        self.seeds.append(job.request.extras.get("seed"))
        return self._next(job.outputs)  # type: ignore[return-value]

    async def poll(self, ref: ProviderRef) -> Progress:
        return self._next(ref.job_id)  # type: ignore[return-value]

    async def cancel(self, ref: ProviderRef) -> CancelOutcome:
        return self._next(ref.job_id)  # type: ignore[return-value]

    async def find(self, job: Job, since: datetime) -> tuple[ProviderRef, ...] | None:
        return self._next(job.outputs)  # type: ignore[return-value]

    async def verify_callback(self, headers: Mapping[str, str], body: bytes, secret: str) -> CallbackFacts:
        raise CallbackRefused("unsupported")

    def _next(self, asked: object) -> object:
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _job(outputs: int, per_call: int, **extras: float) -> Job:
    model = _CATALOG.model(_IMAGE)
    message = CreateGenerationRequest(
        model_identifier=_IMAGE, media=model.media_value, prompt="a red cube", output_number=outputs
    )
    message.extras.update(extras)
    provider_model = replace(model.providers[0], outputs_per_call=per_call)
    return Job(uuid7(), normalise(_CATALOG, message), model, provider_model)


def _ref(*names: str) -> ProviderRef:
    return ProviderRef(names[0], {}, tuple(ProviderRef(name, {}) for name in names))


def _refs(count: int) -> list[Submission]:
    return [Accepted(ProviderRef(f"job-{number}", {"a": "b"})) for number in range(count)]


@pytest.mark.parametrize(
    ("outputs", "per_call", "shares"),
    [(4, 0, (4,)), (4, 4, (4,)), (4, 1, (1, 1, 1, 1)), (4, 3, (3, 1)), (1, 1, (1,)), (3, 10, (3,))],
)
def test_calls_share_the_outputs(outputs: int, per_call: int, shares: tuple[int, ...]) -> None:
    assert shares_of(outputs, per_call) == shares


async def test_a_provider_that_takes_the_count_is_called_once_with_all_of_it() -> None:
    provider = Scripted(_refs(1))
    assert await FanOut(provider).submit(_job(3, 0)) == Accepted(ProviderRef("job-0", {"a": "b"}))
    assert provider.asked == [3]


async def test_every_call_is_made_once_and_the_jobs_are_one_reference_that_survives_storage() -> None:
    provider = Scripted(_refs(3))
    answer = await FanOut(provider).submit(_job(3, 1))
    assert isinstance(answer, Accepted)
    assert provider.asked == [1, 1, 1]
    assert [part.job_id for part in answer.ref.parts] == ["job-0", "job-1", "job-2"]
    assert ProviderRef.from_json(answer.ref.to_json()) == answer.ref


@pytest.mark.parametrize(
    ("outputs", "per_call", "seed", "seeds"),
    [
        (4, 1, 7, [7, 8, 9, 10]),
        (4, 3, 7, [7, 10]),
        (4, 0, 7, [7]),
        (1, 1, 7, [7]),
        (3, 1, 0, [0, 1, 2]),
        (3, 1, 2147483646, [2147483646, 2147483647, 0]),
    ],
)
async def test_calls_of_one_seed_count_on_from_it_so_that_no_picture_is_made_twice(
    outputs: int, per_call: int, seed: int, seeds: list[int]
) -> None:
    provider = Scripted(_refs(4))
    job = _job(outputs, per_call, seed=seed)
    await FanOut(provider).submit(job)
    assert provider.seeds == seeds
    assert job.request.extras["seed"] == seed


async def test_without_a_seed_no_call_has_one() -> None:
    provider = Scripted(_refs(3))
    await FanOut(provider).submit(_job(3, 1))
    assert provider.seeds == [None] * 3


async def test_calls_that_did_their_work_at_once_are_one_finished_job() -> None:
    dones = [Done(ProviderRef(str(number), {}), _finished(str(number))) for number in range(2)]
    answer = await FanOut(Scripted(dones)).submit(_job(2, 1))
    assert isinstance(answer, Done)
    assert len(answer.finished.outputs) == 2
    assert answer.finished.cost_micros == 10


@pytest.mark.parametrize(
    "missing",
    [Unknown(_fault()), Refused(_fault(FaultKind.CONTENT_POLICY)), NotSent(_fault()), RuntimeError("bug")],
)
async def test_what_some_calls_started_goes_on_without_the_others(missing: object) -> None:
    answer = await FanOut(Scripted([missing, *_refs(1)])).submit(_job(2, 1))
    assert isinstance(answer, Accepted)
    assert [part.job_id for part in answer.ref.parts] == ["job-0"]
    done = Done(ProviderRef("1", {}), _finished("1"))
    partial = await FanOut(Scripted([missing, done])).submit(_job(2, 1))
    assert isinstance(partial, Done)
    assert len(partial.finished.outputs) == 1


@pytest.mark.parametrize("doubt", [Unknown(_fault()), RuntimeError("bug")])
async def test_one_call_in_doubt_makes_an_attempt_without_any_job_unknown(doubt: object) -> None:
    answer = await FanOut(Scripted([Refused(_fault()), doubt, NotSent(_fault())])).submit(_job(3, 1))
    assert isinstance(answer, Unknown)


async def test_calls_that_were_all_refused_are_refused_for_the_gravest_reason() -> None:
    policy = Refused(_fault(FaultKind.CONTENT_POLICY))
    answer = await FanOut(Scripted([Refused(_fault()), policy])).submit(_job(2, 1))
    assert answer == policy
    unsent = NotSent(_fault())
    assert await FanOut(Scripted([unsent, unsent])).submit(_job(2, 1)) == unsent


async def test_parts_are_over_when_all_are_and_what_is_ready_is_told_before() -> None:
    states = [Pending(2.0), _finished("1")]
    # Only what still goes on may have to be stopped.
    rest = ProviderRef("1", {}, (ProviderRef("1", {}),))
    assert await FanOut(Scripted(states)).poll(_ref("1", "2")) == Pending(2.0, _finished("1"), rest)
    assert await FanOut(Scripted([Pending(1.0), Pending(3.0)])).poll(_ref("1", "2")) == Pending(3.0)
    both = await FanOut(Scripted([_finished("1", 5, 1.0), _finished("2", 7, 3.0)])).poll(_ref("1", "2"))
    assert isinstance(both, Finished)
    assert (len(both.outputs), both.cost_micros, both.run_seconds) == (2, 12, 3.0)


@pytest.mark.parametrize("bad", [Failed(_fault()), CanceledUpstream()])
async def test_a_part_that_failed_leaves_what_the_others_made(bad: Progress) -> None:
    assert await FanOut(Scripted([bad, _finished("2")])).poll(_ref("1", "2")) == _finished("2")


async def test_a_cost_is_known_only_when_every_part_names_one() -> None:
    both = await FanOut(Scripted([_finished("1", None), _finished("2", 7)])).poll(_ref("1", "2"))
    assert isinstance(both, Finished)
    assert both.cost_micros is None


async def test_parts_that_all_ended_without_an_output_ended_by_the_gravest_fault() -> None:
    policy = Failed(_fault(FaultKind.CONTENT_POLICY))
    assert await FanOut(Scripted([Failed(_fault()), policy])).poll(_ref("1", "2")) == policy
    lost = Lost(_fault())
    assert await FanOut(Scripted([lost, lost])).poll(_ref("1", "2")) == lost
    canceled = CanceledUpstream()
    assert await FanOut(Scripted([canceled, canceled])).poll(_ref("1", "2")) == canceled


@pytest.mark.parametrize(
    ("beside", "others"),
    [
        (_finished("2"), replace(_finished("2"), cost_micros=12, unseen=1)),
        (_finished("2", None), replace(_finished("2", None), unseen=1)),
        (Failed(_fault()), Failed(_fault(), may_be_billed=True)),
        (CanceledUpstream(), CanceledUpstream(may_be_billed=True)),
    ],
)
async def test_a_lost_part_is_told_with_what_became_of_the_others(beside: Progress, others: Progress) -> None:
    parts = (ProviderRef("1", {}, cost_micros=7), ProviderRef("2", {}))
    progress = await FanOut(Scripted([Lost(_fault()), beside])).poll(ProviderRef("1", {}, parts))
    assert progress == Lost(_fault(), others)  # type: ignore[arg-type]
    assert believed(progress) == others


@pytest.mark.parametrize(
    ("named", "beside", "together"),
    [
        (7, _finished("2"), replace(_finished("2"), cost_micros=12, unseen=1)),
        (None, _finished("2"), replace(_finished("2", None), unseen=1)),
        (7, Failed(_fault()), Failed(_fault(), may_be_billed=True)),
        (7, CanceledUpstream(), CanceledUpstream(may_be_billed=True)),
    ],
)
async def test_what_a_stopped_part_may_be_billed_for_is_not_forgotten(
    named: int | None, beside: Progress, together: Progress
) -> None:
    parts = (ProviderRef("1", {}, cost_micros=named), ProviderRef("2", {}))
    stopped = CanceledUpstream(may_be_billed=True)
    assert await FanOut(Scripted([stopped, beside])).poll(ProviderRef("1", {}, parts)) == together


async def test_a_part_that_gives_no_answer_is_waited_for_and_all_of_them_are_unreachable() -> None:
    away = ProviderUnreachable(_fault())
    waiting = await FanOut(Scripted([away, _finished("2")])).poll(_ref("1", "2"))
    assert isinstance(waiting, Pending)
    assert waiting.ready == _finished("2")
    with pytest.raises(ProviderUnreachable):
        await FanOut(Scripted([away, away])).poll(_ref("1", "2"))


async def test_a_part_that_is_limited_is_left_alone_for_as_long_as_the_provider_asks() -> None:
    away = ProviderUnreachable(_fault())
    limited = ProviderUnreachable(replace(_fault(FaultKind.THROTTLED), retry_after=60.0))
    waiting = await FanOut(Scripted([limited, Pending(1.0)])).poll(_ref("1", "2"))
    assert waiting == Pending(60.0)
    with pytest.raises(ProviderUnreachable) as caught:
        await FanOut(Scripted([away, limited])).poll(_ref("1", "2"))
    assert caught.value.fault.retry_after == 60.0


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        ((CancelOutcome.SENT_CONFIRMED, CancelOutcome.SENT_CONFIRMED), CancelOutcome.SENT_CONFIRMED),
        ((CancelOutcome.SENT_CONFIRMED, CancelOutcome.ALREADY_FINAL), CancelOutcome.ALREADY_FINAL),
        ((CancelOutcome.SENT_UNCONFIRMED, CancelOutcome.ALREADY_FINAL), CancelOutcome.SENT_UNCONFIRMED),
        ((CancelOutcome.FAILED, CancelOutcome.SENT_CONFIRMED), CancelOutcome.FAILED),
        ((CancelOutcome.NOT_SUPPORTED, CancelOutcome.ALREADY_FINAL), CancelOutcome.NOT_SUPPORTED),
    ],
)
async def test_a_job_is_stopped_only_when_all_of_its_parts_are(
    outcomes: tuple[CancelOutcome, ...], word: CancelOutcome
) -> None:
    provider = Scripted(outcomes)
    assert await FanOut(provider).cancel(_ref("1", "2")) is word
    assert provider.asked == ["1", "2"]


async def test_jobs_of_one_call_are_looked_for_and_those_of_several_cannot_be_told_apart() -> None:
    found = (ProviderRef("1", {}),)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    provider = Scripted([found])
    assert await FanOut(provider).find(_job(2, 0), now) == found
    assert provider.asked == [2]
    assert await FanOut(Scripted([])).find(_job(2, 1), now) is None
