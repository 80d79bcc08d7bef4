-- Writes requests, and the daily counts of those made with a key, in one transaction; the number of rows that are new. Writing a batch again changes
-- nothing. A request that has a row already (the gateway repeated its call) gets the later outcome, and the counts follow.
--
-- Whoever deletes a key waits for the batches in flight and holds up the next ones (logs.forget_key), so no row of a deleted
-- key is written after its deletion; such a request only counts.
create function logs.write_requests(p_id uuid[], p_account uuid[], p_key uuid[], p_person uuid[], p_at timestamptz[],
                                    p_ended timestamptz[], p_surface text[], p_method text[], p_route text[], p_query text[],
                                    p_status int[], p_code text[], p_millis int[], p_replayed boolean[], p_address bytea[],
                                    p_agent text[], p_request text[])
returns int language plpgsql
security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  n int;
begin
  perform pg_advisory_xact_lock_shared(7070001);
  with given as (
    select g.*, g.key_id is null or k.id is not null as kept
      from unnest(p_id, p_account, p_key, p_person, p_at, p_ended, p_surface, p_method, p_route, p_query, p_status, p_code,
                  p_millis, p_replayed, p_address, p_agent, p_request)
           as g (id, account_id, key_id, person_id, at, ended_at, surface, method, route, query, status, bse_code, millis, replayed,
                 address_hash, user_agent, request_id)
      -- The limit makes it one look-up a row, however few keys there were when this was planned.
      left join lateral (select x.id from keys.api_key x where x.id = g.key_id limit 1) k on true
  ), written as (
    insert into logs.request as r (id, account_id, key_id, person_id, at, ended_at, surface, method, route, query, status, bse_code,
                                   millis, replayed, address_hash, user_agent, request_id)
    select g.id, g.account_id, g.key_id, g.person_id, g.at, g.ended_at, g.surface, g.method, g.route, g.query, g.status, g.bse_code,
           g.millis, g.replayed, g.address_hash, g.user_agent, g.request_id
      from given g where g.kept order by g.account_id, g.at, g.id
    on conflict (account_id, at, id) do update
      set ended_at = excluded.ended_at, status = excluded.status, bse_code = excluded.bse_code, replayed = excluded.replayed,
          millis = r.millis + excluded.millis
      where excluded.ended_at > r.ended_at
    returning new.account_id, new.key_id, new.at, new.surface, new.method, new.route, new.status, new.bse_code,
              old.status as old_status, old.bse_code as old_code
  ), counted as (
    select * from written
    union all
    select g.account_id, g.key_id, g.at, g.surface, g.method, g.route, g.status, g.bse_code, null, null from given g where not g.kept
  ), facts as (
    select c.account_id, c.key_id, c.at, (c.at at time zone 'UTC')::date as day, f.status, f.code, f.sign,
           case c.surface when 'rest' then c.method || ' ' || c.route else c.route end as endpoint
      from counted c
      cross join lateral (select c.status::int as status, c.bse_code as code, 1 as sign
                          union all
                          select c.old_status::int, c.old_code, -1 where c.old_status is not null) f
     where c.key_id is not null
  ), codes as (
    select x.account_id, x.day, x.endpoint, jsonb_object_agg(x.code, x.count) as counts
      from (select f.account_id, f.day, f.endpoint, f.code, sum(f.sign) as count from facts f
             where f.code is not null group by 1, 2, 3, 4) x
     where x.count <> 0 group by 1, 2, 3
  ), used as (
    insert into logs.usage_daily as u (account_id, day, endpoint, requests, success, client_errors, server_errors, error_codes)
    select f.account_id, f.day, f.endpoint, f.requests, f.success, f.client_errors, f.server_errors, coalesce(c.counts, '{}')
      from (select account_id, day, endpoint, sum(sign) as requests, coalesce(sum(sign) filter (where status < 400), 0) as success,
                   coalesce(sum(sign) filter (where status between 400 and 499), 0) as client_errors,
                   coalesce(sum(sign) filter (where status >= 500), 0) as server_errors
              from facts group by 1, 2, 3) f
      left join codes c using (account_id, day, endpoint)
     order by 1, 2, 3
    on conflict (account_id, day, endpoint) do update
      set requests = u.requests + excluded.requests, success = u.success + excluded.success,
          client_errors = u.client_errors + excluded.client_errors, server_errors = u.server_errors + excluded.server_errors,
          error_codes = case when excluded.error_codes = '{}' then u.error_codes else
            (select coalesce(jsonb_object_agg(e.key, e.count) filter (where e.count <> 0), '{}')
               from (select b.key, sum(b.value::bigint) as count
                       from (select * from jsonb_each_text(u.error_codes) union all select * from jsonb_each_text(excluded.error_codes)) b
                      group by b.key) e) end
    returning 1
  ), keyed as (
    insert into logs.key_daily as d (account_id, key_id, day, requests, errors, last_at)
    select f.account_id, f.key_id, f.day, sum(f.sign), coalesce(sum(f.sign) filter (where f.status >= 400), 0), max(f.at)
      from facts f
     -- Counting `used` first makes it run first: every process locks these two tables in the same order.
     where (select count(*) from used) >= 0
     group by 1, 2, 3 order by 1, 2, 3
    on conflict (account_id, key_id, day) do update
      set requests = d.requests + excluded.requests, errors = d.errors + excluded.errors, last_at = greatest(d.last_at, excluded.last_at)
    returning 1
  )
  select count(*) filter (where w.old_status is null) + 0 * (select count(*) from keyed) into n from written w;
  return n;
end $$;

-- Says that a process gave up rows.
create function logs.note_gap(p_process text, p_began timestamptz, p_ended timestamptz, p_lost bigint) returns void language sql
security definer set search_path = pg_catalog, pg_temp
as $$
  insert into logs.gap (process, began_at, ended_at, lost) values (p_process, p_began, p_ended, p_lost)
$$;

-- Notes what was done to an account, in the transaction that does it. Whoever acts for an account notes things of no other.
create function logs.note_activity(p_account uuid, p_actor uuid, p_category text, p_action text, p_target uuid, p_details jsonb)
returns void language plpgsql
security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_account <> nullif(current_setting('app.account_id', true), '')::uuid then
    raise insufficient_privilege using message = 'activity of another account';
  end if;
  insert into logs.activity (account_id, actor_person, category, action, target, details)
  values (p_account, p_actor, p_category, p_action, p_target, coalesce(p_details, '{}'));
end $$;

-- Removes the rows of a key of the transaction's tenant, which is being deleted; its daily counts stay. The number of rows.
-- Nobody sees rows of a key that is not there, so what is too much for one transaction is left to logs.forget_gone_keys.
create function logs.forget_key(p_key uuid) returns bigint language plpgsql
security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  n bigint;
begin
  perform pg_advisory_xact_lock(7070001);
  delete from logs.request r
   using (select x.account_id, x.at, x.id from logs.request x
           where x.account_id = nullif(current_setting('app.account_id', true), '')::uuid and x.key_id = p_key limit 20000) d
   where r.account_id = d.account_id and r.at = d.at and r.id = d.id;
  get diagnostics n = row_count;
  return n;
end $$;

-- Removes rows of keys that are not there any more, at most so many; run by upkeep until it finds none.
create function logs.forget_gone_keys(p_limit int) returns bigint language plpgsql
security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  n bigint;
begin
  delete from logs.request r
   using (select x.account_id, x.at, x.id
            from (select distinct d.account_id, d.key_id from logs.key_daily d
                   where not exists (select 1 from keys.api_key k where k.id = d.key_id)) gone
            join lateral (select q.account_id, q.at, q.id from logs.request q
                           where q.account_id = gone.account_id and q.key_id = gone.key_id limit p_limit) x on true
           limit p_limit) d
   where r.account_id = d.account_id and r.at = d.at and r.id = d.id;
  get diagnostics n = row_count;
  return n;
end $$;
