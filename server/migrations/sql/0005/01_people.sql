-- People: who signs in, which accounts they belong to, and how an account stands.
create table accounts.person (
  id                  uuid primary key,
  email_hash          bytea not null unique,               -- keyed hash of the normal form of the address
  email_ct            bytea not null,                      -- sealed under the person's data key, like all that follows as _ct
  name_ct             bytea not null,
  avatar_ct           bytea,
  password_hash       text,                                -- argon2id; null: signs in elsewhere only
  password_changed_at timestamptz,
  totp_ct             bytea,                               -- its secret; counts once it was confirmed
  totp_confirmed_at   timestamptz,
  totp_step           bigint not null default 0,           -- the last time step that was used: no code works twice
  locale              text not null default 'en',
  created_at          timestamptz not null default now(),
  updated_at          timestamptz not null default now()
);

create table accounts.session (
  id            uuid primary key,
  person_id     uuid not null references accounts.person on delete cascade,
  token_hash    bytea not null unique,                     -- keyed hash of the token
  created_at    timestamptz not null,
  last_seen_at  timestamptz not null,
  expires_at    timestamptz not null,
  revoked_at    timestamptz,
  address_hash  bytea,
  user_agent_ct bytea
) with (fillfactor = 80);
create index session_by_person on accounts.session (person_id, created_at desc);

create table accounts.membership (
  account_id uuid not null references accounts.account,
  person_id  uuid not null references accounts.person,
  role       text not null check (role in ('owner', 'member')),
  created_at timestamptz not null default now(),
  primary key (account_id, person_id)
);
create index membership_by_person on accounts.membership (person_id);

-- Who reads only `restricted` sees every standing but the active one as restricted, as before.
drop trigger note_change on accounts.account;
alter table accounts.account drop column restricted;
alter table accounts.account
  add column standing      text not null default 'active' check (standing in ('active', 'restricted', 'frozen')),
  add column restricted    boolean not null generated always as (standing <> 'active') stored,
  add column primary_owner uuid,                           -- null: made by an operator, and nobody signs in for it
  add column slug          text unique check (slug ~ '^[a-z0-9](?:[a-z0-9-]{1,46}[a-z0-9])$'),
  add column avatar_ct     bytea,
  add column deleted_at    timestamptz;
-- Checked at the commit, so that a transfer may change both in any order; a primary owner cannot cease to be a member.
alter table accounts.account add constraint primary_owner_is_member
  foreign key (id, primary_owner) references accounts.membership (account_id, person_id) deferrable initially deferred;
create constraint trigger note_change after update on accounts.account deferrable initially deferred
  for each row when ((old.plan, old.standing, old.requests_per_minute, old.deleted_at)
                     is distinct from (new.plan, new.standing, new.requests_per_minute, new.deleted_at))
  execute function keys.note_change();

do $$
declare
  t text;
begin
  foreach t in array array['accounts.person', 'accounts.session', 'accounts.membership'] loop
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('create policy definer on %s to babysea_owner using (true) with check (true)', t);
  end loop;
end $$;
-- A person sees and changes itself, and a team sees its members.
create policy self on accounts.person to babysea_app
  using (id = nullif(current_setting('app.person_id', true), '')::uuid)
  with check (id = nullif(current_setting('app.person_id', true), '')::uuid);
create policy team on accounts.person for select to babysea_app
  using (exists (select 1 from accounts.membership m
                  where m.person_id = id and m.account_id = nullif(current_setting('app.account_id', true), '')::uuid));
create policy self on accounts.session to babysea_app
  using (person_id = nullif(current_setting('app.person_id', true), '')::uuid)
  with check (person_id = nullif(current_setting('app.person_id', true), '')::uuid);
create policy tenant on accounts.membership to babysea_app
  using (account_id = nullif(current_setting('app.account_id', true), '')::uuid)
  with check (account_id = nullif(current_setting('app.account_id', true), '')::uuid);
create policy self on accounts.membership for select to babysea_app
  using (person_id = nullif(current_setting('app.person_id', true), '')::uuid);
create policy mine on accounts.account for select to babysea_app
  using (exists (select 1 from accounts.membership m
                  where m.account_id = id and m.person_id = nullif(current_setting('app.person_id', true), '')::uuid));

-- The only look-up of a session before its person is known.
create function accounts.find_session(p_token_hash bytea)
returns table (id uuid, person_id uuid, expires_at timestamptz, revoked_at timestamptz, last_seen_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select s.id, s.person_id, s.expires_at, s.revoked_at, s.last_seen_at from accounts.session s where s.token_hash = p_token_hash
$$;

-- What a person is in an account; no row for a stranger, an unknown or a deleted account: nobody can tell them apart.
create function accounts.find_membership(p_account uuid, p_person uuid)
returns table (role text, is_primary boolean, standing text, plan text, requests_per_minute int)
language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select m.role, coalesce(a.primary_owner = m.person_id, false), a.standing, a.plan, a.requests_per_minute
    from accounts.membership m join accounts.account a on a.id = m.account_id
   where m.account_id = p_account and m.person_id = p_person and a.deleted_at is null
$$;

-- Notes that a session was used, to the minute, and moves its idle limit.
create function accounts.touch_session(p_id uuid, p_idle interval, p_longest interval) returns void
language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  update accounts.session s
     set last_seen_at = now(), expires_at = least(now() + p_idle, s.created_at + p_longest)
   where s.id = p_id and s.revoked_at is null and s.last_seen_at < now() - interval '1 minute'
$$;

revoke execute on function accounts.find_session, accounts.find_membership, accounts.touch_session from public;
grant execute on function accounts.find_session, accounts.find_membership, accounts.touch_session to babysea_app;
grant select, insert, update, delete on accounts.person, accounts.session, accounts.membership to babysea_app;
grant select on accounts.membership to babysea_worker;
create policy worker on accounts.membership for select to babysea_worker using (true);
