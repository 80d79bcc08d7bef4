"""What the contract promises, asked of a whole running stack through public REST."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from kit.ids import uuid7
from tests.e2e.conftest import Stack

pytestmark = pytest.mark.timeout(240)

IMAGE = "/v1/generate/image/bfl/flux-schnell"


async def _post_many(
    stack: Stack, key: str, number: int, headers: dict[str, str], prompt: str
) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=stack.region("us")["api"], timeout=30, trust_env=False) as client:
        requests = [
            client.post(
                IMAGE,
                json={"generation_prompt": prompt},
                headers={"Authorization": f"Bearer {key}"} | headers,
            )
            for _ in range(number)
        ]
        return list(await asyncio.gather(*requests))


def _account(stack: Stack, plan: str, credit: str) -> tuple[str, str]:
    """A new account with credit: its id and a full-access key."""
    import json

    made = stack.run(
        "account", "create", "--region", "us", "--name", f"t {secrets.token_hex(3)}", "--plan", plan, "--json"
    )
    account_id = json.loads(made.stdout)["account_id"]
    granted = stack.run(
        "credits", "grant", "--region", "us", "--account", account_id, "--amount", credit, "--key", "seed"
    )
    assert granted.returncode == 0, granted.stderr
    key = stack.run("key", "create", "--region", "us", "--account", account_id, "--name", "k", "--json")
    return account_id, json.loads(key.stdout)["api_key"]


async def _facts(stack: Stack, statement: str, *values: object) -> Any:
    connection = await asyncpg.connect(stack.region("us")["database_url"])
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


def test_a_hundred_posts_with_one_idempotency_key_make_one_generation(stack: Stack) -> None:
    account_id, key = _account(stack, "enterprise", "10")
    answers = asyncio.run(_post_many(stack, key, 100, {"Idempotency-Key": "the-one"}, "a lighthouse"))
    assert Counter(answer.status_code for answer in answers).keys() <= {200, 409}
    assert {a.json()["error"]["code"] for a in answers if a.status_code == 409} <= {"BSE2016"}
    assert len({a.json()["data"]["generation_id"] for a in answers if a.status_code == 200}) == 1
    for table in ("generation.generation", "ledger.hold"):
        count = asyncio.run(_facts(stack, f"select count(*) from {table} where account_id = $1", account_id))
        assert count == 1


def test_a_hundred_parallel_generations_on_credit_for_ten_admit_exactly_ten(stack: Stack) -> None:
    _, key = _account(stack, "enterprise", "0.05")
    answers = asyncio.run(_post_many(stack, key, 100, {}, "a lighthouse [[slow=3000]]"))
    assert Counter(answer.status_code for answer in answers) == {200: 10, 402: 90}
    assert {a.json()["error"]["code"] for a in answers if a.status_code == 402} == {"BSE1004"}


def test_anothers_generation_and_a_random_id_are_the_same_404(stack: Stack) -> None:
    _, key = _account(stack, "pro", "1")
    mine = stack.start_generation("us", "a lighthouse")

    def body(generation_id: str, method: str = "GET", path: str = "/v1/content/{}") -> dict[str, Any]:
        answer = stack.rest("us", method, path.format(generation_id), key=key)
        assert answer.status_code == 404
        found: dict[str, Any] = answer.json()
        assert found.pop("request_id") == answer.headers["x-request-id"]
        return found

    expected = body(mine)
    assert expected["error"]["code"] == "BSE2012"
    for other in (str(uuid7()), str(uuid4()), "not-an-id", "00000000-0000-0000-0000-000000000000"):
        assert body(other) == expected
    cancel = "/v1/content/generation/cancel/{}"
    assert body(mine, "POST", cancel) == body(str(uuid7()), "POST", cancel) == expected


def test_provider_one_out_is_delivered_by_provider_two_and_both_out_gives_the_credits_back(
    stack: Stack,
) -> None:
    _, key = _account(stack, "pro", "1")

    def ended(prompt: str) -> dict[str, Any]:
        answer = stack.rest("us", "POST", IMAGE, key=key, json={"generation_prompt": prompt})
        generation_id = answer.json()["data"]["generation_id"]
        while True:
            record: dict[str, Any] = stack.rest("us", "GET", f"/v1/content/{generation_id}", key=key).json()[
                "data"
            ]
            if record["generation_status"] in {"succeeded", "failed"}:
                return record

    one = ended("a lighthouse [[outage=replicate]]")
    assert (one["generation_status"], one["generation_provider_used"]) == ("succeeded", "fal")
    assert [error["provider"] for error in one["generation_provider_errors"]] == ["replicate"]
    both = ended("a lighthouse [[outage=replicate]] [[outage=fal]]")
    assert (both["generation_status"], both["generation_error_code"]) == ("failed", "BSE4004")
    billing = stack.rest("us", "GET", "/v1/user/billing", key=key).json()["data"]
    assert billing["billing_credit_balance"] == 0.995
    assert stack.audit_is_clean()


def test_a_prompt_stands_in_no_file_of_the_stack(stack: Stack) -> None:
    marker = f"Zq{secrets.token_hex(12)}"
    generation_id = stack.start_generation("us", f"a lighthouse {marker} [[slow=1000]]")
    while stack.record("us", generation_id)["generation_status"] != "succeeded":
        pass
    asyncio.run(_checkpoint(stack))
    data = Path(asyncio.run(_facts(stack, "show data_directory")))
    spellings = [marker.encode(), marker.encode("utf-16-le"), marker.encode().hex().encode()]
    searched = 0
    for folder in (data, stack.data_dir):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                searched += len(content)
                assert not any(spelling in content for spelling in spellings), path
    assert searched > 10_000_000


async def _checkpoint(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.region("us")["database_url"])
    await connection.execute("checkpoint")
    await connection.close()


def test_as_babysea_app_sql_without_a_tenant_sees_no_row_and_cannot_write_the_ledger(stack: Stack) -> None:
    async def attack() -> None:
        connection = await asyncpg.connect(stack.region("us")["database_url"])
        try:
            await connection.execute("set role babysea_app")
            for table in (
                "accounts.account",
                "keys.api_key",
                "ledger.account",
                "ledger.hold",
                "ledger.transfer",
                "generation.generation",
                "generation.attempt",
                "generation.output",
            ):
                assert await connection.fetchval(f"select count(*) from {table}") == 0, table
            for statement in (
                "insert into ledger.transfer select * from ledger.transfer",
                "update ledger.account set posted = posted + 1",
                "delete from ledger.hold",
                "select ledger.grant_credit(gen_random_uuid(), 1, 'x')",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(attack())


def test_a_file_is_served_in_parts_with_its_type(stack: Stack) -> None:
    generation_id = stack.start_generation("us", "a lighthouse")
    while not (record := stack.record("us", generation_id)).get("generation_output_file"):
        pass
    url = record["generation_output_file"][0]
    with httpx.Client(trust_env=False) as client:
        whole = client.get(url)
        part = client.get(url, headers={"Range": "bytes=5-14"})
        none = client.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
        forged = client.get(url[:-2] + "AA")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "image/png")
    assert (part.status_code, part.content) == (206, whole.content[5:15])
    assert part.headers["content-range"] == f"bytes 5-14/{len(whole.content)}"
    assert (none.status_code, forged.status_code) == (416, 404)
