-- Deleting a generation: gone for its customer with the commit, its bytes soon after, its money never.
-- The row stays as a tombstone without content: the journal's hold, the provider's bill and the idempotency claim point
-- at it, and the audit goes on to compare it with its hold.
alter table generation.generation add column deleted_at timestamptz;

-- No reader of the request path can forget to leave tombstones out.
alter policy tenant on generation.generation
  using (account_id = nullif(current_setting('app.account_id', true), '')::uuid and deleted_at is null);

-- Deleted generations whose files are still to be removed from the object store.
create table generation.file_removal (
  generation_id uuid primary key references generation.generation,
  account_id    uuid not null,
  run_after     timestamptz not null,
  sweeps        int not null default 0,                  -- times that the store was cleared
  created_at    timestamptz not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index file_removal_due on generation.file_removal (run_after);
alter table generation.file_removal enable row level security;
alter table generation.file_removal force row level security;
create policy definer on generation.file_removal to babysea_owner using (true) with check (true);

-- Deletes for the customer: 'deleted' with the number of its files, or 'unknown' (also for another account's id and for one
-- that was deleted before). One in flight is canceled first, so its hold is released; where a provider may still be at work
-- its job stays, and with it the sealed request, until a worker has wound it down. Locks: job, generation, hold, account.
create function generation.delete_generation(p_account uuid, p_id uuid, out word text, out files int) language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  g generation.generation;
  t timestamptz;
  has_job boolean;
  w text;
begin
  word := 'unknown';
  files := 0;
  -- A stranger's id must not wait for its owner's work, and shows nothing.
  perform 1 from runtime.job j
   where j.id = p_id
     and exists (select 1 from generation.generation x where x.id = p_id and x.account_id = p_account and x.deleted_at is null)
     for no key update of j;
  has_job := found;
  select * into g from generation.generation x
   where x.id = p_id and x.account_id = p_account and x.deleted_at is null for no key update;
  if not found then return; end if;
  if g.state in ('pending', 'processing') then
    -- Admitted after the first statement: canceling without the job's lock would turn the lock order round.
    if not has_job then return; end if;
    select c.word into w from generation.cancel_many(array[p_account], array[p_id]) c;
    if w <> 'canceled' then raise exception 'delete_generation: cancel said %', w; end if;
  end if;
  t := clock_timestamp();
  delete from generation.output o where o.generation_id = p_id;
  get diagnostics files = row_count;
  update generation.generation x set deleted_at = t, removed_at = coalesce(x.removed_at, t), version = x.version + 1
   where x.id = p_id returning * into g;
  insert into generation.file_removal (generation_id, account_id, run_after, created_at) values (p_id, p_account, t, t);
  insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier)
  values (p_account, p_id, g.version, 'generation.deleted', t, g.traceparent, g.model);
  if not exists (select 1 from runtime.job j where j.id = p_id) then
    perform generation.forget_content(p_id);
  end if;
  word := 'deleted';
end $$;

-- Takes the content out of a tombstone. Costs and times stay: they are our books.
create function generation.forget_content(p_id uuid) returns void language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  update generation.generation set request_ct = ''::bytea, error_message = null, provider_errors = null
   where id = p_id and deleted_at is not null;
  update generation.attempt set provider_ref = null, error_message = null where generation_id = p_id and resolved_at is not null;
end $$;

-- Takes deleted generations whose files may be removed, and nobody else takes them for so long. One that a worker still
-- winds down waits: that worker could write another file.
create function generation.take_removals(p_limit int, p_lease interval)
returns table (generation_id uuid, account_id uuid, sweeps int) language sql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
  with due as materialized (
    select r.generation_id from generation.file_removal r
     where r.run_after <= clock_timestamp()
       and not exists (select 1 from runtime.job j where j.id = r.generation_id)
     order by r.run_after limit p_limit for update skip locked)
  update generation.file_removal r set run_after = clock_timestamp() + p_lease
    from due where r.generation_id = due.generation_id
  returning r.generation_id, r.account_id, r.sweeps
$$;

-- Notes that the store was cleared: 'again' after the first time (a worker that lost its lease in the middle of an upload
-- may finish that upload), 'done' after the second, which ends the row.
create function generation.note_removed(p_id uuid, p_again interval) returns text language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  n int;
begin
  -- The generation first, as everywhere.
  perform 1 from generation.generation g where g.id = p_id for no key update;
  perform generation.forget_content(p_id);
  update generation.file_removal r set sweeps = r.sweeps + 1, run_after = clock_timestamp() + p_again
   where r.generation_id = p_id returning r.sweeps into n;
  if n < 2 then return 'again'; end if;
  delete from generation.file_removal r where r.generation_id = p_id;
  return 'done';
end $$;

revoke execute on function generation.delete_generation, generation.forget_content, generation.take_removals, generation.note_removed from public;
grant execute on function generation.delete_generation to babysea_admitter;
grant execute on function generation.take_removals, generation.note_removed to babysea_worker;
