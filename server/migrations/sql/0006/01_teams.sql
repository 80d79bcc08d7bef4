-- Teams: invitations, and the changes that must not be seen by halves.

create table accounts.invitation (
  id          uuid primary key,
  account_id  uuid not null references accounts.account,
  email_hash  bytea not null,                              -- keyed hash of the normal form of the address
  email_ct    bytea,                                       -- sealed under the account's data key; gone when the invitation has ended
  role        text not null check (role in ('owner', 'member')),
  token_hash  bytea not null unique,                       -- keyed hash of the newest letter's token
  invited_by  uuid not null,
  created_at  timestamptz not null,
  expires_at  timestamptz not null,
  renewals    int not null default 0,
  accepted_at timestamptz,
  accepted_by uuid,
  removed_at  timestamptz,
  check ((accepted_at is null) = (accepted_by is null)),
  check (accepted_at is null or removed_at is null),
  check ((email_ct is null) = (accepted_at is not null or removed_at is not null))
);
create unique index invitation_open on accounts.invitation (account_id, email_hash) where accepted_at is null and removed_at is null;
create index invitation_by_account on accounts.invitation (account_id, created_at desc, id desc) where accepted_at is null and removed_at is null;
create index invitation_by_age on accounts.invitation (expires_at);

alter table accounts.invitation enable row level security;
alter table accounts.invitation force row level security;
create policy definer on accounts.invitation to babysea_owner using (true) with check (true);
create policy tenant on accounts.invitation to babysea_app
  using (account_id = nullif(current_setting('app.account_id', true), '')::uuid)
  with check (account_id = nullif(current_setting('app.account_id', true), '')::uuid);
grant select, insert, update on accounts.invitation to babysea_app;

-- What a letter's token invites to; no row for any other text. An expired one is told to whoever has its letter.
create function accounts.find_invitation(p_token_hash bytea)
returns table (account_id uuid, name_ct bytea, role text, expires_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select i.account_id, a.name_ct, i.role, i.expires_at
    from accounts.invitation i join accounts.account a on a.id = i.account_id
   where i.token_hash = p_token_hash and i.accepted_at is null and i.removed_at is null and a.deleted_at is null
$$;

-- Makes the person of the transaction a member, once: 'accepted', or 'member' when that was done before. Otherwise nothing is
-- changed: 'unknown', 'other_address', 'expired', 'restricted'. The account's row is locked first, as by everything that
-- changes who belongs to it.
create function accounts.accept_invitation(p_token_hash bytea, p_now timestamptz)
returns table (word text, account_id uuid, invitation_id uuid, role text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  me constant uuid := nullif(current_setting('app.person_id', true), '')::uuid;
  team constant uuid := (select i.account_id from accounts.invitation i where i.token_hash = p_token_hash);
  a accounts.account;
  v accounts.invitation;
  held text;
begin
  select * into a from accounts.account x where x.id = team for no key update;
  select * into v from accounts.invitation i where i.token_hash = p_token_hash for no key update;
  if v.id is null or me is null or a.deleted_at is not null or v.removed_at is not null then
    return query select 'unknown', null::uuid, null::uuid, null::text;
    return;
  end if;
  select m.role into held from accounts.membership m where m.account_id = v.account_id and m.person_id = me;
  if v.accepted_at is not null then
    -- Only for who accepted it, and only while it still leads somewhere: nobody comes back by an old letter.
    return query select case when v.accepted_by = me and held is not null then 'member' else 'unknown' end, v.account_id, v.id, held;
    return;
  end if;
  if not exists (select 1 from accounts.person p where p.id = me and p.email_hash = v.email_hash) then
    return query select 'other_address', null::uuid, null::uuid, null::text;
    return;
  end if;
  if v.expires_at <= p_now then
    return query select 'expired', null::uuid, null::uuid, null::text;
    return;
  end if;
  if a.standing <> 'active' then
    return query select 'restricted', null::uuid, null::uuid, null::text;
    return;
  end if;
  -- Somebody who came to the team in the meantime keeps the role from there.
  insert into accounts.membership (account_id, person_id, role, created_at) values (v.account_id, me, v.role, p_now) on conflict do nothing;
  update accounts.invitation i set accepted_at = p_now, accepted_by = me, email_ct = null where i.id = v.id;
  return query select 'accepted', v.account_id, v.id, coalesce(held, v.role);
end $$;

-- Ends a team of the transaction's person and account: 'closed', or why nothing was changed: 'unknown', 'personal', 'not_primary',
-- 'in_flight'. The ledger is frozen under its lock, so that nothing is admitted afterwards, and what was is seen here.
create function accounts.close_team(p_now timestamptz) returns text language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  me constant uuid := nullif(current_setting('app.person_id', true), '')::uuid;
  team constant uuid := nullif(current_setting('app.account_id', true), '')::uuid;
  a accounts.account;
  holds int;
begin
  select * into a from accounts.account x where x.id = team for no key update;
  if a.id is null or a.deleted_at is not null then return 'unknown'; end if;
  if a.personal then return 'personal'; end if;
  if me is null or a.primary_owner is distinct from me then return 'not_primary'; end if;
  select l.open_holds into holds from ledger.account l where l.id = team for no key update;
  if holds > 0 then return 'in_flight'; end if;
  update ledger.account l set frozen = true where l.id = team;
  update keys.api_key k set revoked_at = p_now where k.account_id = team and k.revoked_at is null;
  update accounts.invitation i set removed_at = p_now, email_ct = null
   where i.account_id = team and i.accepted_at is null and i.removed_at is null;
  delete from accounts.alert_threshold t where t.account_id = team;
  delete from accounts.membership m where m.account_id = team;
  update accounts.account x
     set deleted_at = p_now, updated_at = p_now, standing = 'frozen', slug = null, primary_owner = null
   where x.id = team;
  return 'closed';
end $$;

-- Forgets invitations that nobody can accept any more, a month later; how many.
create function accounts.forget_invitations() returns int language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  n int;
begin
  delete from accounts.invitation i where i.expires_at < now() - interval '30 days';
  get diagnostics n = row_count;
  return n;
end $$;

-- A key made while its team ended is no key either. As before, otherwise.
create or replace function keys.find_key(p_public_id text)
returns table (id uuid, account_id uuid, hash text, scopes text[], allowlist text[], expires_at timestamptz,
               revoked_at timestamptz, plan text, restricted boolean, requests_per_minute int, rotated_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  select k.id, k.account_id, k.hash, k.scopes, k.allowlist, k.expires_at, k.revoked_at, a.plan, a.restricted,
         a.requests_per_minute, k.rotated_at
    from keys.api_key k join accounts.account a on a.id = k.account_id
   where k.public_id = p_public_id and a.deleted_at is null
$$;

revoke execute on function accounts.find_invitation, accounts.accept_invitation, accounts.close_team, accounts.forget_invitations from public;
grant execute on function accounts.find_invitation, accounts.accept_invitation, accounts.close_team to babysea_app;
grant execute on function accounts.forget_invitations to babysea_worker;
