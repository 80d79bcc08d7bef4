-- Records an attempt as generation.begin_attempt does, and in the same transaction which providers of the
-- order were put off for it, because their breakers are open. The same attempt once more adds nothing.
create function generation.begin_chosen_attempt(p_id uuid, p_token bigint, p_attempt uuid, p_ordinal int, p_provider text, p_postponed text[])
returns text language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  known constant boolean := exists (select 1 from generation.attempt where id = p_attempt);
  word constant text := generation.begin_attempt(p_id, p_token, p_attempt, p_ordinal, p_provider);
  n constant int := coalesce(cardinality(p_postponed), 0);
  g generation.generation;
begin
  if word <> 'begun' or known or n = 0 then return word; end if;
  update generation.generation set version = version + n where id = p_id returning * into g;
  insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, provider)
  select g.account_id, p_id, g.version - n + u.o, 'provider.postponed', a.submitted_at, g.traceparent, g.model, u.p
    from unnest(p_postponed) with ordinality u(p, o)
    join generation.attempt a on a.id = p_attempt;
  return word;
end $$;
revoke execute on function generation.begin_chosen_attempt from public;
grant execute on function generation.begin_chosen_attempt to babysea_worker;

-- Finds the jobs that are parts of an attempt; only attempts of several parts are in it.
create index attempt_by_part on generation.attempt using gin ((provider_ref -> 'parts') jsonb_path_ops) where provider_ref ? 'parts';
