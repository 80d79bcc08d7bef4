-- As before, and a job that is another attempt's is no longer an error but a word, and a report that comes before the answer
-- to the submit takes nothing away from that answer. Words: 'recorded', 'known' (before), 'foreign' (the job is another
-- attempt's), 'ended' (the attempt was given up: the provider's job is on record all the same and must be stopped), 'unknown'.
create or replace function generation.record_acceptance(p_id uuid, p_attempt uuid, p_job_id text, p_ref jsonb) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  a generation.attempt;
  t timestamptz;
begin
  perform 1 from runtime.job where id = p_id for no key update;
  perform 1 from generation.generation where id = p_id for no key update;
  select * into a from generation.attempt where id = p_attempt and generation_id = p_id for no key update;
  if not found then return 'unknown'; end if;
  t := clock_timestamp();
  begin
    if a.provider_job_id is not null then
      -- A report named one part of it; now all of them are known.
      if p_ref ? 'parts' and not a.provider_ref ? 'parts' and p_ref -> 'parts' @> jsonb_build_array(jsonb_build_object('job_id', a.provider_job_id)) then
        update generation.attempt set provider_job_id = p_job_id, provider_ref = p_ref where id = p_attempt;
        return case when a.resolved_at is null then 'recorded' else 'ended' end;
      end if;
      return case when a.provider_job_id = p_job_id then 'known' else 'ended' end;
    end if;
    update generation.attempt
       set provider_job_id = p_job_id, provider_ref = p_ref, accepted_at = t,
           state = case when resolved_at is null then 'accepted' else state end,
           error_code = case when resolved_at is null then null else error_code end,
           error_message = case when resolved_at is null then null else error_message end,
           error_kind = case when resolved_at is null then null else error_kind end
     where id = p_attempt;
  exception when unique_violation then
    return 'foreign';
  end;
  if a.resolved_at is not null then return 'ended'; end if;
  update runtime.job set run_after = least(run_after, t + interval '250 milliseconds') where id = p_id and worker is null;
  return 'recorded';
end $$;

-- As before, and an attempt whose job is known is never said to have had no answer: a report may have named it meanwhile.
create or replace function generation.record_attempt(p_id uuid, p_token bigint, p_attempt uuid, p_state text, p_job_id text, p_ref jsonb,
  p_error_code text, p_error_message text, p_error_kind text, p_cost bigint, p_run_millis bigint)
returns text language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  g generation.generation;
  x generation.attempt;
  t timestamptz;
  final constant boolean := p_state in ('failed', 'canceled', 'discarded');
begin
  perform 1 from runtime.job where id = p_id and token = p_token for no key update;
  if not found then return 'stale'; end if;
  select * into g from generation.generation where id = p_id for no key update;
  t := clock_timestamp();
  update generation.attempt a
     set state = p_state, provider_job_id = coalesce(p_job_id, a.provider_job_id), provider_ref = coalesce(p_ref, a.provider_ref),
         error_code = p_error_code, error_message = p_error_message, error_kind = p_error_kind,
         cost_micros = coalesce(p_cost, a.cost_micros), run_millis = coalesce(p_run_millis, a.run_millis),
         accepted_at = case when p_state = 'accepted' then coalesce(a.accepted_at, t) else a.accepted_at end,
         resolved_at = case when final then t end
   where a.id = p_attempt and a.generation_id = p_id and a.resolved_at is null
     and (p_state <> 'submit_unknown' or a.provider_job_id is null)
  returning * into x;
  if not found then return 'recorded'; end if;
  if final then
    update generation.generation set version = version + 1 where id = p_id;
    insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, provider, error_code, elapsed_millis)
    values (g.account_id, p_id, g.version + 1, 'attempt.resolved', t, g.traceparent, g.model, x.provider, p_error_code,
            extract(epoch from t - x.submitted_at) * 1000);
  end if;
  return 'recorded';
end $$;

-- Attempts whose submit may be under way this moment: a job that nobody has on record can be one of theirs.
create index attempt_submitting on generation.attempt (provider, submitted_at) where state = 'submitting';
