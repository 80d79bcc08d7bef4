"""Opening and reading accounts."""

from __future__ import annotations

import asyncio
from uuid import UUID

import grpc
import pytest

from babysea.accounts.v1 import account_service_pb2 as pb
from babysea.ledger.v1 import ledger_service_pb2 as ledger
from kit.ids import uuid7
from tests.integration.keys.live import Live, bearer, refusal


def opening(**fields: str) -> pb.CreateAccountRequest:
    values = {
        "account_id": str(uuid7()),
        "name": "Ada's studio",
        "email": "ada@example.com",
        "plan": "enterprise",
    }
    return pb.CreateAccountRequest(**{**values, **fields})


async def test_an_account_is_opened_with_data_key_and_ledger_and_nothing_readable_is_stored(
    live: Live,
) -> None:
    request = opening()
    made = (await live.accounts.CreateAccount(request, metadata=live.operator)).account
    assert (made.account_id, made.name, made.email) == (request.account_id, request.name, request.email)
    assert (made.plan, made.personal) == ("enterprise", True)
    admin = await live.region.connect()
    row = await admin.fetchrow("select * from accounts.account where id = $1", request.account_id)
    limit = await admin.fetchval(
        "select in_flight_limit from ledger.account where id = $1", request.account_id
    )
    await admin.close()
    assert row is not None
    assert b"Ada" not in row["name_ct"]
    assert b"ada" not in row["email_ct"]
    assert limit == 200


async def test_opening_an_account_again_gives_the_one_that_stands(live: Live) -> None:
    request = opening(plan="free")
    answers = await asyncio.gather(
        *(live.accounts.CreateAccount(request, metadata=live.operator) for _ in range(10))
    )
    again = opening(account_id=request.account_id, name="Other", email="", plan="pro")
    answers.append(await live.accounts.CreateAccount(again, metadata=live.operator))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].account.plan == "free"
    admin = await live.region.connect()
    limit = await admin.fetchval(
        "select in_flight_limit from ledger.account where id = $1", request.account_id
    )
    await admin.close()
    assert limit == 2


async def test_an_account_that_was_erased_cannot_be_opened_again(live: Live) -> None:
    request = opening()
    await live.accounts.CreateAccount(request, metadata=live.operator)
    account = (await live.accounts.CreateAccount(request, metadata=live.operator)).account
    await live.server.shared.envelope.destroy_data_key(UUID(account.account_id))
    refused = await refusal(live.accounts.CreateAccount(request, metadata=live.operator))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "CONFLICT")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"account_id": "x"}, "account_id"),
        ({"name": ""}, "name"),
        ({"name": "a\tb"}, "name"),
        ({"email": "nobody"}, "email"),
        ({"plan": "gold"}, "plan"),
    ],
)
async def test_an_account_that_makes_no_sense_is_refused_by_field(
    live: Live, fields: dict[str, str], field: str
) -> None:
    refused = await refusal(live.accounts.CreateAccount(opening(**fields), metadata=live.operator))
    assert refused.reason == "INVALID_INPUT"
    assert refused.error.details == {"field": field}


async def test_a_key_reads_its_own_account_and_its_money(live: Live) -> None:
    request = opening()
    await live.accounts.CreateAccount(request, metadata=live.operator)
    made = await live.new_key(UUID(request.account_id))
    grant = ledger.GrantCreditRequest(
        account_id=request.account_id, amount_micros=12_345_678, idempotency_key="first"
    )
    await live.ledger.GrantCredit(grant, metadata=live.operator)
    account = await live.accounts.GetAccount(pb.GetAccountRequest(), metadata=bearer(made.secret))
    assert (account.account.name, account.account.email) == (request.name, request.email)
    billing = (await live.accounts.GetBilling(pb.GetBillingRequest(), metadata=bearer(made.secret))).billing
    assert billing.balance_micros == 12_345_678
    assert billing.plan_title == "Enterprise Monthly"
    assert billing.subscription_status == ""


async def test_the_free_plan_is_called_free(live: Live) -> None:
    request = opening(plan="free", email="")
    await live.accounts.CreateAccount(request, metadata=live.operator)
    made = await live.new_key(UUID(request.account_id))
    billing = (await live.accounts.GetBilling(pb.GetBillingRequest(), metadata=bearer(made.secret))).billing
    assert (billing.plan_title, billing.balance_micros) == ("Free", 0)
