-- Settings of accounts: when they are warned of a low balance, where they may run, and how they stand.

create table accounts.alert_threshold (
  account_id       uuid not null references accounts.account on delete cascade,
  threshold_micros bigint not null check (threshold_micros > 0),
  armed            boolean not null default true,          -- false: it has fired, and the balance was not above it since
  -- Number of the last crossing; begins with the time, so that a threshold which comes back never repeats one.
  crossing         bigint not null default (extract(epoch from clock_timestamp()) * 1000000)::bigint,
  primary key (account_id, threshold_micros)
);
create table accounts.alert_channels (
  account_id uuid primary key references accounts.account on delete cascade,
  in_app     boolean not null default true,
  email      boolean not null default true,
  webhook    boolean not null default false
);

do $$
declare
  t text;
begin
  foreach t in array array['accounts.alert_threshold', 'accounts.alert_channels'] loop
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('create policy definer on %s to babysea_owner using (true) with check (true)', t);
    execute format('create policy tenant on %s to babysea_app'
                   ' using (account_id = nullif(current_setting(''app.account_id'', true), '''')::uuid)'
                   ' with check (account_id = nullif(current_setting(''app.account_id'', true), '''')::uuid)', t);
  end loop;
end $$;
grant select, insert, delete on accounts.alert_threshold to babysea_app;
grant select, update on accounts.alert_channels to babysea_app;

-- Every account begins with one threshold of $0.50.
create function accounts.open_alerts() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into accounts.alert_threshold (account_id, threshold_micros) values (new.id, 500000) on conflict do nothing;
  insert into accounts.alert_channels (account_id) values (new.id) on conflict do nothing;
  return null;
end $$;
create trigger open_alerts after insert on accounts.account for each row execute function accounts.open_alerts();
insert into accounts.alert_threshold (account_id, threshold_micros) select id, 500000 from accounts.account;
insert into accounts.alert_channels (account_id) select id from accounts.account;

-- Sets where the transaction's account may run.
create function accounts.set_residency(p_residency text) returns boolean language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  update ledger.account l set residency = p_residency where l.id = nullif(current_setting('app.account_id', true), '')::uuid;
  return found;
end $$;

-- Sets how an account stands, in the account and for admission at once: the standing before, or null for no such account.
create function accounts.set_standing(p_account uuid, p_standing text) returns text language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  before text;
begin
  select a.standing into before from accounts.account a where a.id = p_account and a.deleted_at is null for no key update;
  if not found or before = p_standing then return before; end if;
  update accounts.account a set standing = p_standing, updated_at = now() where a.id = p_account;
  update ledger.account l set frozen = (p_standing <> 'active') where l.id = p_account;
  return before;
end $$;

revoke execute on function accounts.open_alerts, accounts.set_residency, accounts.set_standing from public;
grant execute on function accounts.set_residency to babysea_app;
grant execute on function accounts.set_standing to babysea_worker;
