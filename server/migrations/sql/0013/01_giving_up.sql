-- Ends an attempt whose submit got no answer, as record_attempt does, unless its job has become known meanwhile: a signed report
-- may name it while a worker still reads the provider's list. Words: those of record_attempt, and 'known' (it goes on).
create function generation.give_up_attempt(p_id uuid, p_token bigint, p_attempt uuid, p_state text,
  p_error_code text, p_error_message text, p_error_kind text, p_cost bigint)
returns text language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  -- The locks of record_acceptance, in its order, so that one of the two sees what the other did.
  perform 1 from runtime.job where id = p_id and token = p_token for no key update;
  if not found then return 'stale'; end if;
  perform 1 from generation.generation where id = p_id for no key update;
  perform 1 from generation.attempt
   where id = p_attempt and generation_id = p_id and resolved_at is null and provider_job_id is not null for no key update;
  if found then return 'known'; end if;
  return generation.record_attempt(p_id, p_token, p_attempt, p_state, null, null, p_error_code, p_error_message, p_error_kind, p_cost, null);
end $$;

revoke execute on function generation.give_up_attempt from public;
grant execute on function generation.give_up_attempt to babysea_worker;
