"""What is done about a submit whose answer will never be known: at most a set amount is risked on paying twice."""

from __future__ import annotations

import logging

from opentelemetry.metrics import get_meter

from babysea.common.v1 import error_reason_pb2
from kit.errors import spec_of
from server.generation.execution.work import AttemptView, Work
from server.providers.protocol import Fault, FaultKind

NEVER_ANSWERED = Fault(
    FaultKind.PROVIDER,
    error_reason_pb2.ERROR_REASON_PROVIDER_SUBMIT_UNKNOWN,
    "The inference provider never confirmed the job, and cannot be asked whether it exists.",
)
_CODE = spec_of(NEVER_ANSWERED.reason).bse_code
_spend = get_meter("babysea").create_counter(
    "babysea.provider.possible_duplicate_spend",
    unit="{micro-dollar}",
    description="What jobs may have cost of which nobody can say whether they exist.",
)
_log = logging.getLogger(__name__)


class AmbiguityPolicy:
    """Decides by the record alone, so that whoever follows a worker that died decides alike."""

    def __init__(self, duplicate_spend_micros: int) -> None:
        """Takes the setting of that name."""
        self._most = duplicate_spend_micros

    def forbids(self, work: Work) -> bool:
        """Whether the generation must fail, because a next provider could be paid for the same once more."""
        doubtful = [attempt for attempt in work.attempts if is_doubtful(attempt)]
        if not doubtful:
            return False
        # A cost that nobody knows (0) cannot be held against a limit.
        unknown = any(attempt.cost_micros == 0 for attempt in doubtful)
        return unknown or sum(attempt.cost_micros for attempt in doubtful) > self._most


def is_doubtful(attempt: AttemptView) -> bool:
    """Whether an attempt was given up without knowing whether its job exists."""
    return attempt.state == "discarded" and attempt.error_code == _CODE and not attempt.late


def count_possible_duplicate(work: Work, provider: str, cost: int | None) -> None:
    """Counts what a job may have cost that perhaps exists."""
    _spend.add(cost or 0, {"babysea.provider": provider})
    _log.warning(
        "a job may exist that nobody can find again",
        extra={
            "facts": {
                "generation_id": str(work.generation_id),
                "provider": provider,
                "cost_micros": cost,
            }
        },
    )
