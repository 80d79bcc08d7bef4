"""`babysea ledger audit`: proves that the money is right."""

from __future__ import annotations

import argparse

from cli import render
from cli.commands.declare import Subparsers, add
from cli.errors import Exit
from cli.supervisor.layout import REGIONS

_AUDIT_SECONDS = 600.0


def register(commands: Subparsers, everywhere: argparse.ArgumentParser) -> None:
    """Declares the command."""
    ledger = add(commands, everywhere, "ledger", "check the ledger")
    verbs = ledger.add_subparsers(title="verbs", metavar="VERB", required=True)
    audit = add(
        verbs,
        everywhere,
        "audit",
        "check every invariant and re-hash every chain",
        "Check every invariant of the ledger and re-hash every chain. Exit code 1 when anything is found.",
    )
    audit.add_argument("--region", choices=REGIONS, help="only this region (default: all that run)")
    audit.set_defaults(run=command)


def command(asked: argparse.Namespace) -> int:
    """Audits the regions and prints what was found."""
    from babysea.ledger.v1 import ledger_service_pb2
    from cli.running import find

    running = find(asked.data_dir)
    regions = [running.region(asked.region)] if asked.region else list(running.regions.values())
    report: dict[str, dict[str, object]] = {}
    clean = True
    for region in regions:
        with running.operator(region) as operator:
            answer = operator.call(
                operator.ledger.audit_ledger, ledger_service_pb2.AuditLedgerRequest(), seconds=_AUDIT_SECONDS
            )
        findings = [
            {"invariant": finding.invariant, "subject": finding.subject} for finding in answer.findings
        ]
        clean = clean and not findings
        report[region.name] = {"accounts": answer.accounts, "entries": answer.entries, "findings": findings}
        if not asked.json:
            word = render.styled("clean", "green") if not findings else render.styled("VIOLATED", "red")
            render.say(
                f"{region.name}  {word}  {answer.accounts} accounts, {answer.entries} entries re-hashed"
            )
            for finding in findings:
                render.say(f"    {finding['invariant']}: {finding['subject']}")
    if asked.json:
        render.say_json({"clean": clean, "regions": report})
    return Exit.OK if clean else Exit.FAILED
