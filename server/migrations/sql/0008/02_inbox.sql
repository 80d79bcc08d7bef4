-- The in-app inbox, and what a person wants to hear of by which channel.
create table notifications.inbox (
  id         uuid primary key default uuidv7(),
  person_id  uuid not null,
  account_id uuid,                                        -- the account that it is about; null: the person
  category   text not null,
  kind       text not null,                               -- for example "credits.low_balance"
  event_key  text not null check (length(event_key) between 1 and 200),
  data       jsonb not null default '{}',                 -- ids, words of ours and numbers; nothing that people wrote
  created_at timestamptz not null default now(),
  read_at    timestamptz,
  unique (person_id, event_key)
) with (fillfactor = 90);
create index inbox_newest on notifications.inbox (person_id, created_at desc, id desc);
create index inbox_unread on notifications.inbox (person_id) where read_at is null;

create table notifications.preference (
  person_id  uuid not null,
  category   text not null,
  channel    text not null check (channel in ('in_app', 'email')),
  enabled    boolean not null,
  updated_at timestamptz not null default now(),
  primary key (person_id, category, channel)              -- no row: on
);

do $$
declare
  t text;
begin
  foreach t in array array['notifications.inbox', 'notifications.preference'] loop
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('create policy person on %s to babysea_app using (person_id = nullif(current_setting(''app.person_id'', true), '''')::uuid)', t);
    execute format('create policy definer on %s to babysea_owner using (true) with check (true)', t);
  end loop;
end $$;
grant select, update on notifications.inbox to babysea_app;
grant select, insert, update on notifications.preference to babysea_app;

-- Tells people in the app, once per person and event, unless they do not want to hear of the category; how many were told.
create function notifications.notify(p_account uuid, p_persons uuid[], p_category text, p_kind text, p_event_key text, p_data jsonb)
returns int language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
  n int;
begin
  insert into notifications.inbox (person_id, account_id, category, kind, event_key, data)
  select distinct u.person, p_account, p_category, p_kind, p_event_key, p_data from unnest(p_persons) u(person)
   where u.person is not null
     and not exists (select 1 from notifications.preference x
                      where x.person_id = u.person and x.category = p_category and x.channel = 'in_app' and not x.enabled)
  on conflict (person_id, event_key) do nothing;
  get diagnostics n = row_count;
  return n;
end $$;

-- What speaks against an e-mail: why the address is suppressed (null: it is not), and whether the person wants the category.
create function notifications.objections(p_hash bytea, p_person uuid, p_category text, out suppressed text, out unwanted boolean) language plpgsql stable
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  select s.reason into suppressed from notifications.suppression s
   where s.email_hash = p_hash and (s.expires_at is null or s.expires_at > clock_timestamp());
  unwanted := exists (select 1 from notifications.preference x
                       where x.person_id = p_person and x.category = p_category and x.channel = 'email' and not x.enabled);
end $$;

-- Drops letters that ended so long ago, notices in inboxes that are a year old, and suppressions that are over; how many letters.
create function notifications.forget_letters(p_keep interval) returns int language plpgsql
  security definer set search_path = pg_catalog, pg_temp as $$
declare
  n int;
begin
  delete from notifications.letter l
   where l.id in (select x.id from notifications.letter x
                   where x.state <> 'queued' and x.created_at < clock_timestamp() - p_keep order by x.created_at limit 10000);
  get diagnostics n = row_count;
  delete from notifications.suppression s where s.expires_at < clock_timestamp();
  delete from notifications.inbox i
   where i.id in (select x.id from notifications.inbox x where x.created_at < clock_timestamp() - interval '365 days' limit 10000);
  return n;
end $$;

revoke execute on function notifications.notify, notifications.objections, notifications.forget_letters from public;
grant execute on function notifications.notify to babysea_app, babysea_worker;
grant execute on function notifications.objections, notifications.forget_letters to babysea_worker;
