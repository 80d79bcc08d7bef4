"""The bootstrap account of a region: Enterprise plan, 1,000 credits, one key; made once, kept over restarts."""

from __future__ import annotations

from dataclasses import dataclass, field

from babysea.accounts.v1 import account_service_pb2
from babysea.common.v1 import paging_pb2
from babysea.keys.v1 import key_service_pb2
from babysea.ledger.v1 import ledger_service_pb2
from cli.errors import CliError
from cli.grpc_client import Operator
from cli.supervisor.files import read_json, write_json
from cli.supervisor.layout import RegionLayout
from kit.ids import uuid7
from kit.money import MICROS

_CREDITS_MICROS = 1_000 * MICROS
_NAME = "bootstrap"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The account and its key."""

    account_id: str
    api_key: str = field(repr=False)


def ensure(place: RegionLayout, operator: Operator) -> Bootstrap:
    """Makes what is missing; every step may be repeated, so a crash between two of them costs nothing.

    Raises:
        CliError: the region refused or does not answer.
    """
    path = place.secrets / "bootstrap.json"
    known = read_json(path)
    account_id = str(known.get("account_id") or uuid7())
    # The id is on disk before the account exists: after a crash the same account is asked for again.
    write_json(path, {**known, "account_id": account_id})
    operator.call(
        operator.accounts.create_account,
        account_service_pb2.CreateAccountRequest(account_id=account_id, name="Bootstrap", plan="enterprise"),
    )
    granted = operator.call(
        operator.ledger.grant_credit,
        ledger_service_pb2.GrantCreditRequest(
            account_id=account_id, amount_micros=_CREDITS_MICROS, idempotency_key=_NAME
        ),
    )
    if granted.result not in {"granted", "already_granted"}:
        raise CliError(f"The bootstrap account got no credits: the ledger said “{granted.result}”.")
    active = _active_keys(operator, account_id)
    if known.get("api_key") and known.get("key_id") in active:
        return Bootstrap(account_id, str(known["api_key"]))
    return _new_key(path_of=place, operator=operator, account_id=account_id, active=active)


def _new_key(path_of: RegionLayout, operator: Operator, account_id: str, active: dict[str, str]) -> Bootstrap:
    for key_id, name in active.items():
        if name == _NAME:
            # Left by a crash between its making and its writing down: nobody knows its secret.
            operator.call(
                operator.keys.revoke_key,
                key_service_pb2.RevokeKeyRequest(account_id=account_id, key_id=key_id),
            )
    made = operator.call(
        operator.keys.create_key,
        key_service_pb2.CreateKeyRequest(account_id=account_id, name=_NAME, preset="full_access"),
    )
    write_json(
        path_of.secrets / "bootstrap.json",
        {"account_id": account_id, "key_id": made.key.key_id, "api_key": made.secret},
    )
    return Bootstrap(account_id, made.secret)


def _active_keys(operator: Operator, account_id: str) -> dict[str, str]:
    """Names of the account's keys that still work, by id."""
    found: dict[str, str] = {}
    token = ""
    while True:
        page = paging_pb2.PageRequest(page_size=100, page_token=token)
        answer = operator.call(
            operator.keys.list_keys, key_service_pb2.ListKeysRequest(account_id=account_id, page=page)
        )
        found.update({key.key_id: key.name for key in answer.keys if not key.HasField("revoked_at")})
        token = answer.page.next_page_token
        if not token:
            return found
