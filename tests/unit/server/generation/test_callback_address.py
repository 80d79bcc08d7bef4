"""Callback addresses: only those that we made are believed, and nothing about an attempt can be made from another's."""

from __future__ import annotations

import base64

import pytest

from kit.ids import uuid7
from server.generation.execution.callback_address import CallbackAddresses
from server.runtime.encryption import MasterKey

_MASTER = MasterKey(base64.b64encode(bytes(range(32))).decode())


def test_an_address_leads_back_to_its_attempt_in_every_process_of_the_region() -> None:
    attempt = uuid7()
    url = CallbackAddresses(_MASTER, "https://api.example/").url("fal", attempt)
    assert url is not None
    assert url.startswith("https://api.example/v1/callbacks/fal/")
    assert CallbackAddresses(_MASTER, "").attempt_of(url.rsplit("/", 1)[1]) == attempt


def test_without_a_base_url_nobody_is_asked_to_report() -> None:
    assert CallbackAddresses(_MASTER, "").url("fal", uuid7()) is None


@pytest.mark.parametrize("token", ["", "x", "é", "=" * 43, "A" * 43, "A" * 44, "A" * 10_000])
def test_what_is_no_token_leads_nowhere(token: str) -> None:
    assert CallbackAddresses(_MASTER, "").attempt_of(token) is None


def test_a_token_of_another_attempt_or_another_region_leads_nowhere() -> None:
    addresses = CallbackAddresses(_MASTER, "")
    one, other = (base64.urlsafe_b64decode(addresses.token(uuid7()) + "==") for _ in range(2))
    mixed = base64.urlsafe_b64encode(one[:16] + other[16:]).decode().rstrip("=")
    assert addresses.attempt_of(mixed) is None
    elsewhere = CallbackAddresses(MasterKey(base64.b64encode(bytes(32)).decode()), "")
    assert elsewhere.attempt_of(addresses.token(uuid7())) is None


def test_every_attempt_has_a_secret_of_its_own_that_its_address_does_not_tell() -> None:
    addresses = CallbackAddresses(_MASTER, "")
    one, other = uuid7(), uuid7()
    assert addresses.secret(one) == addresses.secret(one) != addresses.secret(other)
    assert addresses.secret(one) not in addresses.token(one)
