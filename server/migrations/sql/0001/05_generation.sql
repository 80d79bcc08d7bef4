-- Generations: the request (as ciphertext), its provider attempts and its output files.
create schema generation;

-- One row per Idempotency-Key in its 24 hours.
create table generation.claim (
  account_id    uuid not null,
  key           bytea not null,                     -- keyed hash of route, model and the customer's key
  generation_id uuid not null,
  fingerprint   bytea not null,
  expires_at    timestamptz not null,
  primary key (account_id, key)
);

create table generation.generation (
  id                uuid primary key,
  account_id        uuid not null,
  api_key_id        uuid,
  model             text not null,
  media             text not null check (media in ('image', 'video')),
  state             text not null default 'pending' check (state in ('pending', 'processing', 'succeeded', 'failed', 'canceled')),
  provider_order    text[] not null,
  provider_used     text,
  prediction_id     uuid not null,                  -- id of the first attempt
  price             bigint not null,                -- held
  charged           bigint not null default 0,      -- captured
  rate_card         text not null,
  plan              text not null,                  -- the plan that decides how long the files are kept
  request_ct        bytea not null,                 -- the normalised request, sealed under the account's data key
  traceparent       text,
  version           bigint not null default 1,      -- of its events
  error_code        text,
  error_message     text,
  provider_errors   jsonb,
  created_at        timestamptz not null,
  started_at        timestamptz,
  completed_at      timestamptz,
  deadline_at       timestamptz not null,
  output_expires_at timestamptz,
  removed_at        timestamptz,                    -- when the files were removed
  check ((state in ('succeeded', 'failed', 'canceled')) = (completed_at is not null)),
  check (state = 'succeeded' or charged = 0)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index generation_by_account on generation.generation (account_id, created_at desc, id desc);

create table generation.attempt (
  id              uuid primary key,
  generation_id   uuid not null references generation.generation,
  account_id      uuid not null,
  ordinal         int not null,
  provider        text not null,
  state           text not null check (state in ('submitting', 'accepted', 'submit_unknown', 'succeeded', 'failed', 'canceled', 'discarded')),
  provider_job_id text,
  provider_ref    jsonb,                            -- what the adapter needs to find the job again
  error_code      text,
  error_message   text,
  error_kind      text,
  cost_micros     bigint not null default 0 check (cost_micros >= 0),
  submitted_at    timestamptz not null,
  accepted_at     timestamptz,
  cancel_sent_at  timestamptz,
  resolved_at     timestamptz,
  run_millis      bigint,
  unique (generation_id, ordinal)
) with (fillfactor = 70);
-- One job of a provider belongs to one attempt, however it was found.
create unique index attempt_by_job on generation.attempt (provider, provider_job_id) where provider_job_id is not null;

create table generation.output (
  generation_id uuid not null references generation.generation,
  ordinal       int not null,
  account_id    uuid not null,
  storage_key   text not null,
  content_type  text not null,
  size_bytes    bigint not null,
  sha256        bytea not null,
  primary key (generation_id, ordinal)
);

-- Admits many requests in one transaction, each with its own outcome; autocommit, one round trip. Arrays by position, in
-- order of arrival. p_id is the generation's id (a transport retry repeats it), p_key the keyed hash of the customer's
-- Idempotency-Key or null, p_fp the keyed fingerprint of the request. Words:
--   held           admitted: hold, journal row, generation, job, event (and claim) are written
--   replayed       same key and fingerprint before; generation_id is the first one's      key_conflict  other fingerprint
--   already_…      this very id was admitted before (held, captured, released)            conflict      id used otherwise
--   insufficient, concurrency_limit, frozen, key_inactive, no_account, bad_amount          nothing is written or remembered
-- Locks: the only rows it waits for are ledger.account rows, in id order, in one statement. Claims and holds of an account
-- change only under its lock, so a fresh statement after the lock sees every earlier retry.
create function generation.admit_many(p_account uuid[], p_id uuid[], p_api_key uuid[], p_key bytea[], p_fp bytea[], p_amount bigint[],
  p_rate_card text[], p_deadline timestamptz[], p_plan text[], p_model text[], p_media text[], p_order text[], p_prediction uuid[],
  p_request bytea[], p_trace text[])
returns table (word text, generation_id uuid, available bigint, decided_at timestamptz) language plpgsql as $$
#variable_conflict use_column
declare
  n constant int := cardinality(p_id);
  held_house constant uuid := '00000000-0000-0000-0000-000000000004';
  w text[] := array_fill(null::text, array[n]); g uuid[] := p_id; av bigint[] := array_fill(null::bigint, array[n]);
  walk int[]; lead int[]; latest int[]; accts uuid[]; rows ledger.account[]; j int; i int; l int; r record; t timestamptz; v text; keyed boolean;
  a ledger.account; need uuid[]; locked boolean; dirty boolean := false;
  u_id uuid[] := '{}'; u_held bigint[] := '{}'; u_open int[] := '{}'; u_ver bigint[] := '{}'; u_head bytea[] := '{}'; q int := 0;
  ok int[] := '{}'; ov bigint[] := '{}'; op bigint[] := '{}'; oh bigint[] := '{}'; ox bytea[] := '{}'; m int := 0;
begin
  if n = 0 then return; end if;
  if cardinality(p_account) <> n or cardinality(p_key) <> n or cardinality(p_fp) <> n or cardinality(p_amount) <> n
     or cardinality(p_request) <> n or cardinality(p_prediction) <> n
     or array_position(p_account, null) > 0 or array_position(p_id, null) > 0 or array_position(p_fp, null) > 0 then
    raise exception 'admit_many: arrays of one length, without nulls in account, id and fingerprint';
  end if;
  keyed := array_length(array_remove(p_key, null), 1) > 0;
  -- 1. The walk: items by account, then by arrival; a copy follows the first of its kind.
  if n = 1 then
    walk := array[1]; lead := walk; accts := p_account;
  else
    select array_agg(s.o order by s.a, s.o), array_agg(s.l order by s.o), array_agg(distinct s.a) into walk, lead, accts
      from (select u.o::int as o, u.a, first_value(u.o) over (partition by u.a, coalesce(u.k, uuid_send(u.id)) order by u.o)::int as l
              from unnest(p_account, p_key, p_id) with ordinality u(a, k, id, o)) s;
  end if;
  -- 2. A first look without locks: an account where nothing fits is refused from this snapshot and never written to.
  select array_agg(x order by x.id) into rows from ledger.account x where x.id = any (accts);
  j := 0; a := null;
  foreach i in array walk loop
    while a.id is distinct from p_account[i] and j < cardinality(rows) and (a.id is null or a.id < p_account[i]) loop
      j := j + 1; a := rows[j];
    end loop;
    if (case when a.id is distinct from p_account[i] or a.frozen or a.open_holds >= a.in_flight_limit or need[cardinality(need)] = a.id then false
             when p_amount[i] between 1 and 1000000000000 then a.posted - a.held - p_amount[i] >= -a.credit_line
             else false end) then
      need := need || a.id;
    end if;
  end loop;
  -- 3. The only locks ever waited for, in id order; the returned rows are the newest versions.
  if need is not null then
    with l as materialized (select * from ledger.account where id = any (need) order by id for no key update)
    select array_agg(row(l.*)::ledger.account order by l.id) into rows
      from (select * from l union all select x.* from unnest(rows) x where x.id <> all (need)) l;
  end if;
  t := clock_timestamp();
  -- 4. New statements, new snapshots: whatever was committed under those locks is visible now.
  if keyed then
    for r in
      select u.o::int as o, c.generation_id as gid, c.fingerprint as fp
        from unnest(p_account, p_key) with ordinality u(a, k, o)
        cross join lateral (select * from generation.claim x where x.account_id = u.a and x.key = u.k limit 1) c
       where c.expires_at > t
    loop
      if r.fp = p_fp[r.o] then w[r.o] := 'replayed'; g[r.o] := r.gid; else w[r.o] := 'key_conflict'; g[r.o] := null; end if;
    end loop;
  end if;
  for r in
    select u.o::int as o, h.account_id, h.amount, h.fingerprint, h.state
      from unnest(p_id) with ordinality u(id, o) cross join lateral (select * from ledger.hold x where x.id = u.id limit 1) h
  loop
    -- A retry of this very id is answered from its record even when the price or the key changed meanwhile.
    if w[r.o] is null or (w[r.o] = 'replayed' and g[r.o] = p_id[r.o]) then
      w[r.o] := case when r.account_id = p_account[r.o] and r.fingerprint = p_fp[r.o] then 'already_' || r.state else 'conflict' end;
    end if;
  end loop;
  for r in
    select u.o::int as o
      from unnest(p_api_key, p_account) with ordinality u(k, a, o) left join lateral (select * from keys.api_key x where x.id = u.k limit 1) k on true
     where u.k is not null and (k.id is null or k.account_id <> u.a or k.revoked_at <= t or k.expires_at <= t)
  loop
    if w[r.o] is null then w[r.o] := 'key_inactive'; end if;
  end loop;
  -- 5. Decide.
  j := 0; a := null; locked := false;
  foreach i in array walk loop
    continue when w[i] is not null and w[i] <> 'key_inactive';
    -- A copy inside the batch follows an admitted one as a later call would; a refusal is not remembered, so after one the
    -- copy is decided for itself, and later copies look at it.
    if lead[i] <> i then
      l := coalesce(latest[lead[i]], lead[i]);
      if w[l] = 'held' then
        if p_fp[l] <> p_fp[i] then
          w[i] := case when p_key[i] is null then 'conflict' else 'key_conflict' end; g[i] := null;
        else
          w[i] := case when p_key[i] is null then 'already_held' else 'replayed' end; g[i] := g[l];
        end if;
        continue;
      end if;
      latest[lead[i]] := i;
    end if;
    if a.id is distinct from p_account[i] then
      if dirty then
        q := q + 1; u_id[q] := a.id; u_held[q] := a.held; u_open[q] := a.open_holds; u_ver[q] := a.version; u_head[q] := a.head; dirty := false;
      end if;
      loop j := j + 1; exit when j > coalesce(cardinality(rows), 0) or (rows[j]).id >= p_account[i]; end loop;
      if j <= coalesce(cardinality(rows), 0) and (rows[j]).id = p_account[i] then a := rows[j]; locked := a.id = any (need);
      else j := j - 1; a := null; end if;
    end if;
    v := case when a.id is null then 'no_account'
              when w[i] is not null then w[i]
              when p_amount[i] is null or p_amount[i] not between 1 and 1000000000000 then 'bad_amount'
              when a.frozen then 'frozen'
              when a.open_holds >= a.in_flight_limit then 'concurrency_limit'
              when a.posted - a.held - p_amount[i] < -a.credit_line then 'insufficient'
              else 'held' end;
    if v = 'held' then  -- locked is true here: step 2 saw the same row with this item affordable
      if not coalesce(locked, false) then raise exception 'admit_many: account % was not locked', a.id; end if;
      a.held := a.held + p_amount[i]; a.open_holds := a.open_holds + 1; a.version := a.version + 1; dirty := true;
      a.head := sha256(a.head || ledger.row_bytes(a.id, a.version, 'h', a.id, held_house, p_amount[i], 0, p_amount[i], a.posted, a.held, p_id[i], null, t));
      m := m + 1; ok[m] := i; ov[m] := a.version; op[m] := a.posted; oh[m] := a.held; ox[m] := a.head;
    end if;
    w[i] := v; av[i] := a.posted - a.held;
  end loop;
  -- 6. Write.
  if m > 0 then
    if dirty then q := q + 1; u_id[q] := a.id; u_held[q] := a.held; u_open[q] := a.open_holds; u_ver[q] := a.version; u_head[q] := a.head; end if;
    update ledger.account x set held = u.h, open_holds = u.o, version = u.v, head = u.x
      from unnest(u_id, u_held, u_open, u_ver, u_head) u(id, h, o, v, x) where x.id = u.id;
    if keyed then
      insert into generation.claim as x
      select p_account[o], p_key[o], p_id[o], p_fp[o], t + interval '24 hours' from unnest(ok) o where p_key[o] is not null
      on conflict (account_id, key) do update set generation_id = excluded.generation_id, fingerprint = excluded.fingerprint, expires_at = excluded.expires_at;
    end if;
    insert into ledger.hold (id, account_id, amount, fingerprint, key_id, rate_card, expires_at, created_at)
    select p_id[o], p_account[o], p_amount[o], p_fp[o], p_api_key[o], p_rate_card[o], p_deadline[o], t from unnest(ok) o;
    insert into ledger.transfer (account_id, version, kind, debit_id, credit_id, amount, posted_delta, held_delta, posted_after, held_after, hold_id, created_at, hash)
    select p_account[u.o], u.v, 'h', p_account[u.o], held_house, p_amount[u.o], 0, p_amount[u.o], u.p, u.hd, p_id[u.o], t, u.x
      from unnest(ok, ov, op, oh, ox) u(o, v, p, hd, x);
    insert into generation.generation (id, account_id, api_key_id, model, media, provider_order, prediction_id, price, rate_card, plan, request_ct, traceparent, created_at, deadline_at)
    select p_id[o], p_account[o], p_api_key[o], p_model[o], p_media[o], string_to_array(p_order[o], ','), p_prediction[o], p_amount[o], p_rate_card[o], p_plan[o],
           p_request[o], p_trace[o], t, p_deadline[o] from unnest(ok) o;
    insert into runtime.job (id, run_after) select p_id[o], t from unnest(ok) o;
    insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, amount_micros)
    select p_account[o], p_id[o], 1, 'generation.accepted', t, p_trace[o], p_model[o], p_amount[o] from unnest(ok) o;
  end if;
  return query select u.*, t from unnest(w, g, av) u;
end $$;

-- Records an attempt before anything is sent: 'begun', 'stale' (the job is no longer ours) or 'ended' (nothing to do). The
-- same attempt once more, because the first answer was lost, is 'begun' again: its caller has not sent anything yet.
create function generation.begin_attempt(p_id uuid, p_token bigint, p_attempt uuid, p_ordinal int, p_provider text)
returns text language plpgsql as $$
declare
  g generation.generation;
  t timestamptz;
begin
  perform 1 from runtime.job where id = p_id and token = p_token for no key update;
  if not found then return 'stale'; end if;
  select * into g from generation.generation where id = p_id for no key update;
  if g.state not in ('pending', 'processing') then return 'ended'; end if;
  t := clock_timestamp();
  insert into generation.attempt (id, generation_id, account_id, ordinal, provider, state, submitted_at)
  values (p_attempt, p_id, g.account_id, p_ordinal, p_provider, 'submitting', t)
  on conflict (id) do nothing;
  if g.state = 'pending' then
    update generation.generation set state = 'processing', started_at = t, version = version + 1 where id = p_id;
    insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, provider)
    values (g.account_id, p_id, g.version + 1, 'generation.started', t, g.traceparent, g.model, p_provider);
  end if;
  return 'begun';
end $$;

-- Records what became of an attempt: 'recorded' or 'stale'. An attempt that has ended is never changed again.
create function generation.record_attempt(p_id uuid, p_token bigint, p_attempt uuid, p_state text, p_job_id text, p_ref jsonb,
  p_error_code text, p_error_message text, p_error_kind text, p_cost bigint, p_run_millis bigint)
returns text language plpgsql as $$
declare
  g generation.generation;
  x generation.attempt;
  t timestamptz;
  final constant boolean := p_state in ('failed', 'canceled', 'discarded');
begin
  perform 1 from runtime.job where id = p_id and token = p_token for no key update;
  if not found then return 'stale'; end if;
  select * into g from generation.generation where id = p_id for no key update;
  t := clock_timestamp();
  update generation.attempt a
     set state = p_state, provider_job_id = coalesce(p_job_id, a.provider_job_id), provider_ref = coalesce(p_ref, a.provider_ref),
         error_code = p_error_code, error_message = p_error_message, error_kind = p_error_kind,
         cost_micros = coalesce(p_cost, a.cost_micros), run_millis = coalesce(p_run_millis, a.run_millis),
         accepted_at = case when p_state = 'accepted' then coalesce(a.accepted_at, t) else a.accepted_at end,
         resolved_at = case when final then t end
   where a.id = p_attempt and a.generation_id = p_id and a.resolved_at is null
  returning * into x;
  if not found then return 'recorded'; end if;
  if final then
    update generation.generation set version = version + 1 where id = p_id;
    insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, provider, error_code, elapsed_millis)
    values (g.account_id, p_id, g.version + 1, 'attempt.resolved', t, g.traceparent, g.model, x.provider, p_error_code,
            extract(epoch from t - x.submitted_at) * 1000);
  end if;
  return 'recorded';
end $$;

-- Records the job that a provider named for an attempt. Only the attempt's submitter knows it, so the job's token is not
-- asked: who lost the job meanwhile still tells. Words: 'recorded', 'known' (before), 'ended' (the attempt was given up: the
-- provider's job is on record all the same and must be stopped), 'unknown'.
create function generation.record_acceptance(p_id uuid, p_attempt uuid, p_job_id text, p_ref jsonb) returns text language plpgsql as $$
declare
  a generation.attempt;
  t timestamptz;
begin
  perform 1 from runtime.job where id = p_id for no key update;
  perform 1 from generation.generation where id = p_id for no key update;
  select * into a from generation.attempt where id = p_attempt and generation_id = p_id for no key update;
  if not found then return 'unknown'; end if;
  if a.provider_job_id is not null then return case when a.provider_job_id = p_job_id then 'known' else 'ended' end; end if;
  t := clock_timestamp();
  update generation.attempt
     set provider_job_id = p_job_id, provider_ref = p_ref, accepted_at = t,
         state = case when resolved_at is null then 'accepted' else state end,
         error_code = case when resolved_at is null then null else error_code end,
         error_message = case when resolved_at is null then null else error_message end,
         error_kind = case when resolved_at is null then null else error_kind end
   where id = p_attempt;
  if a.resolved_at is not null then return 'ended'; end if;
  update runtime.job set run_after = least(run_after, t + interval '250 milliseconds') where id = p_id and worker is null;
  return 'recorded';
end $$;

-- Ends generations: state, money, attempt, files and events in one transaction. p_capture of 0 releases the hold.
-- p_outputs: JSON array of {storage_key, content_type, size_bytes, sha256 (hex)}. Words: 'settled', 'stale' (the job is no
-- longer ours), 'already_canceled' and its like (it ended before).
create function generation.settle_many(p_id uuid[], p_token bigint[], p_state text[], p_capture bigint[], p_attempt uuid[], p_cost bigint[],
  p_run_millis bigint[], p_error_code text[], p_error_message text[], p_provider_errors text[], p_outputs text[], p_output_expires timestamptz[])
returns table (generation_id uuid, word text) language plpgsql as $$
#variable_conflict use_column
declare
  r record;
  t timestamptz;
  ours uuid[]; tokens bigint[];
  o_id uuid[] := '{}'; o_w text[] := '{}'; go int[] := '{}'; holds uuid[] := '{}'; amounts bigint[] := '{}';
begin
  with l as materialized (select j.id, j.token from runtime.job j where j.id = any (p_id) order by j.id for no key update)
  select coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.token), '{}') into ours, tokens from l;
  for r in
    with l as materialized (select g.id, g.state, g.price from generation.generation g where g.id = any (ours) order by g.id for no key update)
    select u.o::int as o, u.id, l.state, l.price, row_number() over (partition by u.id, u.token order by u.o) as rn
      from unnest(p_id, p_token) with ordinality u(id, token, o)
      left join unnest(ours, tokens) j(id, token) on j.id = u.id and j.token = u.token
      left join l on l.id = j.id
     order by u.o
  loop
    o_id := o_id || r.id;
    if r.state is null or r.rn > 1 then o_w := o_w || 'stale'::text; continue; end if;
    if r.state not in ('pending', 'processing') then o_w := o_w || ('already_' || r.state); continue; end if;
    if p_state[r.o] not in ('succeeded', 'failed') then raise exception 'settle_many: % is no end', p_state[r.o]; end if;
    if p_state[r.o] = 'succeeded' then
      if p_capture[r.o] is null or p_capture[r.o] not between 1 and r.price then
        raise exception 'settle_many: a success charges between 1 and the price, not %', p_capture[r.o];
      end if;
      perform 1 from generation.attempt a where a.id = p_attempt[r.o] and a.generation_id = r.id and a.resolved_at is null;
      if not found and p_attempt[r.o] is not null then raise exception 'settle_many: the attempt of % has ended or is another one''s', r.id; end if;
    end if;
    o_w := o_w || 'settled'::text;
    go := go || r.o;
    holds := holds || r.id;
    amounts := amounts || case when p_state[r.o] = 'succeeded' then p_capture[r.o] else 0 end;
  end loop;
  if cardinality(go) > 0 then
    for r in select s.hold_id, s.word from ledger.settle_many(holds, amounts) s loop
      if r.word not in ('captured', 'released') then raise exception 'settle_many: hold % is %', r.hold_id, r.word; end if;
    end loop;
    t := clock_timestamp();
    update generation.generation g
       set state = p_state[o], completed_at = t, started_at = coalesce(g.started_at, t), version = g.version + 1,
           charged = case when p_state[o] = 'succeeded' then p_capture[o] else 0 end,
           provider_used = (select a.provider from generation.attempt a where a.id = p_attempt[o] and a.generation_id = p_id[o]),
           error_code = p_error_code[o], error_message = p_error_message[o], provider_errors = p_provider_errors[o]::jsonb,
           output_expires_at = p_output_expires[o]
      from unnest(go) o where g.id = p_id[o];
    update generation.attempt a
       set state = 'succeeded', resolved_at = t, cost_micros = coalesce(p_cost[o], a.cost_micros), run_millis = p_run_millis[o]
      from unnest(go) o where a.id = p_attempt[o] and a.generation_id = p_id[o] and p_state[o] = 'succeeded';
    insert into generation.output (generation_id, ordinal, account_id, storage_key, content_type, size_bytes, sha256)
    select g.id, f.n, g.account_id, f.e ->> 'storage_key', f.e ->> 'content_type', (f.e ->> 'size_bytes')::bigint, decode(f.e ->> 'sha256', 'hex')
      from unnest(go) o
      join generation.generation g on g.id = p_id[o]
      cross join lateral jsonb_array_elements(coalesce(p_outputs[o], '[]')::jsonb) with ordinality f(e, n);
    insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, provider, error_code, amount_micros, elapsed_millis)
    select g.account_id, g.id, g.version,
           case g.state when 'succeeded' then 'generation.completed' when 'failed' then 'generation.failed' else 'generation.canceled' end,
           t, g.traceparent, g.model, g.provider_used, g.error_code, g.charged, extract(epoch from t - g.created_at) * 1000
      from unnest(go) o join generation.generation g on g.id = p_id[o];
    delete from runtime.job j using unnest(go) o where j.id = p_id[o];
  end if;
  return query select * from unnest(o_id, o_w);
end $$;

-- Cancels for the customer: 'canceled', 'already_succeeded' and its like, or 'unknown' (also for another account's id).
-- Where a provider may still be at work the job stays and is woken, so that a worker tells the provider.
create function generation.cancel_many(p_account uuid[], p_id uuid[])
returns table (generation_id uuid, word text, running boolean) language plpgsql as $$
#variable_conflict use_column
declare
  r record;
  t timestamptz;
  mine uuid[];
  o_id uuid[] := '{}'; o_w text[] := '{}'; o_r boolean[] := '{}'; go uuid[] := '{}'; busy boolean;
begin
  -- Only the caller's own jobs are locked: a stranger's id must not wait for its owner's work, and shows nothing. What was
  -- admitted after this statement began is unknown to this call: ending it without its job would turn the lock order round.
  with l as materialized (
    select j.id from runtime.job j
     where exists (select 1 from generation.generation g join unnest(p_account, p_id) u(a, id) on u.id = g.id and u.a = g.account_id where g.id = j.id)
       and j.id = any (p_id)
     order by j.id for no key update of j)
  select coalesce(array_agg(l.id), '{}') into mine from l;
  perform 1 from generation.generation g where g.id = any (mine) order by g.id for no key update;
  for r in
    select u.id, g.state, row_number() over (partition by u.id, u.a order by u.o) as rn
      from unnest(p_account, p_id) with ordinality u(a, id, o)
      left join generation.generation g on g.id = u.id and g.account_id = u.a and (g.id = any (mine) or g.state not in ('pending', 'processing'))
     order by u.o
  loop
    o_id := o_id || r.id;
    busy := false;
    if r.state is null then o_w := o_w || 'unknown'::text;
    elsif r.state not in ('pending', 'processing') then o_w := o_w || ('already_' || r.state);
    elsif r.rn > 1 then o_w := o_w || 'already_canceled'::text;
    else
      busy := exists (select 1 from generation.attempt a where a.generation_id = r.id and a.resolved_at is null);
      o_w := o_w || 'canceled'::text;
      go := go || r.id;
    end if;
    o_r := o_r || busy;
  end loop;
  if cardinality(go) > 0 then
    for r in select s.hold_id, s.word from ledger.settle_many(go, array_fill(0::bigint, array[cardinality(go)])) s loop
      if r.word <> 'released' then raise exception 'cancel_many: hold % is %', r.hold_id, r.word; end if;
    end loop;
    t := clock_timestamp();
    update generation.generation g set state = 'canceled', completed_at = t, version = g.version + 1 where g.id = any (go);
    insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, amount_micros, elapsed_millis)
    select g.account_id, g.id, g.version, 'generation.canceled', t, g.traceparent, g.model, 0, extract(epoch from t - g.created_at) * 1000
      from generation.generation g where g.id = any (go);
    update runtime.job j set run_after = t
     where j.id = any (go) and exists (select 1 from generation.attempt a where a.generation_id = j.id and a.resolved_at is null);
    delete from runtime.job j
     where j.id = any (go) and not exists (select 1 from generation.attempt a where a.generation_id = j.id and a.resolved_at is null);
  end if;
  return query select * from unnest(o_id, o_w, o_r);
end $$;

-- Notes that a cancel reached the provider; false when the job is no longer ours.
create function generation.note_cancel_sent(p_id uuid, p_token bigint, p_attempt uuid) returns boolean language plpgsql as $$
begin
  perform 1 from runtime.job where id = p_id and token = p_token for no key update;
  if not found then return false; end if;
  update generation.attempt set cancel_sent_at = coalesce(cancel_sent_at, clock_timestamp()) where id = p_attempt and generation_id = p_id;
  return found;
end $$;

-- The only look-up of a file before its tenant is known; the caller has checked the URL's signature.
create function generation.find_file(p_generation uuid, p_ordinal int)
returns table (storage_key text, content_type text, size_bytes bigint, sha256 bytea) language sql stable as $$
  select o.storage_key, o.content_type, o.size_bytes, o.sha256
    from generation.output o join generation.generation g on g.id = o.generation_id
   where o.generation_id = p_generation and o.ordinal = p_ordinal and g.removed_at is null
$$;
