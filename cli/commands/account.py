"""`babysea account create`: makes an account."""

from __future__ import annotations

import argparse

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit
from cli.supervisor.layout import REGIONS

PLANS = ("free", "starter", "pro", "scale", "enterprise")


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    account = add(commands, everywhere, "account", "make accounts")
    verbs = account.add_subparsers(title="verbs", metavar="VERB", required=True)
    create = add(verbs, everywhere, "create", "make an account in one region")
    create.add_argument(
        "--region", choices=REGIONS, help="region that keeps it (default: the first that runs)"
    )
    create.add_argument("--name", required=True, help="name for people")
    create.add_argument("--email", default="", help="address of its owner")
    create.add_argument("--plan", choices=PLANS, default="free", help="plan (default: free)")
    create.set_defaults(run=create_account)


def create_account(asked: argparse.Namespace) -> int:
    """Makes the account and prints its id."""
    from babysea.accounts.v1 import account_service_pb2
    from cli.running import find
    from kit.ids import uuid7

    running = find(asked.data_dir)
    region = running.region(asked.region)
    request = account_service_pb2.CreateAccountRequest(
        account_id=str(uuid7()), name=asked.name, email=asked.email, plan=asked.plan
    )
    with running.operator(region) as operator:
        account = operator.call(operator.accounts.create_account, request).account
    if asked.json:
        render.say_json({"account_id": account.account_id, "region": region.name, "plan": account.plan})
        return Exit.OK
    for line in render.facts({"account": account.account_id, "region": region.name, "plan": account.plan}):
        render.say(line)
    render.note(
        f"Next: babysea key create --region {region.name} --account {account.account_id} --name my-program"
    )
    return Exit.OK
