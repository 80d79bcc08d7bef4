"""Who may do what in the database: the decisions, one row a thing. A thing without a row fails the test."""

from __future__ import annotations

TABLES: dict[str, dict[str, str]] = {
    # S select, I insert, U update, D delete, T truncate, R references, G trigger, M maintain
    "accounts.account": {"babysea_app": "SIU", "babysea_worker": "S"},
    "keys.api_key": {"babysea_app": "SIUD"},
    "keys.change_counter": {},
    "ledger.house": {},
    "ledger.account": {"babysea_app": "S", "babysea_worker": "S"},
    "ledger.hold": {"babysea_app": "S", "babysea_worker": "S"},
    "ledger.transfer": {"babysea_app": "S", "babysea_worker": "S"},
    "ledger.house_entry": {},
    "ledger.overdue": {},
    "ledger.audit_mark": {},
    "ledger.audit_state": {"babysea_worker": "S"},
    "generation.claim": {},
    "generation.generation": {"babysea_app": "S", "babysea_worker": "S"},
    "generation.attempt": {"babysea_app": "S", "babysea_worker": "S"},
    "generation.output": {"babysea_app": "S", "babysea_worker": "S"},
    "generation.file_removal": {},
    "generation.callback_seen": {},
    "events.event": {},
    "events.event_default": {},
    "events.outbox": {},
    "runtime.worker": {},
    "runtime.job": {},
}
"""Verbs by table and role; the owner's are its own affair. Daily partitions of events.event follow event_default."""

FUNCTIONS: dict[str, set[str]] = {
    "keys.find_key": {"babysea_app"},
    "keys.touch_key": {"babysea_app"},
    "keys.public_id_of": {"babysea_app"},
    "keys.changes": {"babysea_app"},
    "keys.note_change": set(),
    "ledger.refuse_change": set(),
    "ledger.row_bytes": set(),
    "ledger.open_account": {"babysea_app"},
    "ledger.grant_credit": {"babysea_worker"},
    "ledger.reserve": {"babysea_worker"},
    "ledger.settle_many": {"babysea_worker"},
    "ledger.audit": {"babysea_worker"},
    "ledger.audit_changed": {"babysea_worker"},
    "ledger.audit_region": {"babysea_worker"},
    "ledger.audit_begin": {"babysea_worker"},
    "ledger.audit_end": {"babysea_worker"},
    "ledger.book_waste": set(),
    "ledger.house_totals": {"babysea_worker"},
    "ledger.overdue_holds": {"babysea_worker"},
    "ledger.reconcile_hold": {"babysea_worker"},
    "ledger.forget_settled": {"babysea_worker"},
    "generation.admit_many": {"babysea_admitter"},
    "generation.settle_many": {"babysea_admitter"},
    "generation.cancel_many": {"babysea_admitter"},
    "generation.begin_attempt": {"babysea_worker"},
    "generation.begin_chosen_attempt": {"babysea_worker"},
    "generation.record_acceptance": {"babysea_worker"},
    "generation.record_attempt": {"babysea_worker"},
    "generation.note_cancel_sent": {"babysea_worker"},
    "generation.find_file": {"babysea_app"},
    "generation.delete_generation": {"babysea_admitter"},
    "generation.forget_content": set(),
    "generation.take_removals": {"babysea_worker"},
    "generation.note_removed": {"babysea_worker"},
    "generation.note_unknown": set(),
    "generation.timeline_events": {"babysea_app"},
    "generation.wake_for_callback": {"babysea_app"},
    "generation.reporter_of": {"babysea_app"},
    "events.to_outbox": set(),
    "events.ensure_partitions": {"babysea_worker"},
    "runtime.heartbeat": {"babysea_worker"},
    "runtime.reclaim": {"babysea_worker"},
    "runtime.claim": {"babysea_worker"},
    "runtime.give_back": {"babysea_worker"},
    "runtime.finish": {"babysea_worker"},
    "runtime.leave": {"babysea_worker"},
    "runtime.release_except": {"babysea_worker"},
}
"""Roles that may execute each function."""

INVOKERS = {"ledger.refuse_change", "ledger.row_bytes"}
"""Functions that need no rights of their own: they read nothing and are called by definer functions and triggers."""

SCHEMAS: dict[str, set[str]] = {
    "accounts": {"babysea_app", "babysea_worker"},
    "keys": {"babysea_app"},
    "ledger": {"babysea_app", "babysea_worker"},
    "generation": {"babysea_app", "babysea_admitter", "babysea_worker"},
    "events": {"babysea_app", "babysea_worker"},
    "runtime": {"babysea_worker"},
    "public": set(),
}
"""Roles that may use each schema; nobody may create anything in one."""

VAULT: dict[str, dict[str, str]] = {"vault.data_key": {"babysea_app": "SIU", "babysea_worker": "S"}}
"""As TABLES, of the vault database."""
