"""How broken rules of the contract become errors."""

from __future__ import annotations

import protovalidate
import pytest
from google.protobuf.message import Message

from babysea.common.v1 import error_reason_pb2, paging_pb2
from babysea.keys.v1 import key_service_pb2 as keys
from kit.errors import BabySeaError
from server.runtime.interceptors.validation import violation_error

ACCOUNT = "0190a0a0-0000-7000-8000-000000000001"


def error_for(request: Message) -> BabySeaError:
    violations = protovalidate.Validator().collect_violations(request)
    assert violations
    return violation_error(violations[0].proto)


@pytest.mark.parametrize(
    ("request_message", "field", "message"),
    [
        (
            keys.ListKeysRequest(account_id=ACCOUNT, page=paging_pb2.PageRequest(page_token="x" * 201)),
            "page.page_token",
            "page.page_token must be at most 200 characters.",
        ),
        (keys.ListKeysRequest(account_id="x"), "account_id", "account_id must be a valid UUID."),
        (
            keys.CreateKeyRequest(account_id=ACCOUNT, name="n", scopes=["account:read", "money:print"]),
            "scopes[1]",
            (
                "scopes[1] must be in list [account:read, generation:read, generation:write, "
                "generation:delete, health:read, library:read]."
            ),
        ),
    ],
)
def test_a_broken_rule_is_invalid_input_that_names_the_field(
    request_message: Message, field: str, message: str
) -> None:
    error = error_for(request_message)
    assert error.reason == error_reason_pb2.ERROR_REASON_INVALID_INPUT
    assert error.details == {"field": field}
    assert error.message == message


def test_a_number_outside_its_range_has_a_reason_of_its_own() -> None:
    error = error_for(keys.ListKeysRequest(account_id=ACCOUNT, page=paging_pb2.PageRequest(page_size=-1)))
    assert error.reason == error_reason_pb2.ERROR_REASON_PARAMETER_OUT_OF_RANGE
    assert error.details == {"field": "page.page_size"}
    assert error.message == "page.page_size must be greater than or equal to 0."


def test_a_time_in_the_past_is_invalid_input() -> None:
    request = keys.CreateKeyRequest(account_id=ACCOUNT, name="n", preset="read_only")
    request.expires_at.FromSeconds(1)
    error = error_for(request)
    assert error.reason == error_reason_pb2.ERROR_REASON_INVALID_INPUT
    assert error.details == {"field": "expires_at"}
