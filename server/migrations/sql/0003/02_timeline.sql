-- What a timeline needs beyond the record.
alter table generation.attempt add column unknown_at timestamptz; -- when its submit was found to have no answer

-- By a trigger, so that whoever records the state also records its time; it costs the common path nothing.
create function generation.note_unknown() returns trigger language plpgsql
  security definer set search_path = pg_catalog, pg_temp as $$
begin
  new.unknown_at := coalesce(old.unknown_at, clock_timestamp());
  return new;
end $$;
create trigger attempt_unknown before update on generation.attempt
  for each row when (new.state = 'submit_unknown' and old.state <> 'submit_unknown') execute function generation.note_unknown();

-- The events of a generation of the transaction's tenant, in order; none for anything else.
create function generation.timeline_events(p_id uuid)
returns table (type text, occurred_at timestamptz, provider text, error_code text, amount_micros bigint) language sql stable
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
  select e.type, e.occurred_at, e.provider, e.error_code, e.amount_micros
    from generation.generation g
    join events.event e on e.aggregate_id = g.id and e.account_id = g.account_id and e.occurred_at >= g.created_at
   where g.id = p_id and g.account_id = nullif(current_setting('app.account_id', true), '')::uuid and g.deleted_at is null
   order by e.aggregate_version
$$;

revoke execute on function generation.note_unknown, generation.timeline_events from public;
grant execute on function generation.timeline_events to babysea_app;
