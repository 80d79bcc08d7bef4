"""`babysea account`: makes accounts, and restricts or freezes them."""

from __future__ import annotations

import argparse

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit
from cli.supervisor.layout import REGIONS

STANDINGS = ("active", "restricted", "frozen")
REASONS = ("abuse", "billing", "legal", "request", "review", "resolved")
PLANS = ("free", "starter", "pro", "scale", "enterprise")


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    account = add(commands, everywhere, "account", "make accounts, restrict and freeze them")
    verbs = account.add_subparsers(title="verbs", metavar="VERB", required=True)
    create = add(verbs, everywhere, "create", "make an account in one region")
    create.add_argument(
        "--region", choices=REGIONS, help="region that keeps it (default: the first that runs)"
    )
    create.add_argument("--name", required=True, help="name for people")
    create.add_argument("--email", default="", help="address of its owner")
    create.add_argument("--plan", choices=PLANS, default="free", help="plan (default: free)")
    create.set_defaults(run=create_account)
    standing = add(verbs, everywhere, "standing", "restrict or freeze an account, or let it be")
    standing.add_argument("account", metavar="ID", help="account")
    standing.add_argument(
        "standing",
        choices=STANDINGS,
        help="restricted: nothing new, what stands is looked at and wound down; frozen: looking only",
    )
    standing.add_argument(
        "--reason", choices=REASONS, default="review", help="why, for its activity log (default: review)"
    )
    standing.add_argument(
        "--region", choices=REGIONS, help="region that keeps it (default: the first that runs)"
    )
    standing.set_defaults(run=set_standing)


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


def set_standing(asked: argparse.Namespace) -> int:
    """Sets how the account stands; its owners are told by letter."""
    from babysea.accounts.v1 import settings_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    region = running.region(asked.region)
    request = settings_service_pb2.SetStandingRequest(
        account_id=asked.account, standing=asked.standing, reason=asked.reason
    )
    with running.operator(region) as operator:
        answer = operator.call(operator.settings.set_standing, request)
    facts = {"account": asked.account, "region": region.name, "standing": answer.standing}
    if asked.json:
        render.say_json({**facts, "changed": answer.changed})
        return Exit.OK
    for line in render.facts(facts):
        render.say(line)
    if not answer.changed:
        render.note("It stood so already; nobody was told.")
    return Exit.OK
