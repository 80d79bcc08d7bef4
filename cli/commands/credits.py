"""`babysea credits grant`: adds credits to an account."""

from __future__ import annotations

import argparse

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import CliError, Exit
from cli.supervisor.layout import REGIONS


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    purse = add(commands, everywhere, "credits", "add credits")
    verbs = purse.add_subparsers(title="verbs", metavar="VERB", required=True)
    grant = add(
        verbs,
        everywhere,
        "grant",
        "add credits to an account, once per key",
        "Add credits to an account. One credit is one US dollar. The same --key never adds twice.",
    )
    grant.add_argument(
        "--region", choices=REGIONS, help="region of the account (default: the first that runs)"
    )
    grant.add_argument("--account", metavar="ID", help="account (default: the bootstrap account)")
    grant.add_argument("--amount", required=True, metavar="12.5", help="credits, with up to six decimals")
    grant.add_argument(
        "--key", required=True, metavar="IDEMPOTENCY", help='what it is for, e.g. "invoice:in_123"'
    )
    grant.set_defaults(run=grant_credits)


def grant_credits(asked: argparse.Namespace) -> int:
    """Adds the credits and prints the balance."""
    from babysea.ledger.v1 import ledger_service_pb2
    from cli.running import find
    from kit.money import show

    amount = exact_micros(asked.amount)
    running = find(asked.data_dir)
    region = running.region(asked.region)
    request = ledger_service_pb2.GrantCreditRequest(
        account_id=asked.account or region.account_id, amount_micros=amount, idempotency_key=asked.key
    )
    with running.operator(region) as operator:
        answer = operator.call(operator.ledger.grant_credit, request)
    if answer.result not in {"granted", "already_granted"}:
        reasons = {
            "conflict": "The key was used before with another amount; choose another --key.",
            "no_account": "There is no such account in this region; see --account and --region.",
        }
        raise CliError(reasons.get(answer.result, f"The ledger said “{answer.result}”."), Exit.REFUSED)
    balance = answer.balance
    if asked.json:
        render.say_json(
            {
                "result": answer.result,
                "account_id": balance.account_id,
                "available_micros": balance.available_micros,
            }
        )
        return Exit.OK
    done = (
        f"Granted {show(amount)}" if answer.result == "granted" else f"{show(amount)} had been granted before"
    )
    render.say(f"{done}; {show(balance.available_micros)} can be spent now.")
    return Exit.OK


def exact_micros(text: str) -> int:
    """Micro-dollars of a positive amount of credits.

    Raises:
        CliError: it is not one, or has more than six decimals.
    """
    from decimal import Decimal, InvalidOperation

    try:
        exact = Decimal(text) * 1_000_000
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact <= 0 or exact != exact.to_integral_value():
        raise CliError(
            f"{text!r} is not an amount of credits; write a positive number with at most six decimals, like 12.5.",
            Exit.USAGE,
        )
    return int(exact)
