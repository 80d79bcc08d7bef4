-- Late successes. An attempt that ended as failed or canceled, but had a job at its provider, is asked about again: the
-- provider may finish the job all the same, and bill it. What comes that late is never charged and never delivered: the
-- attempt becomes 'discarded', and its cost is booked to waste, see docs/adr/0027.
alter table generation.attempt
  add column late_at  timestamptz,                                            -- when its late success was found
  add column ended_as text check (ended_as in ('failed', 'canceled')),        -- what it had been until then
  add check ((late_at is null) = (ended_as is null)),
  add check (late_at is null or state = 'discarded');

-- Attempts to ask about again. The reference is a copy: deleting a generation takes the attempt's own away.
create table generation.late_look (
  attempt_id    uuid primary key,
  generation_id uuid not null,
  provider      text not null,
  provider_ref  jsonb not null,
  run_after     timestamptz not null,
  token         bigint not null default 0,               -- of whoever looks; a report meanwhile makes it void
  looks         int not null default 0,                  -- times that the provider answered
  created_at    timestamptz not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index late_look_due on generation.late_look (run_after);
alter table generation.late_look enable row level security;
alter table generation.late_look force row level security;
create policy definer on generation.late_look to babysea_owner using (true) with check (true);

-- In the transaction that ends the attempt, or that learns its job after its end; so no crash forgets to ask.
create function generation.watch_for_late_success() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into generation.late_look (attempt_id, generation_id, provider, provider_ref, run_after, created_at)
  values (new.id, new.generation_id, new.provider, new.provider_ref, clock_timestamp() + interval '1 minute', clock_timestamp())
  on conflict do nothing;
  return null;
end $$;
create trigger attempt_watched after update on generation.attempt for each row
  when (new.state in ('failed', 'canceled') and new.resolved_at is not null and new.provider_ref is not null
        and (old.resolved_at is null or old.provider_ref is null))
  execute function generation.watch_for_late_success();

-- The waste book takes a late success too, unless the attempt was booked when it ended.
create trigger attempt_wasted_late after update on generation.attempt for each row
  when (old.late_at is null and new.late_at is not null and old.cost_micros = 0)
  execute function ledger.book_waste();

-- Takes attempts that are due to be asked about; nobody else takes them for so long.
create function generation.take_late_looks(p_limit int, p_lease interval)
returns table (attempt_id uuid, generation_id uuid, provider text, provider_ref jsonb, looks int, token bigint, age_seconds double precision)
language sql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
  with due as materialized (
    select l.attempt_id from generation.late_look l where l.run_after <= clock_timestamp()
     order by l.run_after limit p_limit for update skip locked)
  update generation.late_look l set run_after = clock_timestamp() + p_lease, token = l.token + 1
    from due where l.attempt_id = due.attempt_id
  returning l.attempt_id, l.generation_id, l.provider, l.provider_ref, l.looks, l.token, extract(epoch from clock_timestamp() - l.created_at)::double precision
$$;

-- Puts the next look off, or ends the asking where p_next is null; nothing where the token is no longer the caller's.
create function generation.note_late_look(p_attempt uuid, p_token bigint, p_answered boolean, p_next interval) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  if p_next is null then
    delete from generation.late_look where attempt_id = p_attempt and token = p_token;
  else
    update generation.late_look set run_after = clock_timestamp() + p_next, looks = looks + p_answered::int
     where attempt_id = p_attempt and token = p_token;
  end if;
end $$;

-- Books a late success: 'booked', or 'known' for an attempt that is no longer failed or canceled, or gone. A cost that was
-- booked at its end stays. Locks: generation, attempt; the ledger's accounts are not touched.
create function generation.book_late_success(p_generation uuid, p_attempt uuid, p_cost bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  g generation.generation;
  a generation.attempt;
  t timestamptz;
begin
  select * into g from generation.generation where id = p_generation for no key update;
  t := clock_timestamp();
  update generation.attempt x
     set state = 'discarded', ended_as = x.state, late_at = t, cost_micros = case when x.cost_micros > 0 then x.cost_micros else coalesce(p_cost, 0) end
   where x.id = p_attempt and x.generation_id = p_generation and x.state in ('failed', 'canceled') and x.resolved_at is not null
  returning * into a;
  delete from generation.late_look where attempt_id = p_attempt;
  if a.id is null then return 'known'; end if;
  update generation.generation set version = version + 1 where id = p_generation;
  insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, provider, error_code, elapsed_millis)
  values (g.account_id, p_generation, g.version + 1, 'attempt.late_success', t, g.traceparent, g.model, a.provider, a.error_code,
          extract(epoch from t - a.submitted_at) * 1000);
  return 'booked';
end $$;

revoke execute on function generation.watch_for_late_success, generation.take_late_looks, generation.note_late_look, generation.book_late_success from public;
grant execute on function generation.take_late_looks, generation.note_late_look, generation.book_late_success to babysea_worker;
