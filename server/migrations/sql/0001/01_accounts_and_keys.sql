-- Accounts and API keys of this region.
create schema accounts;
create schema keys;

create table accounts.account (
  id                  uuid primary key,
  plan                text not null check (plan in ('free', 'starter', 'pro', 'scale', 'enterprise')),
  name_ct             bytea not null,                      -- sealed under the account's data key
  email_ct            bytea,                               -- sealed likewise
  personal            boolean not null default true,
  restricted          boolean not null default false,      -- may read, may not write
  requests_per_minute int check (requests_per_minute > 0), -- null: the plan's
  subscription_status text,
  created_at          timestamptz not null default now(),
  updated_at          timestamptz not null default now()
);

create table keys.api_key (
  id           uuid primary key,
  account_id   uuid not null references accounts.account,
  public_id    text not null unique,                       -- the 12 characters after the region
  hash         text not null,                              -- bcrypt of a keyed pre-hash of the secret
  name         text not null,
  scopes       text[] not null,
  allowlist    text[] not null default '{}',
  created_at   timestamptz not null default now(),
  last_used_at timestamptz,
  expires_at   timestamptz,
  revoked_at   timestamptz
);
create index api_key_by_account on keys.api_key (account_id, created_at desc, id desc);

-- The only look-up of a key before its tenant is known.
create function keys.find_key(p_public_id text)
returns table (id uuid, account_id uuid, hash text, scopes text[], allowlist text[], expires_at timestamptz,
               revoked_at timestamptz, plan text, restricted boolean, requests_per_minute int)
language sql stable as $$
  select k.id, k.account_id, k.hash, k.scopes, k.allowlist, k.expires_at, k.revoked_at, a.plan, a.restricted, a.requests_per_minute
    from keys.api_key k join accounts.account a on a.id = k.account_id
   where k.public_id = p_public_id
$$;

-- Notes that a key was used, to the minute, so that a busy key costs one write a minute.
create function keys.touch_key(p_id uuid) returns void language sql as $$
  update keys.api_key set last_used_at = now()
   where id = p_id and (last_used_at is null or last_used_at < now() - interval '1 minute')
$$;
