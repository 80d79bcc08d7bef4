-- As before, and a report about an attempt that ended without success has the provider asked about it at once:
--   late      the attempt had ended as failed or canceled; a worker asks whether its job was done all the same
-- A job that only such a report names is put on record, too: the request whose answer was lost did arrive.
create or replace function generation.wake_for_callback(p_attempt uuid, p_event_id text, p_job_id text default null, p_ref jsonb default null)
returns text language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  a generation.attempt;
  t constant timestamptz := clock_timestamp();
  word text := 'woken';
  known text;
begin
  select * into a from generation.attempt where id = p_attempt;
  if not found then return 'unknown'; end if;
  if a.provider_job_id is not null and p_job_id is distinct from a.provider_job_id and p_job_id is not null
     and not coalesce(a.provider_ref -> 'parts' @> jsonb_build_array(jsonb_build_object('job_id', p_job_id)), false) then
    return 'foreign';
  end if;
  if a.provider_job_id is null
     and exists (select 1 from generation.attempt o where o.provider = a.provider and o.provider_job_id = p_job_id) then
    return 'foreign';
  end if;
  if a.provider_job_id is null and a.state = 'submitting' and a.submitted_at > t - interval '30 seconds' then return 'early'; end if;
  insert into generation.callback_seen (provider, event_id, seen_at) values (a.provider, p_event_id, t) on conflict do nothing;
  if not found then return 'seen'; end if;
  delete from generation.callback_seen s
   where (s.provider, s.event_id) in (select o.provider, o.event_id from generation.callback_seen o
                                       where o.seen_at < t - interval '3 days' order by o.seen_at limit 100 for update skip locked);
  if a.resolved_at is not null and a.state not in ('failed', 'canceled') then return 'ended'; end if;
  if a.provider_job_id is null and p_job_id is not null and p_ref is not null then
    known := generation.record_acceptance(a.generation_id, p_attempt, p_job_id, p_ref);
    -- Ended since it was read above: whoever ended it has it watched.
    if known = 'ended' and a.resolved_at is null then return 'ended'; end if;
    if known = 'recorded' then word := 'recorded'; end if;
  end if;
  if a.resolved_at is null then
    -- Also a job that is being worked on: it is then due as soon as it is given back.
    update runtime.job set run_after = least(run_after, t) where id = a.generation_id;
    return word;
  end if;
  -- Watched anew where its last look is over. A deleted generation's reference is gone; what is still watched has a copy.
  insert into generation.late_look (attempt_id, generation_id, provider, provider_ref, run_after, created_at)
  select x.id, x.generation_id, x.provider, x.provider_ref, t, t
    from generation.attempt x where x.id = p_attempt and x.state in ('failed', 'canceled') and x.provider_ref is not null
  on conflict (attempt_id) do nothing;
  update generation.late_look set run_after = t, token = token + 1 where attempt_id = p_attempt;
  return case when found then 'late' else 'ended' end;
end $$;
