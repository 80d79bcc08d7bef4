-- Logs: what was asked of us and what was done. No body, no prompt, no key, no plain address is ever written here.
create schema logs;

-- One row a request. The identity of a REST request is its request id (the gateway tells when it began), so that a call that
-- the gateway repeats, or a batch that is written again, changes this row instead of adding another.
create table logs.request (
  id           uuid not null,
  account_id   uuid not null,
  key_id       uuid,                                       -- the API key; null for a member's
  person_id    uuid,                                       -- the member; null for a key's
  at           timestamptz not null,
  ended_at     timestamptz not null,                       -- of the call that answered it: the latest one's outcome stands
  surface      text not null check (surface in ('rest', 'grpc')),
  method       text not null check (length(method) <= 10), -- of HTTP; "CALL" for gRPC
  route        text not null check (length(route) <= 200), -- template of the path; full method name for gRPC
  query        text not null check (length(query) <= 200), -- known parameters with plain values only
  status       smallint not null check (status between 100 and 599),
  bse_code     text check (length(bse_code) <= 10),
  millis       int not null check (millis >= 0),
  replayed     boolean not null,
  address_hash bytea check (octet_length(address_hash) = 32), -- keyed SHA-256 of the client's address
  user_agent   text not null check (length(user_agent) <= 200),
  request_id   text check (length(request_id) <= 64),
  primary key (account_id, at, id)
) partition by range (at);
create index request_by_key on logs.request (account_id, key_id, at, id) where key_id is not null;
create index request_of_failures on logs.request (account_id, at, id) where status >= 400;
create table logs.request_default partition of logs.request default;

-- What survives the rows' retention and the deletion of keys: counts of requests made with a key. Those of members do not count.
create table logs.usage_daily (
  account_id    uuid not null,
  day           date not null,                             -- in UTC
  endpoint      text not null,                             -- method and route; full method name for gRPC
  requests      bigint not null,
  success       bigint not null,
  client_errors bigint not null,
  server_errors bigint not null,
  error_codes   jsonb not null,                            -- count by public code
  primary key (account_id, day, endpoint)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

create table logs.key_daily (
  account_id uuid not null,
  key_id     uuid not null,
  day        date not null,                                -- in UTC
  requests   bigint not null,
  errors     bigint not null,
  last_at    timestamptz not null,
  primary key (account_id, key_id, day)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- What members and the system did to an account. Details are ids, words and counts, never personal data.
create table logs.activity (
  id           uuid not null default uuidv7(),
  account_id   uuid not null,
  at           timestamptz not null default clock_timestamp(),
  actor_person uuid,                                       -- null: the system
  category     text not null check (category in ('api_key', 'webhook', 'credit', 'credit_alert', 'generation', 'subscription', 'membership',
                                                 'account', 'invitation', 'order', 'billing', 'notification', 'auth', 'domain', 'consent', 'bug_report')),
  action       text not null check (action ~ '^[a-z][a-z_]{0,39}$'),
  target       uuid,
  details      jsonb not null default '{}' check (jsonb_typeof(details) = 'object' and octet_length(details::text) <= 2000),
  primary key (account_id, at, id)
) partition by range (at);
create table logs.activity_default partition of logs.activity default;

-- Times in which a process could not write all of its rows, and how many it gave up. Region-wide, so it names no account.
create table logs.gap (
  id       uuid primary key default uuidv7(),
  process  text not null check (length(process) <= 100),
  began_at timestamptz not null,
  ended_at timestamptz not null,
  lost     bigint not null check (lost > 0)
);

-- Facts of generations and credits stand in the events; the activity log shows them beside what is noted here.
create index event_by_account on events.event (account_id, occurred_at, id) where type <> 'attempt.resolved';
