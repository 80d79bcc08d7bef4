"""Rules of identity that need no database: spellings, passwords, codes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kit.errors import BabySeaError
from server.accounts.identity.addresses import network_of, normalised_email
from server.accounts.identity.passwords import PasswordHasher, check_password
from server.accounts.identity.profile import avatar_type
from server.accounts.identity.recovery import new_codes
from server.accounts.identity.totp import new_secret, step_of

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("  ada+tag@example.com ", "ada+tag@example.com"),
        ("ada@bücher.com", "ada@xn--bcher-kva.com"),
        ("ada@xn--bcher-kva.com", "ada@xn--bcher-kva.com"),
    ],
)
def test_an_address_has_one_spelling(written: str, stored: str) -> None:
    assert normalised_email(written) == stored


@pytest.mark.parametrize("written", ["", "ada", "ada@", "@example.com", "ada@exa mple.com", "ada@localhost"])
def test_text_that_is_no_address_is_refused_by_name(written: str) -> None:
    with pytest.raises(BabySeaError) as refused:
        normalised_email(written)
    assert refused.value.details == {"field": "email"}


def test_attempts_over_ipv6_are_counted_for_the_line_and_not_for_each_of_its_addresses() -> None:
    assert network_of("2001:db8:1:2::5") == network_of("2001:db8:1:2:ffff::1")
    assert network_of("2001:db8:1:3::5") != network_of("2001:db8:1:2::5")
    assert network_of("192.0.2.1") == "192.0.2.1"


def test_the_codes_are_those_of_rfc_6238() -> None:
    # Its test vectors have eight digits; an authenticator shows the last six.
    for at, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924")):
        assert step_of(RFC_SECRET, code, datetime.fromtimestamp(at, UTC)) == at // 30


@pytest.mark.parametrize(("late", "taken"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_code_is_taken_one_step_early_or_late(late: int, taken: bool) -> None:
    at = 1111111109
    step = step_of(RFC_SECRET, "081804", datetime.fromtimestamp(at + late, UTC))
    assert (step == at // 30) is taken


def test_secrets_and_recovery_codes_are_long_and_differ() -> None:
    codes = new_codes()
    assert len(set(codes)) == 10
    assert all(len(code) == 13 for code in codes)
    assert len(new_secret()) == 32
    assert new_secret() != new_secret()


async def test_a_hash_belongs_to_its_password_and_to_the_pepper() -> None:
    hasher, other = PasswordHasher(b"p" * 32, 64, 1), PasswordHasher(b"q" * 32, 64, 1)
    stored = await hasher.hash("caf\u00e9 au lait")

    assert stored.startswith("$argon2id$")
    assert await hasher.matches("cafe\u0301 au lait", stored)
    assert not await hasher.matches("cafe au lait", stored)
    assert not await other.matches("caf\u00e9 au lait", stored)
    assert not await hasher.matches("anything at all", None)
    assert PasswordHasher(b"p" * 32, 128, 1).is_outdated(stored)
    hasher.close()
    other.close()


@pytest.mark.parametrize("password", ["correct horse battery", "x" * 4 + "abcdef", "пароль на каждый день"])
def test_a_password_of_ten_characters_and_some_variety_is_taken(password: str) -> None:
    check_password(password, "ada@example.com")


def test_pictures_are_told_by_their_first_bytes() -> None:
    assert avatar_type(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    assert avatar_type(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert avatar_type(b"<svg/>") == ""
