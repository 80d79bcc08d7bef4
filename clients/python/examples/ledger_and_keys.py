r"""Drives the ledger and the keys of a region over mTLS, from a process of its own.

    python ledger_and_keys.py --target 127.0.0.1:50443 --region us --authorities ca.pem \
        --operator ada.pem ada.key --service gateway.pem gateway.key

Takes two certificates, because the two may do different things: an operator makes accounts, credits and keys; a service
moves held money. Prints one line of JSON a step, and ends with 1 and one sentence when the region says no.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from pathlib import Path

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.keys.v1 import key_service_pb2 as keys
from babysea.ledger.v1 import ledger_service_pb2 as ledger
from babysea_sdk import CallError, InternalClient, TlsFiles, time_limit

GRANT_MICROS = 5_000_000
HOLD_MICROS = 1_200_000


async def run(service: InternalClient, operator: InternalClient) -> None:
    """Makes an account, lets it pay for something, and gives it a key that is checked and revoked."""
    account_id = _uuid7()
    await operator.accounts.create_account(
        accounts.CreateAccountRequest(account_id=account_id, name="Example", plan="enterprise")
    )
    granted = await operator.ledger.grant_credit(
        ledger.GrantCreditRequest(
            account_id=account_id, amount_micros=GRANT_MICROS, idempotency_key="example"
        )
    )
    _tell("granted", result=granted.result)

    hold_id = _uuid7()
    held = await service.ledger.reserve(
        ledger.ReserveRequest(
            account_id=account_id,
            hold_id=hold_id,
            amount_micros=HOLD_MICROS,
            fingerprint=b"example",
            ttl_seconds=600,
        )
    )
    _tell("reserved", result=held.result)
    capture = ledger.CaptureRequest(hold_id=hold_id, amount_micros=HOLD_MICROS)
    captured = await service.ledger.capture(capture)
    repeated = await service.ledger.capture(capture)
    _tell("captured", result=captured.result, repeated=repeated.result)
    answer = await operator.ledger.get_balance(ledger.GetBalanceRequest(account_id=account_id))
    _tell("balance", posted_micros=answer.balance.posted_micros, held_micros=answer.balance.held_micros)

    made = await operator.keys.create_key(
        keys.CreateKeyRequest(account_id=account_id, name="example", preset="read_only")
    )
    question = keys.AuthenticateKeyRequest(secret=made.secret)
    known = await service.keys.authenticate_key(question)
    _tell("key works", account=known.key.account_id == account_id)
    await operator.keys.revoke_key(keys.RevokeKeyRequest(account_id=account_id, key_id=made.key.key_id))
    try:
        await service.keys.authenticate_key(question)
    except CallError as error:
        _tell("key revoked", refused_with=error.name)


async def main(arguments: argparse.Namespace) -> int:
    """Connects twice, once with each certificate."""

    def client(pair: list[Path]) -> InternalClient:
        files = TlsFiles(arguments.authorities, pair[0], pair[1])
        return InternalClient(arguments.target, tls=files, region=arguments.region)

    try:
        async with client(arguments.service) as service, client(arguments.operator) as operator:
            with time_limit(30):
                await run(service, operator)
    except (CallError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _tell(step: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"step": step, **facts}) + "\n")


def _uuid7() -> str:
    """A UUID that begins with the time, as the region wants its ids."""
    millis = int(time.time() * 1000).to_bytes(6, "big")
    rest = bytearray(os.urandom(10))
    rest[0] = 0x70 | rest[0] & 0x0F
    rest[2] = 0x80 | rest[2] & 0x3F
    return str(uuid.UUID(bytes=millis + bytes(rest)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drives ledger and keys of a region over mTLS.")
    parser.add_argument("--target", required=True, help="host:port of the region's port for certificates")
    parser.add_argument("--region", required=True, choices=["us", "eu", "jp"])
    parser.add_argument("--authorities", required=True, type=Path, help="PEM of the authorities to trust")
    for name, holder in (("--operator", "an operator"), ("--service", "a service")):
        parser.add_argument(
            name, required=True, nargs=2, type=Path, metavar=("CERTIFICATE", "KEY"), help=f"of {holder}"
        )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(_arguments())))
