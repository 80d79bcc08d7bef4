"""What queries and bodies of people mean, and requests that no region can accept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import protovalidate
import pytest
from starlette.datastructures import QueryParams

from babysea.keys.v1 import key_service_pb2 as keys
from gateway.v1 import query
from gateway.v1.members.bodies import Body, validated
from gateway.v1.members.logs import activity_filter, request_filter
from gateway.v1.members.spoiling import spoiled
from gateway.v1.members.values import Instant
from kit.errors import BabySeaError

ACCOUNT = "01935000-0000-7000-8000-000000000001"


class Example(Body):
    """Every kind of field."""

    name: str
    role: Literal["owner", "member"] = "member"
    until: Instant | None = None
    tags: list[str] = []  # noqa: RUF012
    versions: dict[str, str] = {}  # noqa: RUF012


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({}, "name", "name is required."),
        ({"name": 5}, "name", "name must be a string."),
        ({"name": None}, "name", "name must be a string."),
        ({"name": "a", "surprise": 1}, "surprise", "surprise is not a field of this request."),
        ({"name": "a", "role": "king"}, "role", "role must be 'owner' or 'member'."),
        ({"name": "a", "until": 1_800_000_000}, "until", "until is not valid."),
        ({"name": "a", "until": "tomorrow"}, "until", "until is not valid."),
        ({"name": "a", "until": "2026-11-22T08:00:00"}, "until", "until is not valid."),
        ({"name": "a", "tags": "x"}, "tags", "tags must be a list."),
        ({"name": "a", "tags": [1]}, "tags.0", "tags.0 must be a string."),
        ({"name": "a", "versions": {"dpa": 1}}, "versions.dpa", "versions.dpa must be a string."),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(values: dict[str, object], field: str, message: str) -> None:
    with pytest.raises(BabySeaError) as refused:
        validated(Example, values)
    assert (refused.value.spec.bse_code, refused.value.message) == ("BSE2001", message)
    assert refused.value.details == {"field": field}


def test_a_time_in_a_body_has_an_offset() -> None:
    found = validated(Example, {"name": "a", "until": "2026-11-22T08:00:00+02:00"})
    assert found.until is not None
    assert found.until.astimezone(UTC) == datetime(2026, 11, 22, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hour"), [("2026-11-22T08:00:00Z", 8), ("2026-11-22T08:00:00", 8), ("2026-11-22T08:00+02:00", 6)]
)
def test_a_time_in_a_query_is_utc_unless_it_says_otherwise(text: str, hour: int) -> None:
    assert query.instant(QueryParams({"from": text}), "from") == datetime(2026, 11, 22, hour, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(BabySeaError) as refused:
        query.instant(QueryParams({"to": text}), "to")
    assert refused.value.details == {"field": "to"}


def test_filters_read_every_parameter() -> None:
    asked = QueryParams(
        {
            "from": "2026-11-22",
            "key_id": ACCOUNT,
            "method": "POST",
            "error_code": "BSE2001",
            "status_class": "4",
            "surface": "grpc",
            "route": "/v1/status",
        }
    )
    found = request_filter(asked)
    assert protovalidate.collect_violations(found) == []
    assert (found.method, found.status_class, found.route) == ("POST", 4, "/v1/status")
    assert getattr(found, "from").ToDatetime() == datetime(2026, 11, 22)  # noqa: DTZ001
    assert not found.HasField("to")
    assert activity_filter(QueryParams({"actor": "system", "category": "api_key"})).actor == "system"


def test_a_spoiled_request_keeps_the_account_and_nothing_else() -> None:
    made = spoiled(keys.CreateKeyRequest, ACCOUNT)
    assert made.account_id == ACCOUNT
    found: list[Any] = [violation.proto for violation in protovalidate.collect_violations(made)]
    broken = {violation.field.elements[0].field_name for violation in found}
    assert {"name", "preset", "scopes"} <= broken
    assert "account_id" not in broken
