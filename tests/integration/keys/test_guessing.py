"""Wrong keys cost little: what 100 of them for one id make us do."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

from kit.clock import FixedClock
from kit.rpc import CLIENT_ADDRESS
from server.keys.guesses import GUESSES_PER_WINDOW
from server.keys.secrets import KeyText, new_key, parse_key
from tests.integration.keys.live import Live, refusal


def wrong_keys(public_id: str, count: int) -> list[str]:
    """Keys with one id and random secrets."""
    return [KeyText("us", public_id, new_key("us").secret).whole() for _ in range(count)]


async def _try(live: Live, secrets: list[str]) -> Counter[str]:
    # Each from an address of its own, as the limit per address would help otherwise.
    calls = [
        refusal(live.who(secret, *live.service, (CLIENT_ADDRESS, f"198.51.100.{number}")))
        for number, secret in enumerate(secrets)
    ]
    return Counter(refused.reason for refused in await asyncio.gather(*calls))


async def test_a_hundred_wrong_keys_of_one_id_run_bcrypt_ten_times_and_its_holder_does_not_notice(
    live: Live, clock: FixedClock
) -> None:
    made = await live.new_key(await live.region.new_account())
    key = parse_key(made.secret)
    assert key is not None
    await live.who(made.secret)
    before = live.server.shared.hasher.checks
    reasons = await _try(live, wrong_keys(key.public_id, 100))
    runs = live.server.shared.hasher.checks - before
    print(f"\n100 wrong keys of one id: {runs} runs of bcrypt, {dict(reasons)}")
    assert runs == GUESSES_PER_WINDOW
    assert reasons == {"AUTHENTICATION_FAILED": 10, "AUTH_RATE_LIMITED": 90}
    await live.who(made.secret)
    assert live.server.shared.hasher.checks - before == runs
    clock.at += timedelta(seconds=60)
    assert await _try(live, wrong_keys(key.public_id, 1)) == {"AUTHENTICATION_FAILED": 1}


async def test_an_id_that_does_not_exist_is_limited_alike(live: Live) -> None:
    public_id = new_key("us").public_id
    reasons = [await _try(live, [secret]) for secret in wrong_keys(public_id, 12)]
    assert reasons == [{"AUTHENTICATION_FAILED": 1}] * 10 + [{"AUTH_RATE_LIMITED": 1}] * 2
    limited = await refusal(live.who(wrong_keys(public_id, 1)[0]))
    assert limited.error.details == {"retry_after_seconds": "60", "limit": "10"}


async def test_right_keys_are_not_counted_as_guesses(live: Live) -> None:
    made = await live.new_key(await live.region.new_account())
    key = parse_key(made.secret)
    assert key is not None
    await asyncio.gather(*(live.who(made.secret) for _ in range(50)))
    assert await _try(live, wrong_keys(key.public_id, 10)) == {"AUTHENTICATION_FAILED": 10}
