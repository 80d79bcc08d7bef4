-- Low-balance alerts: found by looking at accounts whose money moved, after it moved; admission does nothing for them.
create table notifications.alert_look (
  one       boolean primary key default true check (one),
  looked_at timestamptz not null,                         -- movements before this were looked at
  round_at  timestamptz not null                          -- every account was looked at
);
alter table notifications.alert_look enable row level security;
alter table notifications.alert_look force row level security;
create policy definer on notifications.alert_look to babysea_owner using (true) with check (true);

-- An account that never had money is no account that runs out of it, so an empty journal crosses nothing.
--
-- Accounts with a threshold to cross now, in either direction, of those whose money moved since the last look; of all when
-- no complete round was made for so long, so that nothing is missed for good. Nobody else looks until the transaction ends:
-- no row then. An event is visible at most `p_overlap` after its time.
create function notifications.crossing_accounts(p_overlap interval, p_round interval, p_limit int) returns setof uuid language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  now_at constant timestamptz := clock_timestamp();
  seen notifications.alert_look;
  found_ids uuid[];
begin
  if not pg_try_advisory_xact_lock(hashtext('babysea.notifications.alerts')) then return; end if;
  select * into seen from notifications.alert_look;
  if seen.round_at is null or seen.round_at < now_at - p_round then
    select array_agg(x.account_id) into found_ids from (
      select distinct t.account_id from accounts.alert_threshold t join ledger.account a on a.id = t.account_id
       where a.version > 0 and t.armed = (a.posted - a.held < t.threshold_micros) limit p_limit) x;
    seen.round_at := now_at;
  else
    select array_agg(x.account_id) into found_ids from (
      select distinct t.account_id
        from (select distinct e.account_id from events.event e where e.occurred_at >= seen.looked_at - p_overlap) m
        join accounts.alert_threshold t on t.account_id = m.account_id
        join ledger.account a on a.id = m.account_id
       where a.version > 0 and t.armed = (a.posted - a.held < t.threshold_micros) limit p_limit) x;
  end if;
  -- A look that found all it may find may have left some: the next one begins at the same place.
  if coalesce(cardinality(found_ids), 0) < p_limit then
    insert into notifications.alert_look (looked_at, round_at) values (now_at, seen.round_at)
    on conflict (one) do update set looked_at = excluded.looked_at, round_at = excluded.round_at;
  end if;
  return query select unnest(found_ids);
end $$;

-- Crosses an account's thresholds: each armed one above the balance fires once and is disarmed, each disarmed one at or below
-- the balance is armed again. The fired ones, the highest first, with the balance and the number of the crossing.
create function notifications.cross_thresholds(p_account uuid)
returns table (threshold_micros bigint, crossing bigint, balance_micros bigint) language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  balance bigint;
begin
  perform 1 from accounts.alert_threshold t where t.account_id = p_account order by t.threshold_micros for no key update;
  -- After the lock, so that nobody crosses by an older balance.
  select a.posted - a.held into balance from ledger.account a where a.id = p_account and a.version > 0;
  if not found then return; end if;
  update accounts.alert_threshold t set armed = true where t.account_id = p_account and not t.armed and balance >= t.threshold_micros;
  return query
    with fired as (
      update accounts.alert_threshold t set armed = false, crossing = t.crossing + 1
       where t.account_id = p_account and t.armed and balance < t.threshold_micros
      returning t.threshold_micros, t.crossing)
    select f.threshold_micros, f.crossing::bigint, balance from fired f order by f.threshold_micros desc;
end $$;

-- By which channels an account wants to hear of it, who owns it, and its sealed name.
create function notifications.alert_addressee(p_account uuid)
returns table (owner_id uuid, name_ct bytea, in_app boolean, email boolean, webhook boolean) language plpgsql stable
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  return query
    select a.primary_owner, a.name_ct, coalesce(c.in_app, true), coalesce(c.email, true), coalesce(c.webhook, false)
      from accounts.account a left join accounts.alert_channels c on c.account_id = a.id
     where a.id = p_account and a.deleted_at is null;
end $$;

-- The account's Primary Owner, for notes that concern nobody else; null when there is none.
create function notifications.owner_of(p_account uuid) returns uuid language plpgsql stable
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  return (select a.primary_owner from accounts.account a where a.id = p_account);
end $$;

revoke execute on function notifications.crossing_accounts, notifications.cross_thresholds, notifications.alert_addressee, notifications.owner_of from public;
grant execute on function notifications.crossing_accounts, notifications.cross_thresholds, notifications.alert_addressee, notifications.owner_of to babysea_worker;
