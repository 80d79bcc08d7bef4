-- The vault: data keys wrapped by the region's master key, in a database apart from the data and its backups.
create schema if not exists vault authorization babysea_owner;
set local role babysea_owner;

-- One row an account. A destroyed key leaves its row, so that nobody makes a second one in its place.
create table if not exists vault.data_key (
  account_id   uuid primary key,
  wrapped      bytea,
  created_at   timestamptz not null default now(),
  destroyed_at timestamptz,
  check ((wrapped is null) = (destroyed_at is not null))
);
-- Destruction is final: nobody brings a key back, not even from an older copy of it.
create or replace function vault.keep_destroyed() returns trigger language plpgsql as $$
begin
  if old.destroyed_at is not null or new.account_id <> old.account_id then
    raise exception 'a destroyed data key stays destroyed';
  end if;
  return new;
end $$;
create or replace trigger data_key_keep_destroyed before update on vault.data_key
  for each row when (old is distinct from new) execute function vault.keep_destroyed();

grant usage on schema vault to babysea_app, babysea_worker;
grant select, insert, update on vault.data_key to babysea_app;
grant select on vault.data_key to babysea_worker;
reset role;
