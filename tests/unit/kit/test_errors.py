"""Error reasons: each has one meaning, and every one of them survives the way over gRPC."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError, Metadata

from babysea.common.v1 import error_reason_pb2
from kit.errors import (
    DOMAIN,
    BabySeaError,
    all_specs,
    invalid,
    out_of_range,
    reason_named,
    reason_of_code,
    spec_of,
)
from kit.rpc import STATUS_METADATA, code_of, error_of, metadata_text, status_of

REASONS = [
    error_reason_pb2.ErrorReason.ValueType(number)
    for number in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number
    if number
]
NAMES = [spec_of(reason).name for reason in REASONS]


def failed(code: grpc.StatusCode, trailers: list[tuple[str, str | bytes]]) -> AioRpcError:
    """A failed call as a client sees it."""
    return AioRpcError(code, Metadata(), Metadata(*trailers), details="text of another exception")


def over_the_wire(error: BabySeaError) -> BabySeaError:
    """An error after it was sent and received."""
    packed = status_of(error).SerializeToString()
    return error_of(failed(code_of(error), [(STATUS_METADATA, packed)]))


@pytest.mark.parametrize("reason", REASONS, ids=NAMES)
def test_an_error_arrives_as_it_was_raised(reason: error_reason_pb2.ErrorReason.ValueType) -> None:
    sent = BabySeaError(
        reason,
        'Ein Satz äöü 値, with "quotes".',
        details={"field": "prompt", "retry_after_seconds": "7", "ключ": "値"},
    )
    received = over_the_wire(sent)
    assert (received.reason, received.message, received.details) == (sent.reason, sent.message, sent.details)
    assert received.spec is sent.spec


@pytest.mark.parametrize("reason", REASONS, ids=NAMES)
def test_an_error_without_a_sentence_has_its_reasons_own(
    reason: error_reason_pb2.ErrorReason.ValueType,
) -> None:
    received = over_the_wire(BabySeaError(reason))
    assert received.message == spec_of(reason).title
    assert received.details == {}


@pytest.mark.parametrize("reason", REASONS, ids=NAMES)
def test_a_reason_is_complete_and_found_by_its_name_and_its_code(
    reason: error_reason_pb2.ErrorReason.ValueType,
) -> None:
    spec = spec_of(reason)
    assert spec.bse_code == f"BSE{reason:04d}"
    assert spec.type
    assert spec.title.endswith(".")
    assert 400 <= spec.http_status <= 599
    assert code_of(BabySeaError(reason)) is not grpc.StatusCode.OK
    assert reason_named(spec.name) == reason
    assert reason_of_code(spec.bse_code) == reason


def test_codes_names_and_types_are_each_used_once() -> None:
    specs = all_specs()
    assert len(specs) == len(REASONS)
    assert len({spec.bse_code for spec in specs}) == len({spec.name for spec in specs}) == len(specs)
    assert [spec.bse_code for spec in specs] == sorted(spec.bse_code for spec in specs)


@pytest.mark.parametrize(
    "code", ["", "BSE", "BSE9999", "BSE0", "4004", "BSE04004", "BSE²", "BSE-1", "bse4004", "BSEBSE4004"]
)
def test_what_is_no_public_code_has_no_reason(code: str) -> None:
    assert reason_of_code(code) is None


@pytest.mark.parametrize("name", ["", "UNKNOWN", "ERROR_REASON_INVALID_INPUT", "invalid_input"])
def test_what_is_no_name_has_no_reason(name: str) -> None:
    assert reason_named(name) is None


def test_errors_about_a_field_name_it_in_the_status() -> None:
    for error in (invalid("prompt", "Too long."), out_of_range("duration", "Too long.")):
        status = status_of(error)
        bad = error_details_pb2.BadRequest()
        assert status.details[1].Unpack(bad)
        assert [(violation.field, violation.description) for violation in bad.field_violations] == [
            (error.details["field"], "Too long.")
        ]


def test_a_time_to_retry_is_told_in_the_status() -> None:
    error = BabySeaError(
        error_reason_pb2.ERROR_REASON_RATE_LIMIT_EXCEEDED, details={"retry_after_seconds": "12"}
    )
    retry = error_details_pb2.RetryInfo()
    assert status_of(error).details[1].Unpack(retry)
    assert retry.retry_delay.seconds == 12


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_a_failure_of_others_is_translated_by_its_code_and_its_text_stays_out(code: grpc.StatusCode) -> None:
    foreign = status_pb2.Status(code=2, message="secret")
    info = error_details_pb2.ErrorInfo(reason="INVALID_INPUT", domain="example.com")
    packed = any_pb2.Any()
    packed.Pack(info)
    foreign.details.append(packed)
    sent: list[list[tuple[str, str | bytes]]] = [
        [],
        [(STATUS_METADATA, foreign.SerializeToString())],
        [("other", "text")],
    ]
    for trailers in sent:
        error = error_of(failed(code, trailers))
        assert error.message == error.spec.title
        assert "text of another exception" not in str(error)


def test_a_reason_that_this_version_does_not_know_is_translated_by_its_code() -> None:
    status = status_pb2.Status(message="secret")
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason="INVENTED_LATER", domain=DOMAIN))
    status.details.append(packed)
    error = error_of(failed(grpc.StatusCode.UNAVAILABLE, [(STATUS_METADATA, status.SerializeToString())]))
    assert error.reason == error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\xff", b"not a status"])
def test_a_status_that_cannot_be_read_is_translated_by_its_code(garbage: bytes) -> None:
    error = error_of(failed(grpc.StatusCode.UNAVAILABLE, [(STATUS_METADATA, garbage)]))
    assert error.reason == error_reason_pb2.ERROR_REASON_SERVICE_UNAVAILABLE


def test_metadata_is_read_as_text() -> None:
    assert metadata_text({"a": "x", "b": b"\xe9"}, "a") == "x"
    assert metadata_text({"a": "x", "b": b"\xe9"}, "b") == "é"
    assert metadata_text({}, "a") == ""
