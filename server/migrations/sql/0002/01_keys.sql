-- Rotation, and changes that every process of the region notices.
alter table keys.api_key
  add column rotated_at  timestamptz,                      -- its place was taken at; expires_at is then the end of its grace at the latest
  add column replaced_by uuid;                             -- by this key, which may be deleted meanwhile

-- The result has one column more, so the function is made anew; processes of the version before name their columns.
drop function keys.find_key(text);
create function keys.find_key(p_public_id text)
returns table (id uuid, account_id uuid, hash text, scopes text[], allowlist text[], expires_at timestamptz,
               revoked_at timestamptz, plan text, restricted boolean, requests_per_minute int, rotated_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select k.id, k.account_id, k.hash, k.scopes, k.allowlist, k.expires_at, k.revoked_at, a.plan, a.restricted,
         a.requests_per_minute, k.rotated_at
    from keys.api_key k join accounts.account a on a.id = k.account_id
   where k.public_id = p_public_id
$$;

-- For operators, who ask after a key by its id without knowing its tenant.
create function keys.public_id_of(p_id uuid) returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select k.public_id from keys.api_key k where k.id = p_id
$$;

-- How often anything changed that decides what a key may do. One row: it is raised by the transaction of the change, so
-- whoever reads an old number has certainly not missed a committed change. A sequence would run ahead of the commit.
create table keys.change_counter (
  id      smallint primary key default 1 check (id = 1),
  changes bigint not null
);
alter table keys.change_counter enable row level security;
alter table keys.change_counter force row level security;
create policy definer on keys.change_counter to babysea_owner using (true) with check (true);
insert into keys.change_counter (changes) values (0);

create function keys.changes() returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select c.changes from keys.change_counter c
$$;

-- Says which key, or the keys of which account, must be read anew. The notification leaves with the commit,
-- and notifications leave in the order of their numbers: the counter's row is locked from one commit to the next.
create function keys.note_change() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  n bigint;
begin
  update keys.change_counter set changes = changes + 1 returning changes into n;
  if tg_table_schema = 'keys' then
    perform pg_notify('babysea_keys', n || ' key:' || old.public_id);
  else
    perform pg_notify('babysea_keys', n || ' account:' || old.id);
  end if;
  return null;
end $$;

-- Deferred: the counter's row is locked at the very end of a transaction, so two of them cannot wait for each other in a
-- ring. Only columns that decide something: a key's last use changes every minute.
create constraint trigger note_change after update on keys.api_key deferrable initially deferred
  for each row when ((old.hash, old.scopes, old.allowlist, old.expires_at, old.revoked_at, old.rotated_at)
                     is distinct from (new.hash, new.scopes, new.allowlist, new.expires_at, new.revoked_at, new.rotated_at))
  execute function keys.note_change();
create constraint trigger note_deletion after delete on keys.api_key deferrable initially deferred
  for each row execute function keys.note_change();
create constraint trigger note_change after update on accounts.account deferrable initially deferred
  for each row when ((old.plan, old.restricted, old.requests_per_minute)
                     is distinct from (new.plan, new.restricted, new.requests_per_minute))
  execute function keys.note_change();

revoke execute on function keys.find_key, keys.public_id_of, keys.changes, keys.note_change from public;
grant execute on function keys.find_key, keys.public_id_of, keys.changes to babysea_app;
-- Row-level security keeps a tenant to its own keys here, too.
grant delete on keys.api_key to babysea_app;
