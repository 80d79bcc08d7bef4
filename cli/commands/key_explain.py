"""`babysea key explain`: which check would decide a customer's call, and how."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from cli import render
from cli.errors import CliError, Exit

if TYPE_CHECKING:
    from babysea.keys.v1.key_service_pb2 import ExplainAccessResponse

DEFAULT_METHOD = "babysea.generation.v1.GenerationService/CreateGeneration"


def register_explain(explain: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    # The secret comes on standard input: an argument would stand in the shell's history and in the process list.
    explain.add_argument(
        "key_id",
        nargs="?",
        metavar="KEY_ID",
        help="id of the key; without it the key is read from standard input",
    )
    explain.add_argument(
        "--method",
        default=DEFAULT_METHOD,
        metavar="NAME",
        help=f"full name of the method (default: {DEFAULT_METHOD})",
    )
    explain.add_argument("--address", default="", metavar="IP", help="address that the call comes from")
    explain.set_defaults(run=explain_access)


def explain_access(asked: argparse.Namespace) -> int:
    """Prints every check and what becomes of it; nothing is counted and nothing changes."""
    from babysea.keys.v1 import key_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    region = running.region(asked.region)
    request = key_service_pb2.ExplainAccessRequest(method=asked.method, client_address=asked.address)
    if asked.key_id:
        request.key_id = asked.key_id
    else:
        request.secret = _secret()
    with running.operator(region) as operator:
        told = operator.call(operator.keys.explain_access, request)
    if asked.json:
        render.say_json(_as_json(told))
        return Exit.OK
    verdict = "allowed" if told.allowed else f"refused: {told.reason} by {_check(told.decided_by)}"
    for line in render.facts({"call": asked.method, "key": told.key.prefix or "unknown", "verdict": verdict}):
        render.say(line)
    rows = [(_check(one.check), _outcome(one.outcome), one.explanation) for one in told.findings]
    for line in render.table(rows, header=("check", "outcome", "why")):
        render.say(line)
    return Exit.OK


def _secret() -> str:
    if sys.stdin.isatty():
        render.note("Type or paste the key, then press Enter.")
    secret = sys.stdin.readline().strip()
    if not secret:
        raise CliError("There is no key on standard input; give a KEY_ID, or send the key there.", Exit.USAGE)
    return secret


def _check(number: int) -> str:
    from babysea.keys.v1 import key_service_pb2 as pb

    return pb.AccessCheck.Name(pb.AccessCheck.ValueType(number)).removeprefix("ACCESS_CHECK_").lower()


def _outcome(number: int) -> str:
    from babysea.keys.v1 import key_service_pb2 as pb

    name = pb.AccessOutcome.Name(pb.AccessOutcome.ValueType(number))
    return name.removeprefix("ACCESS_OUTCOME_").lower().replace("_", " ")


def _as_json(told: ExplainAccessResponse) -> dict[str, object]:
    return {
        "allowed": told.allowed,
        "decided_by": None if told.allowed else _check(told.decided_by),
        "reason": told.reason or None,
        "key_id": told.key.key_id or None,
        "account_id": told.key.account_id or None,
        "findings": [
            {
                "check": _check(one.check),
                "outcome": _outcome(one.outcome),
                "explanation": one.explanation or None,
            }
            for one in told.findings
        ],
    }
