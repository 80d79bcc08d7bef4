"""What Alibaba Cloud's answers say: outputs in their three shapes, and error codes, which count for more than statuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from server.providers import faults
from server.providers.calls import is_url
from server.providers.http import Answer, text_of
from server.providers.protocol import Fault

_POLICY = frozenset({"datainspectionfailed", "ipinfringementsuspect"})
_ACCOUNT = frozenset({"Arrearage", "CommodityNotPurchased", "InvalidApiKey", "Workspace.AccessDenied"})
_UNAVAILABLE = frozenset({"ServiceUnavailable", "ModelUnavailable", "ModelServingError"})
_REQUEST = ("InvalidParameter", "InvalidURL", "BadRequest", "InvalidFile", "InvalidImage")
_PROVIDER = ("InternalError", "GatewayTimeout", "RequestTimeOut", "ModelNotFound", "Model.NotExist")


@dataclass(frozen=True, slots=True)
class Files:
    """What a result holds."""

    urls: tuple[str, ...]
    """Empty also when anything of it is neither a file nor an error."""
    codes: tuple[str, ...]
    """Error codes of those files of a batch that were not made."""


def output_of(answer: Answer) -> Mapping[str, object]:
    """The answer's `output`; empty when there is none."""
    output = answer.fields.get("output")
    return output if isinstance(output, dict) else {}


def files_of(output: Mapping[str, object]) -> Files:
    """The files of a result: one video, a list of results, or pictures inside of messages."""
    if "video_url" in output:
        entries: list[object] = [output["video_url"]]
    elif isinstance(results := output.get("results"), list):
        entries = [_file_or_fields(each, "url") for each in results]
    else:
        entries = [_file_or_fields(each, "image") for each in _contents(output.get("choices"))]
    urls = tuple(each for each in entries if is_url(each))
    codes = tuple(code for each in entries if isinstance(each, dict) and (code := text_of(each, "code")))
    return Files(urls if len(urls) + len(codes) == len(entries) else (), codes)


def echoed_prompt(output: Mapping[str, object]) -> str:
    """The prompt as a result repeats it; empty where it does not."""
    results = output.get("results")
    first = results[0] if isinstance(results, list) and results else None
    return text_of(output, "orig_prompt") or (
        text_of(first, "orig_prompt") if isinstance(first, dict) else ""
    )


def run_seconds(output: Mapping[str, object]) -> float | None:
    """How long a task ran; both moments are told in one time zone, which is not named."""
    try:
        began = datetime.fromisoformat(text_of(output, "scheduled_time"))
        ended = datetime.fromisoformat(text_of(output, "end_time"))
        seconds = (ended - began).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds if seconds >= 0 else None


def classified(
    name: str, code: str, status: int | None = None, retry_after: float | None = None
) -> Fault | None:
    """The fault that an error code names; None for a code that is not known, or none at all.

    Args:
        name: of the provider, for people.
        code: as it was answered.
        status: of the answer; None for a task that failed.
        retry_after: seconds for which the answer asked to be left alone.
    """
    if code.replace("_", "").lower() in _POLICY:
        return faults.content_policy(name, status)
    if code == "InvalidParameter.DataInspection":
        # A file could not be fetched in time to be looked at; that is no verdict about it.
        return faults.failed(name, status)
    if code in _ACCOUNT or code.endswith("BillOverdue"):
        return faults.account(name, status)
    if "AccessDenied" in code.split("."):
        # Of this model or service: the account's others are open.
        return faults.unavailable(name, status, retry_after)
    if code.startswith("Throttling"):
        return replace(faults.of_status(name, 429, retry_after), http_status=status)
    if code in _UNAVAILABLE:
        return faults.unavailable(name, status, retry_after)
    if code.startswith(_REQUEST):
        return replace(faults.of_status(name, 422), http_status=status)
    return faults.failed(name, status) if code.startswith(_PROVIDER) else None


def _file_or_fields(entry: object, field: str) -> object:
    """The file that an entry names, or else the entry."""
    return entry.get(field, entry) if isinstance(entry, dict) else entry


def _contents(choices: object) -> list[object]:
    """Everything in the messages of a result that is not a text."""
    found: list[object] = []
    for choice in choices if isinstance(choices, list) else []:
        message = choice.get("message") if isinstance(choice, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            return [None]
        found += [each for each in content if not (isinstance(each, dict) and "text" in each)]
    return found
