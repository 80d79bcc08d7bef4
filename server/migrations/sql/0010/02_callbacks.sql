-- Reports of providers that were taken note of: the same one again changes nothing.
create table generation.callback_seen (
  provider text not null,
  event_id text not null,
  seen_at  timestamptz not null,
  primary key (provider, event_id)
);
create index callback_seen_by_age on generation.callback_seen (seen_at);

-- Makes the generation of an attempt due at once, because its provider reported something. The report's content is not
-- believed: a worker asks the provider. p_job_id is the job that the report is about, p_ref what the adapter needs to find it;
-- null where the report does not say so. Words:
--   woken     a worker looks now                             recorded  the same, and the job of an unanswered submit is known now
--   seen      this report was taken note of before           ended     nobody waits for this attempt any more
--   foreign   the job is another attempt's                   early     the submit may still be answered: report again later
--   unknown   there is no such attempt
create function generation.wake_for_callback(p_attempt uuid, p_event_id text, p_job_id text default null, p_ref jsonb default null)
returns text language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  a generation.attempt;
  t constant timestamptz := clock_timestamp();
  word text := 'woken';
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
  if a.resolved_at is not null then return 'ended'; end if;
  if a.provider_job_id is null and p_job_id is not null and p_ref is not null then
    if generation.record_acceptance(a.generation_id, p_attempt, p_job_id, p_ref) = 'ended' then return 'ended'; end if;
    word := 'recorded';
  end if;
  -- Also a job that is being worked on: it is then due as soon as it is given back.
  update runtime.job set run_after = least(run_after, t) where id = a.generation_id;
  return word;
end $$;
revoke execute on function generation.wake_for_callback from public;
grant execute on function generation.wake_for_callback to babysea_app;

alter table generation.callback_seen enable row level security;
alter table generation.callback_seen force row level security;
create policy definer on generation.callback_seen to babysea_owner using (true) with check (true);

-- Whose attempt it is, so that its report can be checked before its tenant is known: the caller has checked that the
-- address is ours. The model says where a job of it is found.
create function generation.reporter_of(p_attempt uuid) returns table (provider text, model text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select a.provider, g.model from generation.attempt a join generation.generation g on g.id = a.generation_id where a.id = p_attempt
$$;
revoke execute on function generation.reporter_of from public;
grant execute on function generation.reporter_of to babysea_app;
