"""plans.toml: what each plan allows, costs and keeps."""

from __future__ import annotations

from server.catalog.table import Table
from server.catalog.types import Plan, Retention


def read_plans(file: Table) -> tuple[dict[str, Plan], int, int]:
    """The plans by id, the failed authentications that an address may make in a minute, and the welcome credit."""
    failures = file.whole("pre_auth_failures_per_minute", 1)
    welcome = file.money("welcome_credit", zero=True)
    plans_table = file.table("plans")
    plans = {plan_id: _read_plan(plan_id, plans_table.table(plan_id)) for plan_id in plans_table.names()}
    if not plans:
        raise file.error("plans", "must hold at least one plan")
    file.finish()
    return plans, failures, welcome


def _read_plan(plan_id: str, table: Table) -> Plan:
    plan = Plan(
        plan_id=plan_id,
        title=table.text("title"),
        monthly_micros=table.money("monthly_price", zero=True),
        yearly_micros=table.money("yearly_price", zero=True),
        requests_per_minute=table.whole("requests_per_minute", 1),
        in_flight=table.whole("in_flight", 1),
        retention=_read_retention(table.table("retention_seconds")),
    )
    table.finish()
    return plan


def _read_retention(table: Table) -> Retention:
    retention = Retention(
        output_files=table.whole("output_files", 60),
        records=table.whole("records", 60),
        api_logs=table.whole("api_logs", 60),
        webhook_logs=table.whole("webhook_logs", 60),
        activity=table.whole("activity", 60),
        ledger=table.whole("ledger", 60),
    )
    table.finish()
    return retention
