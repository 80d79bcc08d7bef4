"""Looking for the job of a submit without an answer: found only when it is ours, absent only when that is proven."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from kit.clock import FixedClock
from server.providers.alibaba import Alibaba
from server.providers.arrival import arrival_of
from server.providers.http import Answer
from server.providers.mapping import native_parameters
from server.providers.protocol import Job, ProviderRef, ProviderUnreachable
from server.providers.replicate import Replicate
from tests.integration.providers.native import Provider, Sent, answered, says

NOW = datetime(2026, 11, 22, 12, 0, 0, 400_000, UTC)
CLOCK = FixedClock(NOW)
SINCE = NOW - timedelta(seconds=45)
REPLICATE = Provider("replicate", lambda http, info: Replicate(http, info, CLOCK))
ALIBABA = Provider("alibabacloud", lambda http, info: Alibaba(http, info, CLOCK), below="/api/v1")
PAGE = 100
FLUX_SCHNELL = "black-forest-labs/flux-schnell"
SKEWS = pytest.mark.parametrize("skew", [-300.0, -3.0, 0.0, 3.0, 300.0])


def dated(body: object, skew: float) -> bytes:
    """An answer by a clock that differs so much from ours."""
    date = format_datetime((NOW + timedelta(seconds=skew)).replace(microsecond=0), usegmt=True)
    return says(body, "200 OK", f"date: {date}")


def _answer(*headers: tuple[str, str]) -> Answer:
    return Answer(200, httpx.Headers(list(headers)), {})


@SKEWS
def test_the_date_of_an_answer_tells_the_providers_clock(skew: float) -> None:
    their_now = (NOW + timedelta(seconds=skew)).replace(microsecond=0)
    arrival = arrival_of(_answer(("date", format_datetime(their_now, usegmt=True))), SINCE, NOW)
    true_moment = SINCE + timedelta(seconds=skew)
    assert arrival.earliest <= true_moment
    assert true_moment - arrival.earliest < timedelta(seconds=15)


@pytest.mark.parametrize(
    "date",
    [
        *("", "yesterday", "2026-11-22", "Sun, 22 Nov 2026 12:00:00 -0000", "Mon, 01 Jan 0001 00:00:00 GMT"),
        *("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +99999999999999"),
    ],
)
def test_without_a_usable_date_the_clocks_may_differ_by_minutes(date: str) -> None:
    assert arrival_of(_answer(("date", date)), SINCE, NOW).earliest == SINCE - timedelta(minutes=5)


def test_a_submit_in_our_future_is_one_of_now() -> None:
    answer = _answer(("date", format_datetime(NOW.replace(microsecond=0), usegmt=True)))
    later = arrival_of(answer, NOW + timedelta(seconds=30), NOW)
    assert later.earliest <= NOW


class Predictions:
    """Replicate's list, newest first, of jobs that came at an even pace."""

    def __init__(self, per_second: float, skew: float, *, back: float, dates: bool = True) -> None:
        self.skew = skew
        self.dates = dates
        self.asked = 0
        newest = NOW + timedelta(seconds=skew)
        self.entries: list[dict[str, Any]] = [
            self.entry(f"other{number}", newest - timedelta(seconds=number / per_second), {"prompt": "other"})
            for number in range(int(back * per_second))
        ]

    @staticmethod
    def entry(
        job_id: str, made: datetime, given: dict[str, Any], model: str = FLUX_SCHNELL
    ) -> dict[str, Any]:
        return {
            "id": job_id,
            "model": model,
            "input": given,
            "created_at": made.isoformat().replace("+00:00", "Z"),
        }

    def add(self, job: Job, made: datetime) -> None:
        """One more, with the very input of a job."""
        given = native_parameters(job.model, job.provider_model, job.request, job.outputs)
        self.add_input("wanted", made, given)

    def add_input(
        self, job_id: str, made: datetime, given: dict[str, Any], model: str = FLUX_SCHNELL
    ) -> None:
        """One more, with any input."""
        self.entries.append(self.entry(job_id, made, given, model))
        self.entries.sort(key=lambda entry: str(entry["created_at"]), reverse=True)

    def __call__(self, request: Sent, url: str) -> bytes:
        self.asked += 1
        start = int(parse_qs(urlsplit(request.path).query).get("cursor", ["0"])[0])
        more = start + PAGE < len(self.entries)
        body = {
            "results": self.entries[start : start + PAGE],
            "next": f"{url}/v1/predictions?cursor={start + PAGE}" if more else None,
        }
        return dated(body, self.skew) if self.dates else says(body)


@SKEWS
async def test_replicate_proves_at_thirty_submits_a_second_that_a_job_never_arrived(skew: float) -> None:
    predictions = Predictions(30, skew, back=400)
    async with answered(predictions) as url, REPLICATE.at(url) as adapter:
        assert await adapter.find(REPLICATE.job("bfl/flux-schnell"), SINCE) == ()
    assert predictions.asked <= 20


@SKEWS
@pytest.mark.parametrize("later", [0.0, 0.7, 30.0])
async def test_replicate_finds_a_job_whatever_its_clock_says(skew: float, later: float) -> None:
    predictions = Predictions(20, skew, back=400)
    job = REPLICATE.job("bfl/flux-schnell")
    predictions.add(job, SINCE + timedelta(seconds=skew + later))
    async with answered(predictions) as url, REPLICATE.at(url) as adapter:
        assert await adapter.find(job, SINCE) == (ProviderRef("wanted", {}),)


@pytest.mark.parametrize("skew", [-280.0, 280.0])
async def test_replicate_without_a_date_looks_back_for_minutes(skew: float) -> None:
    predictions = Predictions(2, skew, back=900, dates=False)
    job = REPLICATE.job("bfl/flux-schnell")
    predictions.add(job, SINCE + timedelta(seconds=skew))
    async with answered(predictions) as url, REPLICATE.at(url) as adapter:
        assert await adapter.find(job, SINCE) == (ProviderRef("wanted", {}),)


async def test_replicate_has_no_answer_when_it_could_not_look_back_far_enough() -> None:
    predictions = Predictions(100, 0.0, back=100)
    job = REPLICATE.job("bfl/flux-schnell")
    # It may be another attempt's, while ours stands further back.
    predictions.add(job, NOW - timedelta(seconds=1))
    async with answered(predictions) as url, REPLICATE.at(url) as adapter:
        assert await adapter.find(job, SINCE) is None


async def found_beside(*additions: dict[str, Any], after: float = 1.0) -> tuple[ProviderRef, ...] | None:
    """What is found of a request without files where there are predictions of its input and of these additions."""
    job = REPLICATE.job("bfl/flux-2-pro")
    ours = native_parameters(job.model, job.provider_model, job.request, job.outputs)
    predictions = Predictions(1, 0.0, back=120)
    for number, more in enumerate(additions):
        made = SINCE + timedelta(seconds=after + number)
        predictions.add_input(f"p{number}", made, ours | more, job.provider_model.path)
    async with answered(predictions) as url, REPLICATE.at(url) as adapter:
        return await adapter.find(job, SINCE)


@pytest.mark.parametrize(
    "more",
    [
        {"input_images": ["https://8.8.8.8/private.png"]},
        {"input_images": ["removed"]},
        {"mask": "https://8.8.8.8/private.png"},
        {"mask": "data:image/png;base64,AAAA"},
        {"style": {"references": [{"uri": "HTTPS://8.8.8.8/private.png"}]}},
    ],
)
async def test_a_prediction_of_somebodys_picture_is_never_that_of_a_request_without_one(
    more: dict[str, Any],
) -> None:
    assert await found_beside(more) == ()
    assert await found_beside(more, {}) == (ProviderRef("p1", {}),)


@pytest.mark.parametrize(
    "more",
    [
        {"go_fast": True, "megapixels": "1"},
        {"input_images": []},
        {"input_images": None, "seed": None, "mask": ""},
    ],
)
async def test_defaults_of_what_no_request_of_ours_says_do_not_hide_our_prediction(
    more: dict[str, Any],
) -> None:
    assert await found_beside(more) == (ProviderRef("p0", {}),)


@pytest.mark.parametrize("more", [{"seed": 42}, {"output_quality": 80}, {"seed": 1, "go_fast": True}])
async def test_an_addition_that_is_a_default_or_somebodys_choice_leaves_the_question_open(
    more: dict[str, Any],
) -> None:
    assert await found_beside(more) is None
    # Where one is without it, no default is filled in.
    assert await found_beside(more, {}) == (ProviderRef("p1", {}),)


async def test_of_equal_predictions_the_nearest_comes_first_and_later_ones_do_not_count() -> None:
    assert await found_beside({}, {"go_fast": True}, after=3) == (
        ProviderRef("p0", {}),
        ProviderRef("p1", {}),
    )
    assert await found_beside({}, after=200) == ()


MODEL = "wan/2.7-t2v"


class Tasks:
    """Alibaba's list of tasks, newest first, and what each of them says."""

    def __init__(self, *tasks: tuple[str, float, str, dict[str, Any]], skew: float = 0.0) -> None:
        self.skew = skew
        self.asked: list[str] = []
        self.tasks = sorted(tasks, key=lambda task: -task[1])

    def __call__(self, request: Sent, url: str) -> bytes:
        self.asked.append(request.path)
        parts = urlsplit(request.path)
        if parts.path != "/api/v1/tasks":
            wanted = parts.path.rpartition("/")[2]
            return next(
                says({"output": {"task_id": name, "task_status": status, **output}})
                for name, _, status, output in self.tasks
                if name == wanted
            )
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        size, number = int(query["page_size"]), int(query["page_no"])
        page = self.tasks[(number - 1) * size : number * size]
        data = [
            {
                "task_id": name,
                "status": status,
                "model_name": query["model_name"],
                "gmt_create": round((SINCE.timestamp() + after + self.skew) * 1000),
            }
            for name, after, status, _ in page
        ]
        return dated({"data": data, "total_page": -(-len(self.tasks) // size), "page_no": number}, self.skew)


async def found(tasks: Callable[[Sent, str], bytes], **fields: Any) -> tuple[ProviderRef, ...] | None:
    model = fields.pop("model", MODEL)
    job = ALIBABA.job(model, "a cat  in space", **fields)
    async with answered(tasks) as url, ALIBABA.at(url) as adapter:
        return await adapter.find(job, SINCE)


def of(prompt: str) -> dict[str, Any]:
    """The result of a task of that prompt."""
    return {"orig_prompt": prompt, "video_url": "https://f.example/v.mp4"}


OURS = of("a cat in space")


@SKEWS
async def test_alibaba_finds_the_task_whose_result_repeats_the_prompt(skew: float) -> None:
    tasks = Tasks(
        ("old", -60, "SUCCEEDED", OURS),
        ("mine", 1, "SUCCEEDED", OURS),
        ("other", 2, "SUCCEEDED", of("a dog")),
        skew=skew,
    )
    assert await found(tasks) == (ProviderRef("mine", {}),)
    assert "model_name=wan2.7-t2v" in tasks.asked[0]


@pytest.mark.parametrize(
    "tasks",
    [
        (),
        (("old", -60, "RUNNING", {}),),
        (("late", 600, "RUNNING", {}),),
        (("dead", 1, "FAILED", {}), ("stopped", 2, "CANCELED", {})),
        (("other", 1, "SUCCEEDED", of("a dog")),),
    ],
)
async def test_alibaba_proves_that_a_task_never_arrived(tasks: Any) -> None:
    assert await found(Tasks(*tasks)) == ()


@pytest.mark.parametrize(
    "tasks",
    [
        (("odd", 1, "UNKNOWN", {}),),
        (("silent", 1, "SUCCEEDED", {"video_url": "https://f.example/v.mp4"}),),
        (("cut", 1, "SUCCEEDED", of("a cat")),),
        tuple((f"t{number}", number / 100, "SUCCEEDED", of("a dog")) for number in range(20)),
        tuple((f"t{number}", number / 100, "FAILED", {}) for number in range(600)),
    ],
)
async def test_alibaba_has_no_answer_when_another_task_may_be_the_one(tasks: Any) -> None:
    assert await found(Tasks(*tasks)) is None


@pytest.mark.parametrize(
    "tasks",
    [
        (("running", 1, "RUNNING", {}),),
        (("waiting", 1, "PENDING", {}), ("mine", 2, "SUCCEEDED", OURS)),
        (("waiting", 1, "SUSPENDED", {}), ("dead", 2, "FAILED", {})),
    ],
)
async def test_alibaba_is_asked_again_while_a_task_has_not_ended(tasks: Any) -> None:
    with pytest.raises(ProviderUnreachable):
        await found(Tasks(*tasks))


async def test_a_task_with_the_same_words_about_other_pictures_is_never_taken() -> None:
    tasks = Tasks(("theirs", 1, "SUCCEEDED", OURS))
    assert await found(tasks, model="wan/3.0-video", input_file=["https://8.8.8.8/a.png"]) is None
    assert await found(tasks, model="wan/3.0-video") == (ProviderRef("theirs", {}),)


async def test_a_model_that_makes_no_tasks_cannot_be_looked_for() -> None:
    tasks = Tasks()
    assert await found(tasks, model="qwen/image-2") is None
    assert tasks.asked == []


@pytest.mark.parametrize(
    "data",
    [
        [{"task_id": "a", "status": "FAILED"}],
        [{"task_id": "a", "status": "FAILED", "gmt_create": "x"}],
        [5],
        [
            {"task_id": "a", "status": "FAILED", "gmt_create": round(SINCE.timestamp() * 1000)},
            {"task_id": "b", "status": "FAILED", "gmt_create": round(NOW.timestamp() * 1000)},
        ],
    ],
)
async def test_a_list_out_of_order_proves_nothing(data: Any) -> None:
    assert await found(lambda request, url: dated({"data": data, "total_page": 1}, 0.0)) is None


@pytest.mark.parametrize(
    "answer",
    [
        says({"code": "Throttling.RateQuota"}),
        says({"code": "Throttling.RateQuota"}, "429 X"),
        says({"data": "x"}),
        says([]),
        b"",
    ],
)
async def test_a_list_that_cannot_be_read_leaves_the_question_open(answer: bytes) -> None:
    with pytest.raises(ProviderUnreachable):
        await found(lambda request, url: answer)
