-- Signing up and in: what waits for a token, second factors, identities elsewhere, failures, and the welcome credit.

-- The pair of address and program at sign-in, to know a device again; keyed hash.
alter table accounts.session add column device_hash bytea;

-- Sign-ups that wait for their verification, one row a letter. Sealed under a key of the day, not of a person: there is none.
create table accounts.sign_up (
  token_hash    bytea primary key,                         -- keyed hash of the letter's token
  id            uuid not null,                             -- id that the person will get; the same in each letter of one sign-up
  email_hash    bytea not null,
  email_ct      bytea not null,
  name_ct       bytea not null,
  password_hash text not null,                             -- argon2id
  locale        text not null,
  accepted      jsonb not null,                            -- versions of the texts that were accepted, by purpose
  tries         int not null default 0,                    -- passwords that were tried with this token
  sealed_by     uuid not null,                             -- whose data key sealed it
  created_at    timestamptz not null,
  expires_at    timestamptz not null
);
create index sign_up_by_email on accounts.sign_up (email_hash, created_at desc);
create index sign_up_expired on accounts.sign_up (expires_at);

-- Tokens of people. Using one deletes its row, so of any number of uses one wins.
create table accounts.token (
  token_hash bytea primary key,
  kind       text not null check (kind in ('password_reset', 'email_change', 'second_factor')),
  person_id  uuid not null references accounts.person on delete cascade,
  email_hash bytea,                                        -- email_change: the new address
  email_ct   bytea,                                        -- the same, sealed under the person's data key
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index token_by_person on accounts.token (person_id, kind);
create index token_expired on accounts.token (expires_at);

create table accounts.recovery_code (
  person_id  uuid not null references accounts.person on delete cascade,
  code_hash  bytea not null,                               -- keyed hash; the row goes when the code is used
  created_at timestamptz not null,
  primary key (person_id, code_hash)
);

create table accounts.linked_identity (
  id           uuid primary key,
  person_id    uuid not null references accounts.person on delete cascade,
  issuer       text not null,                              -- of the OpenID provider
  subject_hash bytea not null,                             -- keyed hash of issuer and subject
  created_at   timestamptz not null,
  unique (issuer, subject_hash)
);
create index linked_identity_by_person on accounts.linked_identity (person_id);

-- Ways to an OpenID provider that were begun. Nonce and PKCE verifier follow from the state and are stored nowhere.
create table accounts.oidc_state (
  state_hash   bytea primary key,
  browser_hash bytea not null,                             -- keyed hash of what stays in the browser
  provider     text not null,
  person_id    uuid references accounts.person on delete cascade, -- who links; null: signs in
  expires_at   timestamptz not null
);
create index oidc_state_expired on accounts.oidc_state (expires_at);

-- Attempts and budgets by keyed hash of whatever they are counted for; shared by every process of the region.
create table accounts.attempt (
  key           bytea primary key,
  count         int not null,
  begun_at      timestamptz not null,
  last_at       timestamptz not null,
  blocked_until timestamptz
) with (fillfactor = 70);
create index attempt_old on accounts.attempt (last_at);

-- Who had the welcome credit. Outlives person and account: it is given once per verified e-mail and region.
create table accounts.welcome (
  email_hash bytea primary key,
  granted_at timestamptz not null
);

do $$
declare
  t text;
begin
  foreach t in array array['accounts.sign_up', 'accounts.token', 'accounts.recovery_code', 'accounts.linked_identity',
                           'accounts.oidc_state', 'accounts.attempt', 'accounts.welcome'] loop
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('create policy definer on %s to babysea_owner using (true) with check (true)', t);
  end loop;
  foreach t in array array['accounts.token', 'accounts.recovery_code', 'accounts.linked_identity'] loop
    execute format('create policy self on %s to babysea_app using (person_id = nullif(current_setting(''app.person_id'', true), '''')::uuid) with check (person_id = nullif(current_setting(''app.person_id'', true), '''')::uuid)', t);
  end loop;
end $$;

-- The only look-up of a person by address.
create function accounts.find_person_by_email(p_email_hash bytea)
returns table (id uuid, password_hash text, password_changed_at timestamptz, has_totp boolean) language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select p.id, p.password_hash, p.password_changed_at, p.totp_confirmed_at is not null from accounts.person p where p.email_hash = p_email_hash
$$;

-- Keeps a sign-up until its letter is answered. True when somebody has the address already; what is written is the same.
create function accounts.begin_sign_up(p_token_hash bytea, p_id uuid, p_email_hash bytea, p_email_ct bytea, p_name_ct bytea,
  p_password_hash text, p_locale text, p_accepted jsonb, p_sealed_by uuid, p_now timestamptz, p_expires timestamptz) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  insert into accounts.sign_up (token_hash, id, email_hash, email_ct, name_ct, password_hash, locale, accepted, sealed_by, created_at, expires_at)
  values (p_token_hash, p_id, p_email_hash, p_email_ct, p_name_ct, p_password_hash, p_locale, p_accepted, p_sealed_by, p_now, p_expires);
  return exists (select 1 from accounts.person p where p.email_hash = p_email_hash);
end $$;

-- Another token for the newest sign-up that waits with an address, and whether somebody has the address already; null where none
-- waits. What is written is the same either way.
create function accounts.repeat_sign_up(p_email_hash bytea, p_token_hash bytea, p_now timestamptz, p_expires timestamptz)
returns boolean language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  insert into accounts.sign_up (token_hash, id, email_hash, email_ct, name_ct, password_hash, locale, accepted, sealed_by, created_at, expires_at)
  select p_token_hash, s.id, s.email_hash, s.email_ct, s.name_ct, s.password_hash, s.locale, s.accepted, s.sealed_by, p_now, p_expires
    from accounts.sign_up s where s.email_hash = p_email_hash and s.expires_at > p_now
   order by s.created_at desc limit 1;
  if not found then return null; end if;
  return exists (select 1 from accounts.person p where p.email_hash = p_email_hash);
end $$;

-- The sign-up that a token verifies, counted as one try of its password before it is checked; no row for a token that is
-- unknown, used or too old, or with which `p_most` passwords were tried.
create function accounts.try_sign_up(p_token_hash bytea, p_now timestamptz, p_most int)
returns table (id uuid, email_hash bytea, email_ct bytea, name_ct bytea, password_hash text, locale text, accepted text, sealed_by uuid)
language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  update accounts.sign_up s set tries = s.tries + 1
   where s.token_hash = p_token_hash and s.expires_at > p_now and s.tries < p_most
  returning s.id, s.email_hash, s.email_ct, s.name_ct, s.password_hash, s.locale, s.accepted::text, s.sealed_by
$$;

-- Takes a try back that was none: the password was right, or was not checked.
create function accounts.return_try(p_token_hash bytea) returns void language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  update accounts.sign_up s set tries = greatest(s.tries - 1, 0) where s.token_hash = p_token_hash
$$;

-- Uses a sign-up's token, and ends every other of the same address: true for one caller.
create function accounts.use_sign_up(p_token_hash bytea, p_now timestamptz) returns boolean language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  used bytea;
begin
  delete from accounts.sign_up s where s.token_hash = p_token_hash and s.expires_at > p_now returning s.email_hash into used;
  if not found then return false; end if;
  delete from accounts.sign_up s
   where s.token_hash in (select x.token_hash from accounts.sign_up x where x.email_hash = used order by x.token_hash for update skip locked);
  return true;
end $$;

-- Keeps a token of a person; earlier ones of a password reset go on working until one of them is used.
create function accounts.make_token(p_token_hash bytea, p_kind text, p_person uuid, p_email_hash bytea, p_email_ct bytea,
  p_now timestamptz, p_expires timestamptz) returns void language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  insert into accounts.token (token_hash, kind, person_id, email_hash, email_ct, created_at, expires_at)
  values (p_token_hash, p_kind, p_person, p_email_hash, p_email_ct, p_now, p_expires)
$$;

-- Whose token it is; no row for one that is unknown, used or too old.
create function accounts.find_token(p_kind text, p_token_hash bytea, p_now timestamptz)
returns table (person_id uuid, email_hash bytea, email_ct bytea) language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select t.person_id, t.email_hash, t.email_ct from accounts.token t
   where t.token_hash = p_token_hash and t.kind = p_kind and t.expires_at > p_now
$$;

-- Uses a token: true for one caller.
create function accounts.use_token(p_kind text, p_token_hash bytea, p_now timestamptz) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  delete from accounts.token t where t.token_hash = p_token_hash and t.kind = p_kind and t.expires_at > p_now;
  return found;
end $$;

-- Counts an attempt before it is made, so that a hundred at once are no cheaper than a hundred in a row: 0 where it may be made,
-- otherwise the seconds to wait. Past `p_free` attempts each doubles the wait before the next one.
create function accounts.take_attempt(p_key bytea, p_now timestamptz, p_free int, p_first interval, p_longest interval, p_forget interval)
returns int language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  a accounts.attempt;
begin
  insert into accounts.attempt (key, count, begun_at, last_at) values (p_key, 0, p_now, p_now) on conflict do nothing;
  select * into a from accounts.attempt x where x.key = p_key for no key update;
  if not found then return 1; end if;                      -- cleared between the two: try again
  if a.blocked_until > p_now then return ceil(extract(epoch from a.blocked_until - p_now)); end if;
  if a.last_at < p_now - p_forget then a.count := 0; end if;
  a.count := a.count + 1;
  update accounts.attempt x
     set count = a.count, last_at = p_now,
         blocked_until = case when a.count >= p_free
                              then p_now + least(p_longest, p_first * (2 ^ least(a.count - p_free, 20))) end
   where x.key = p_key;
  return 0;
end $$;

-- Forgets the attempts at something that has succeeded.
create function accounts.clear_attempts(p_key bytea) returns void language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$ delete from accounts.attempt x where x.key = p_key $$;

-- Takes one from a budget of `p_limit` per window: 0 where it was there, otherwise the seconds until the next window.
create function accounts.take_budget(p_key bytea, p_now timestamptz, p_limit int, p_window interval) returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  a accounts.attempt;
begin
  insert into accounts.attempt as x (key, count, begun_at, last_at) values (p_key, 1, p_now, p_now)
  on conflict (key) do update
     set count = case when x.begun_at <= p_now - p_window then 1 else x.count + 1 end,
         begun_at = case when x.begun_at <= p_now - p_window then p_now else x.begun_at end,
         last_at = p_now
  returning x.* into a;
  if a.count <= p_limit then return 0; end if;
  return greatest(1, ceil(extract(epoch from a.begun_at + p_window - p_now)));
end $$;

-- Gives the welcome credit to a personal account whose owner has the address; false when the address had it before.
create function accounts.grant_welcome(p_account uuid, p_email_hash bytea, p_amount bigint, p_now timestamptz) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  word text;
begin
  perform 1 from accounts.account a join accounts.person p on p.id = a.primary_owner
   where a.id = p_account and a.personal and a.deleted_at is null and p.email_hash = p_email_hash;
  if not found then raise exception 'grant_welcome: the account is not the personal one of this address'; end if;
  insert into accounts.welcome (email_hash, granted_at) values (p_email_hash, p_now) on conflict do nothing;
  if not found then return false; end if;
  word := ledger.grant_credit(p_account, p_amount, 'welcome');
  if word <> 'granted' then raise exception 'grant_welcome: the ledger said %', word; end if;
  return true;
end $$;

-- Whose identity it is at an OpenID provider.
create function accounts.find_identity(p_issuer text, p_subject_hash bytea) returns uuid language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select i.person_id from accounts.linked_identity i where i.issuer = p_issuer and i.subject_hash = p_subject_hash
$$;

-- Notes that somebody went to an OpenID provider.
create function accounts.begin_oidc(p_state_hash bytea, p_browser_hash bytea, p_provider text, p_person uuid, p_expires timestamptz)
returns void language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  insert into accounts.oidc_state (state_hash, browser_hash, provider, person_id, expires_at)
  values (p_state_hash, p_browser_hash, p_provider, p_person, p_expires)
$$;

-- Uses a state: a row for one caller, and only in the browser that began.
create function accounts.use_oidc(p_state_hash bytea, p_browser_hash bytea, p_now timestamptz)
returns table (provider text, person_id uuid) language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  delete from accounts.oidc_state o
   where o.state_hash = p_state_hash and o.browser_hash = p_browser_hash and o.expires_at > p_now
  returning o.provider, o.person_id
$$;

-- Removes what is over; how many rows.
create function accounts.forget_expired() returns int language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  n int;
  total int := 0;
begin
  delete from accounts.sign_up s where s.expires_at < now();
  get diagnostics n = row_count; total := total + n;
  delete from accounts.token t where t.expires_at < now();
  get diagnostics n = row_count; total := total + n;
  delete from accounts.oidc_state o where o.expires_at < now();
  get diagnostics n = row_count; total := total + n;
  delete from accounts.attempt a where a.last_at < now() - interval '2 days';
  get diagnostics n = row_count; total := total + n;
  delete from accounts.session s where s.expires_at < now() - interval '90 days';
  get diagnostics n = row_count; total := total + n;
  return total;
end $$;

revoke execute on function accounts.find_person_by_email, accounts.begin_sign_up, accounts.repeat_sign_up, accounts.try_sign_up,
  accounts.return_try, accounts.use_sign_up, accounts.make_token, accounts.find_token, accounts.use_token, accounts.take_attempt,
  accounts.clear_attempts, accounts.take_budget, accounts.grant_welcome, accounts.find_identity, accounts.begin_oidc, accounts.use_oidc, accounts.forget_expired
  from public;
grant execute on function accounts.find_person_by_email, accounts.begin_sign_up, accounts.repeat_sign_up, accounts.try_sign_up,
  accounts.return_try, accounts.use_sign_up, accounts.make_token, accounts.find_token, accounts.use_token, accounts.take_attempt,
  accounts.clear_attempts, accounts.take_budget, accounts.grant_welcome, accounts.find_identity, accounts.begin_oidc, accounts.use_oidc to babysea_app;
grant execute on function accounts.make_token, accounts.forget_expired to babysea_worker;
grant select, delete on accounts.token to babysea_app;
grant select, insert, delete on accounts.recovery_code, accounts.linked_identity to babysea_app;
