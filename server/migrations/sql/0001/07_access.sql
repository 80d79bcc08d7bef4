-- Who may do what: forced row-level security, definer functions with pinned plans, and grants. Runs last.
-- Functions of later migrations start without an audience, too.
alter default privileges for role babysea_owner revoke execute on functions from public;

do $$
declare
  t text;
  tenant_column text;
  f regprocedure;
begin
  -- Customer-facing tables: the tenant sees its own rows; the owner, whose functions serve every tenant, sees all (forced
  -- row-level security binds the owner too). On a pooled connection the setting comes back as '', hence nullif.
  foreach t in array array['accounts.account', 'keys.api_key', 'ledger.account', 'ledger.hold', 'ledger.transfer', 'generation.claim',
                           'generation.generation', 'generation.attempt', 'generation.output', 'events.event', 'events.outbox'] loop
    tenant_column := case when t in ('accounts.account', 'ledger.account') then 'id' else 'account_id' end;
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('create policy tenant on %s to babysea_app using (%I = nullif(current_setting(''app.account_id'', true), '''')::uuid)', t, tenant_column);
    execute format('create policy definer on %s to babysea_owner using (true) with check (true)', t);
  end loop;
  foreach t in array array['events.event_default', 'runtime.worker', 'runtime.job', 'ledger.house'] loop
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('create policy definer on %s to babysea_owner using (true) with check (true)', t);
  end loop;
  -- Workers serve every tenant of the region; they read, and change only through functions.
  foreach t in array array['accounts.account', 'ledger.account', 'ledger.hold', 'ledger.transfer', 'generation.generation', 'generation.attempt', 'generation.output'] loop
    execute format('create policy worker on %s for select to babysea_worker using (true)', t);
  end loop;
  -- Functions run as their owner, see pg_temp last, and keep plans made for large tables: a connection that planned while
  -- tables were small would keep its sequential scans.
  for f in select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where n.nspname in ('keys', 'ledger', 'generation', 'events', 'runtime') and p.prokind = 'f' loop
    execute format('revoke execute on function %s from public', f);
    continue when f::text like 'ledger.row_bytes%' or f::text like 'ledger.refuse_change%';
    execute format('alter function %s security definer', f);
    execute format('alter function %s set search_path = pg_catalog, pg_temp', f);
    continue when f::text like 'ledger.audit%' or f::text like 'events.ensure_partitions%';
    execute format('alter function %s set enable_seqscan = off', f);
    execute format('alter function %s set plan_cache_mode = force_generic_plan', f);
    if f::text like 'generation.admit_many%' then
      execute format('alter function %s set enable_hashjoin = off', f);
      execute format('alter function %s set enable_mergejoin = off', f);
    end if;
  end loop;
end $$;

grant usage on schema accounts, keys, ledger, generation, events to babysea_app;
grant usage on schema generation to babysea_admitter;
grant usage on schema accounts, ledger, generation, events, runtime to babysea_worker;

grant select, insert, update on accounts.account, keys.api_key to babysea_app;
grant select on ledger.account, ledger.hold, ledger.transfer, generation.generation, generation.attempt, generation.output to babysea_app;
grant execute on function keys.find_key(text), keys.touch_key(uuid), ledger.open_account(uuid, int), generation.find_file(uuid, int) to babysea_app;

grant execute on function generation.admit_many, generation.settle_many, generation.cancel_many to babysea_admitter;

grant select on accounts.account, ledger.account, ledger.hold, ledger.transfer, generation.generation, generation.attempt, generation.output to babysea_worker;
grant execute on function runtime.heartbeat, runtime.reclaim, runtime.claim, runtime.give_back, runtime.finish, runtime.leave, runtime.release_except,
  generation.begin_attempt, generation.record_attempt, generation.record_acceptance, generation.note_cancel_sent, ledger.grant_credit, ledger.reserve, ledger.settle_many,
  ledger.audit, events.ensure_partitions to babysea_worker;
