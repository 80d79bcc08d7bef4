-- Strict residency is decided where the money is: by the account's row that admission locks, so that a setting which was
-- committed before an admission is never overlooked.
drop function generation.admit_many(uuid[], uuid[], uuid[], bytea[], bytea[], bigint[], text[], timestamptz[], text[], text[], text[], text[], uuid[],
  bytea[], text[]);

-- Admits many requests in one transaction, each with its own outcome; autocommit, one round trip. Arrays by position, in
-- order of arrival. p_id is the generation's id (a transport retry repeats it), p_key the keyed hash of the customer's
-- Idempotency-Key or null, p_fp the keyed fingerprint of the request. p_resident is what is left of p_order for an account
-- whose residency is strict; empty or null means nobody, so a caller that does not know of it is refused. Words:
--   held           admitted: hold, journal row, generation, job, events (and claim) are written; strict says whether the
--                  order is p_resident, and an event names each provider that this left out
--   replayed       same key and fingerprint before; generation_id is the first one's      key_conflict  other fingerprint
--   already_…      this very id was admitted before (held, captured, released)            conflict      id used otherwise
--   insufficient, concurrency_limit, residency_unsatisfiable, frozen, key_inactive, no_account, bad_amount
--                  nothing is written or remembered
-- Locks: the only rows it waits for are ledger.account rows, in id order, in one statement. Claims and holds of an account
-- change only under its lock, so a fresh statement after the lock sees every earlier retry.
create function generation.admit_many(p_account uuid[], p_id uuid[], p_api_key uuid[], p_key bytea[], p_fp bytea[], p_amount bigint[],
  p_rate_card text[], p_deadline timestamptz[], p_plan text[], p_model text[], p_media text[], p_order text[], p_prediction uuid[],
  p_request bytea[], p_trace text[], p_resident text[] default null)
returns table (word text, generation_id uuid, available bigint, decided_at timestamptz, strict boolean) language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  n constant int := cardinality(p_id);
  held_house constant uuid := '00000000-0000-0000-0000-000000000004';
  w text[] := array_fill(null::text, array[n]); g uuid[] := p_id; av bigint[] := array_fill(null::bigint, array[n]);
  walk int[]; lead int[]; latest int[]; accts uuid[]; rows ledger.account[]; j int; i int; l int; r record; t timestamptz; v text; keyed boolean;
  a ledger.account; need uuid[]; locked boolean; dirty boolean := false;
  u_id uuid[] := '{}'; u_held bigint[] := '{}'; u_open int[] := '{}'; u_ver bigint[] := '{}'; u_head bytea[] := '{}'; q int := 0;
  ord text[] := p_order; ver int[] := array_fill(1, array[n]); st boolean[] := array_fill(false, array[n]);
  x_item int[] := '{}'; x_ver int[] := '{}'; x_prov text[] := '{}'; xn int := 0; p text;
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
    if (case when a.id is distinct from p_account[i] or a.frozen or (a.residency = 'strict' and coalesce(p_resident[i], '') = '')
                  or a.open_holds >= a.in_flight_limit or need[cardinality(need)] = a.id then false
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
              when a.residency = 'strict' and coalesce(p_resident[i], '') = '' then 'residency_unsatisfiable'
              when a.open_holds >= a.in_flight_limit then 'concurrency_limit'
              when a.posted - a.held - p_amount[i] < -a.credit_line then 'insufficient'
              else 'held' end;
    if v = 'held' then  -- locked is true here: step 2 saw the same row with this item affordable
      if not coalesce(locked, false) then raise exception 'admit_many: account % was not locked', a.id; end if;
      a.held := a.held + p_amount[i]; a.open_holds := a.open_holds + 1; a.version := a.version + 1; dirty := true;
      a.head := sha256(a.head || ledger.row_bytes(a.id, a.version, 'h', a.id, held_house, p_amount[i], 0, p_amount[i], a.posted, a.held, p_id[i], null, t));
      if a.residency = 'strict' then
        ord[i] := p_resident[i]; st[i] := true;
        foreach p in array string_to_array(p_order[i], ',') loop
          continue when p = any (string_to_array(p_resident[i], ','));
          xn := xn + 1; ver[i] := ver[i] + 1; x_item[xn] := i; x_ver[xn] := ver[i]; x_prov[xn] := p;
        end loop;
      end if;
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
    insert into generation.generation (id, account_id, api_key_id, model, media, provider_order, prediction_id, price, rate_card, plan, request_ct, traceparent, created_at, deadline_at, version)
    select p_id[o], p_account[o], p_api_key[o], p_model[o], p_media[o], string_to_array(ord[o], ','), p_prediction[o], p_amount[o], p_rate_card[o], p_plan[o],
           p_request[o], p_trace[o], t, p_deadline[o], ver[o] from unnest(ok) o;
    insert into runtime.job (id, run_after) select p_id[o], t from unnest(ok) o;
    insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, amount_micros)
    select p_account[o], p_id[o], 1, 'generation.accepted', t, p_trace[o], p_model[o], p_amount[o] from unnest(ok) o;
    if xn > 0 then
      insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, traceparent, model_identifier, provider)
      select p_account[u.o], p_id[u.o], u.v, 'provider.excluded', t, p_trace[u.o], p_model[u.o], u.p from unnest(x_item, x_ver, x_prov) u(o, v, p);
    end if;
  end if;
  return query select u.w, u.g, u.av, t, u.st from unnest(w, g, av, st) u(w, g, av, st);
end $$;

revoke execute on function generation.admit_many from public;
grant execute on function generation.admit_many to babysea_admitter;
