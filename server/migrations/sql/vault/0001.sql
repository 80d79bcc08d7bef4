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
grant usage on schema vault to babysea_app, babysea_worker;
grant select, insert, update on vault.data_key to babysea_app;
grant select on vault.data_key to babysea_worker;
reset role;
