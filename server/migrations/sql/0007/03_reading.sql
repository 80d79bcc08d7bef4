-- Events of the transaction's tenant as the activity log shows them, newest first; none without a tenant.
create function logs.event_facts(p_generation boolean, p_credit boolean, p_from timestamptz, p_to timestamptz,
                                 p_before timestamptz, p_before_id uuid, p_limit int)
returns table (id uuid, at timestamptz, type text, target uuid, model text, provider text, error_code text, amount_micros bigint)
language sql stable
security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select e.id, e.occurred_at, e.type, e.aggregate_id, e.model_identifier, e.provider, e.error_code, e.amount_micros
    from events.event e
   where e.account_id = nullif(current_setting('app.account_id', true), '')::uuid
     and e.type <> 'attempt.resolved'
     and (p_generation and e.type like 'generation.%' or p_credit and e.type like 'credit.%')
     and e.occurred_at >= coalesce(p_from, '-infinity') and e.occurred_at < coalesce(p_to, 'infinity')
     and (e.occurred_at, e.id) < (coalesce(p_before, 'infinity'), coalesce(p_before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
   order by e.occurred_at desc, e.id desc
   limit p_limit
$$;
