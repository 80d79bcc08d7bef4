"""Whether a prediction on Replicate's list is the one that a submit without an answer made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from server.catalog.native_names import names_of
from server.catalog.types import FieldMap
from server.providers.http import text_of
from server.providers.protocol import Job

_FILE_FIELDS = ("input_file", "input_file_last_content")
_LEADS_TO_A_FILE = re.compile(r"https?://|data:", re.IGNORECASE)
_SAYS_NOTHING: tuple[object, ...] = (None, "", [])


def is_same(entry: Mapping[str, object], job: Job, wanted: Mapping[str, object]) -> bool | None:
    """Whether a prediction is of these parameters and has nothing that only another request can have said.

    None when nobody can tell: it has all that we sent, and besides what another request of ours could have said.
    """
    given = entry.get("input")
    if text_of(entry, "model") != job.provider_model.path or not isinstance(given, dict):
        return False
    if not all(name in given and given[name] == value for name, value in wanted.items()):
        return False
    more = {name: value for name, value in given.items() if name not in wanted and value not in _SAYS_NOTHING}
    # No default is a file: this one was made of somebody's own picture.
    files = [rule for name in _FILE_FIELDS if (rule := job.provider_model.fields.get(name)) is not None]
    if not _names(files).isdisjoint(more) or any(_holds_a_file(value) for value in more.values()):
        return False
    # The provider may have filled in defaults. What no request of ours ever says can be nothing else. For the rest it is
    # a default of our own prediction, or the choice of somebody else who has the same prompt: taken, a customer could
    # get what another one asked for; refused, our own could be paid for twice.
    return True if _names(_rules(job)).isdisjoint(more) else None


def _rules(job: Job) -> Iterator[FieldMap]:
    yield from job.provider_model.fields.values()
    for extra in job.model.extras:
        if (rule := extra.native.get(job.provider_model.provider_id)) is not None:
            yield rule


def _names(rules: Iterable[FieldMap]) -> frozenset[str]:
    """The outermost parameters that these rules set."""
    return frozenset(name.partition(".")[0] for rule in rules for name in names_of(rule))


def _holds_a_file(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_a_file(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_holds_a_file(inner) for inner in value)
    return isinstance(value, str) and _LEADS_TO_A_FILE.match(value.strip()) is not None
