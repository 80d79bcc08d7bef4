-- The reconciler: holds whose time is over. It never moves a customer's money on a timer alone, see docs/adr/0019.
--
-- What it remembers of a hold that it has met; the row goes with the hold's end, or when the sweep finds it orphaned.
create table ledger.overdue (
  hold_id    uuid primary key,
  seen_at    timestamptz not null,                           -- when the reconciler first met it
  claims     int not null,                                   -- claims of its job by then: one more means that it was asked
  token      bigint not null,                                -- the job's token when it last moved
  token_at   timestamptz not null                            -- when the reconciler first saw that token
);

-- Overdue holds, the oldest first; the partial index makes this independent of how many are settled.
create function ledger.overdue_holds(p_limit int) returns setof uuid language sql stable as $$
  select h.id from ledger.hold h where h.state = 'held' and h.expires_at <= clock_timestamp() order by h.expires_at limit p_limit
$$;

-- Looks at one overdue hold, in a transaction of its own. Words:
--   not_due, settled   nothing to do (any more)                     busy      somebody is at it this moment
--   released           no generation stands behind it: its time is its owner's word
--   adopted            its job was missing and was made again       woken     its job was told to look now
--   waiting            its job is due, claimed, or in its last grace: nothing to add
--   ended              the executor had its chance and p_grace is over: the generation failed with BSE4008
-- Lock order: job, generation, hold, account.
create function ledger.reconcile_hold(p_hold uuid, p_grace interval, p_stuck interval) returns text language plpgsql as $$
declare
  h ledger.hold;
  g generation.generation;
  j runtime.job;
  o ledger.overdue;
  x uuid;
  v text;
  t constant timestamptz := clock_timestamp();
begin
  select * into h from ledger.hold where id = p_hold;
  if not found or h.state <> 'held' then return 'settled'; end if;
  if h.expires_at > t then return 'not_due'; end if;
  -- Generation and hold are born in one transaction, so whoever sees the hold sees whether there is a generation.
  if not exists (select 1 from generation.generation where id = p_hold) then
    perform 1 from ledger.hold where id = p_hold for no key update skip locked;
    if not found then return 'busy'; end if;
    select s.word into v from ledger.settle_many(array[p_hold], array[0::bigint]) s;
    return case when v = 'released' then v else 'settled' end;
  end if;

  select * into j from runtime.job where id = p_hold for no key update skip locked;
  if not found then
    if exists (select 1 from runtime.job where id = p_hold) then return 'busy'; end if;
    -- A token above every one that was ever given for this job, so that no former holder is let in.
    insert into runtime.job (id, run_after, token) values (p_hold, t, (extract(epoch from t) * 1000000)::bigint) on conflict do nothing;
    if not found then return 'busy'; end if;
    select * into g from generation.generation where id = p_hold for no key update;
    if g.state not in ('pending', 'processing') then
      delete from runtime.job where id = p_hold;
      return 'settled';
    end if;
    return 'adopted';
  end if;

  select * into g from generation.generation where id = p_hold for no key update;
  if g.state not in ('pending', 'processing') then return 'settled'; end if;
  insert into ledger.overdue (hold_id, seen_at, claims, token, token_at) values (p_hold, t, j.attempt, j.token, t) on conflict do nothing;
  select * into o from ledger.overdue where hold_id = p_hold;
  if o.token <> j.token then
    update ledger.overdue set token = j.token, token_at = t where hold_id = p_hold returning * into o;
  end if;
  -- The last resort. Every open attempt was asked when a worker had the job since, or has it and hangs.
  if t >= h.expires_at + p_grace and t >= o.seen_at + p_stuck
     and (not exists (select 1 from generation.attempt a where a.generation_id = p_hold and a.resolved_at is null)
          or j.attempt > o.claims or j.worker is not null)
     and (j.worker is null or t >= o.token_at + p_stuck) then
    for x in select a.id from generation.attempt a where a.generation_id = p_hold and a.resolved_at is null order by a.ordinal loop
      perform generation.record_attempt(p_hold, j.token, x, 'discarded', null, null, 'BSE4008', 'The inference provider did not end it in time.', null, null, null);
    end loop;
    select s.word into v
      from generation.settle_many(array[p_hold], array[j.token], array['failed'], array[0::bigint], array[null::uuid], array[null::bigint], array[null::bigint],
                                  array['BSE4008'], array['The inference provider never confirmed the job; nothing was charged.'], array['[]'], array[null::text],
                                  array[null::timestamptz]) s;
    if v <> 'settled' then raise exception 'reconcile_hold: % is %', p_hold, v; end if;
    delete from ledger.overdue where hold_id = p_hold;
    return 'ended';
  end if;
  -- Backing off after failures, or claimed (then it waits for ever): an earlier time wakes it.
  if j.run_after > t then
    update runtime.job set run_after = t where id = p_hold;
    return 'woken';
  end if;
  return 'waiting';
end $$;

-- Forgets holds that have ended since; returns how many.
create function ledger.forget_settled() returns int language plpgsql as $$
declare
  n int;
begin
  delete from ledger.overdue o where exists (select 1 from ledger.hold h where h.id = o.hold_id and h.state <> 'held');
  get diagnostics n = row_count;
  return n;
end $$;

alter table ledger.overdue enable row level security;
alter table ledger.overdue force row level security;
create policy definer on ledger.overdue to babysea_owner using (true) with check (true);

do $$
declare
  f regprocedure;
begin
  for f in select unnest(array['ledger.overdue_holds(int)', 'ledger.reconcile_hold(uuid, interval, interval)', 'ledger.forget_settled()']::regprocedure[]) loop
    execute format('revoke execute on function %s from public', f);
    execute format('alter function %s security definer', f);
    execute format('alter function %s set search_path = pg_catalog, pg_temp', f);
    execute format('alter function %s set enable_seqscan = off', f);
    execute format('alter function %s set plan_cache_mode = force_generic_plan', f);
    execute format('grant execute on function %s to babysea_worker', f);
  end loop;
end $$;
