"""Which tasks of a model can have been made by a submit that got no answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from kit.clock import Clock
from server.providers import faults
from server.providers.alibaba_answers import classified
from server.providers.arrival import arrival_of
from server.providers.calls import asked
from server.providers.http import ProviderHttp, text_of
from server.providers.protocol import ProviderUnreachable

_PAGE = 50
_MOST_PAGES = 10
_MOST_CANDIDATES = 10
NOT_ENDED = frozenset({"PENDING", "SUSPENDED", "RUNNING"})
"""Statuses of tasks that something may still come of."""
_CAME_TO_NOTHING = frozenset({"FAILED", "CANCELED"})


class TaskList:
    """Reads the list of an account's tasks."""

    def __init__(self, http: ProviderHttp, name: str, clock: Clock) -> None:
        self._http = http
        self._name = name
        self._clock = clock

    async def of_model(self, model: str, since: datetime) -> tuple[str, ...] | None:
        """Ids of succeeded tasks of that model that can be of a submit made at `since`, oldest first.

        None when that cannot be said: there are too many, or the list is not in order. Tasks that came to nothing are
        left out, because whosever they were, nothing comes of them and nothing is billed.

        Raises:
            ProviderUnreachable: there was no usable answer, or some have not ended: later there will be one.
        """
        entries = await self._entries(model, since)
        if entries is None:
            return None
        live = {
            text_of(entry, "task_id"): text_of(entry, "status")
            for entry in reversed(entries)
            if text_of(entry, "status") not in _CAME_TO_NOTHING
            and text_of(entry, "model_name") in ("", model)
        }
        if not NOT_ENDED.isdisjoint(live.values()):
            raise ProviderUnreachable(faults.submit_unknown(self._name))
        if len(live) > _MOST_CANDIDATES or any(status != "SUCCEEDED" for status in live.values()):
            return None
        return tuple(live)

    async def _entries(self, model: str, since: datetime) -> list[Mapping[str, object]] | None:
        """The entries of the span in which the task can have been made; None when the list does not reach back to it."""
        found: list[Mapping[str, object]] = []
        newest: datetime | None = None
        arrival = None
        for page_no in range(1, _MOST_PAGES + 1):
            query = {"page_no": str(page_no), "page_size": str(_PAGE), "model_name": model}
            answer = await asked(self._http, self._name, "find", "tasks", query=query)
            code, entries = answer.text("code"), answer.fields.get("data")
            if not answer.ok or code or not isinstance(entries, list):
                wait = self._http.retry_after(answer)
                named = classified(self._name, code, answer.status, wait)
                raise ProviderUnreachable(named or faults.invalid_response(self._name, answer.status))
            arrival = arrival or arrival_of(answer, since, self._clock.now())
            for entry in entries:
                made = _made(entry)
                if made is None or (newest is not None and made > newest):
                    return None
                newest = made
                if made < arrival.earliest:
                    return found
                if made <= arrival.latest:
                    found.append(entry)
            total = answer.fields.get("total_page")
            if not entries or (isinstance(total, int) and page_no >= total):
                return found
        return None


def _made(entry: object) -> datetime | None:
    millis = entry.get("gmt_create") if isinstance(entry, dict) else None
    if not isinstance(millis, int) or isinstance(millis, bool) or not 0 <= millis < 1e14:
        return None
    return datetime.fromtimestamp(millis / 1000, UTC)
