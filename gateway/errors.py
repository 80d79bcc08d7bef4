"""How errors look from outside: public field names, whole numbers, and when to come back."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from babysea.common.v1 import error_reason_pb2
from gateway.limits import RateFacts
from kit.errors import BabySeaError

_NUMBERS = {"retry_after_seconds", "limit"}
_INDEX = re.compile(r"\[.*\]$")
_LONGEST_NAME = 100

OUTCOME = "outcome"
"""Detail by which a region says "unknown" when it cannot tell whether it did what it was asked; never shown."""

CREATE_FIELDS = {
    "idempotency_key": "Idempotency-Key",
    "prompt": "generation_prompt",
    "ratio": "generation_ratio",
    "output_format": "generation_output_format",
    "output_number": "generation_output_number",
    "input_file": "generation_input_file",
    "input_file_last_content": "generation_input_file_last_content",
    "duration": "generation_duration",
    "resolution": "generation_resolution",
    "generate_audio": "generation_generate_audio",
    "provider_order": "generation_provider_order",
    "deadline_seconds": "generation_deadline_seconds",
    "content_policy_failover": "generation_content_policy_failover",
}
"""Fields of CreateGenerationRequest, as the JSON body and its headers name them."""

PAGE_FIELDS = {"page.page_size": "limit", "page.offset": "offset"}
"""Fields of PageRequest, as the query names them."""


class RefusalError(BabySeaError):
    """An error whose reply differs from what its reason says."""

    def __init__(
        self, error: BabySeaError, *, retryable: bool | None = None, http_status: int | None = None
    ) -> None:
        super().__init__(error.reason, error.message, details=error.details)
        self.retryable = retryable
        """Replaces the reason's own answer; None keeps it."""
        self.http_status = http_status
        """Replaces the reason's own status; None keeps it."""


def not_found() -> BabySeaError:
    """The one answer for whatever is not there, so that nobody learns why."""
    return BabySeaError(error_reason_pb2.ERROR_REASON_NOT_FOUND)


def public_field(field: str, names: Mapping[str, str]) -> str:
    """The public name of a field of the internal contract.

    Args:
        field: path in the message, for example "extras.guidance_scale" or "input_file[2]".
        names: the public names of this message's fields; the others keep their own.
    """
    field = _INDEX.sub("", field)
    if field in names:
        return names[field]
    head, _, extra = field.partition(".")
    return f"generation_{extra}" if head == "extras" and extra else field


def public_error(error: BabySeaError, names: Mapping[str, str]) -> BabySeaError:
    """A regional error as the client may read it: its field, in the details and in the sentence, by its public name.

    Args:
        error: as the region told it.
        names: the public names of the request's fields where they differ.
    """
    details = {key: value for key, value in error.details.items() if key != OUTCOME}
    field = details.get("field", "")
    if not field:
        return BabySeaError(error.reason, error.message, details=details)
    details["field"] = public_field(field, names)
    message = error.message
    if message.startswith(field):
        index = _INDEX.search(field)
        message = details["field"] + (index[0] if index else "") + message.removeprefix(field)
    return BabySeaError(error.reason, message, details=details)


def shown(name: str) -> str:
    """A name that a client made up, fit to be repeated to it: printable and short."""
    return "".join(character if character.isprintable() else "?" for character in name[:_LONGEST_NAME])


def wire_details(details: Mapping[str, str]) -> dict[str, str | int]:
    """Details as the JSON body has them: counts as integers, the rest as text."""
    return {
        key: int(value) if key in _NUMBERS and value.isdecimal() else value for key, value in details.items()
    }


def retry_after(error: BabySeaError, rate: RateFacts | None) -> int:
    """Whole seconds after which a limited request may be repeated; at least one.

    The region says it. Where it does not, a spent window is waited out, and anything else is worth another try soon.
    """
    stated = error.details.get("retry_after_seconds", "")
    if stated.isdecimal():
        return max(1, int(stated))
    if rate is not None and not rate.remaining:
        return max(1, rate.reset - int(time.time()))
    return 1
