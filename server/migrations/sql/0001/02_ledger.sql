-- The ledger: prepaid credits in micro-dollars (1e-6 USD), double entry, one hash-chained journal per account.
-- Lock order everywhere: job, generation, holds by id, accounts by id. No foreign key points at ledger.account: its
-- check would lock the hot row. A statement moves only rows that it locked itself.
create schema ledger;

create type ledger.hold_state as enum ('held', 'captured', 'released');

-- The counter-accounts. They carry no balance of their own: one shared row would turn every customer into that row.
create table ledger.house (
  id   uuid primary key,
  name text not null unique
);
insert into ledger.house (id, name) values
  ('00000000-0000-0000-0000-000000000001', 'funding'),
  ('00000000-0000-0000-0000-000000000002', 'promotion'),
  ('00000000-0000-0000-0000-000000000003', 'revenue'),
  ('00000000-0000-0000-0000-000000000004', 'held'),
  ('00000000-0000-0000-0000-000000000005', 'receivable'),
  ('00000000-0000-0000-0000-000000000006', 'breakage'),
  ('00000000-0000-0000-0000-000000000007', 'waste');

create table ledger.account (
  id              uuid primary key,
  posted          bigint not null default 0,                            -- settled money
  held            bigint not null default 0 check (held >= 0),          -- set aside by open holds
  open_holds      int not null default 0 check (open_holds >= 0),
  in_flight_limit int not null check (in_flight_limit >= 0),
  credit_line     bigint not null default 0 check (credit_line >= 0),   -- 0: prepaid
  version         bigint not null default 0,                            -- length of the journal
  head            bytea not null default decode(repeat('00', 32), 'hex'), -- hash of its last row
  frozen          boolean not null default false,
  residency       text not null default 'best_effort' check (residency in ('best_effort', 'strict')),
  constraint no_overdraft check (posted - held >= -credit_line)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

create table ledger.hold (
  id          uuid primary key,                                         -- the generation's id
  account_id  uuid not null,
  amount      bigint not null check (amount > 0),                       -- the most that it can cost
  captured    bigint not null default 0 check (captured between 0 and amount),
  state       ledger.hold_state not null default 'held',
  fingerprint bytea not null,
  key_id      uuid,
  quote_id    uuid,
  rate_card   text,
  expires_at  timestamptz not null,                                     -- when the reconciler asks, not when money moves
  created_at  timestamptz not null,
  settled_at  timestamptz,
  check ((state = 'held') = (settled_at is null)),
  check (state = 'captured' or captured = 0)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);
create index hold_open on ledger.hold (expires_at) where state = 'held';
create index hold_by_account on ledger.hold (account_id, created_at desc);

create table ledger.transfer (
  account_id   uuid not null,
  version      bigint not null,                                         -- position in the account's chain, without gaps
  kind         "char" not null check (kind in ('h', 'c', 'r', 'g')),    -- hold, capture, release, grant
  debit_id     uuid not null,
  credit_id    uuid not null,
  amount       bigint not null check (amount > 0),
  posted_delta bigint not null,
  held_delta   bigint not null,
  posted_after bigint not null,
  held_after   bigint not null check (held_after >= 0),
  hold_id      uuid,
  idem_key     text,
  created_at   timestamptz not null,
  hash_version smallint not null default 1,
  hash         bytea not null,
  primary key (account_id, version),
  check (debit_id <> credit_id)
);
create unique index transfer_once on ledger.transfer (account_id, hold_id, kind) where hold_id is not null;
create unique index transfer_idem on ledger.transfer (account_id, idem_key) where idem_key is not null;

create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'ledger.transfer is append-only';
end $$;
create trigger transfer_append_only before update or delete on ledger.transfer
  for each row execute function ledger.refuse_change();
create trigger transfer_no_truncate before truncate on ledger.transfer
  for each statement execute function ledger.refuse_change();

-- The bytes of one journal row, fixed-width and big-endian (hash_version 1). A verifier outside rebuilds them:
-- version of this layout (2), account, position (8), kind (1), debit, credit, amount, posted delta, held delta, posted
-- after, held after (8 each), hold or zeros, SHA-256 of the idempotency key or zeros, microseconds since 2000 (8).
create function ledger.row_bytes(p_account uuid, p_version bigint, p_kind "char", p_debit uuid, p_credit uuid, p_amount bigint,
  p_posted_delta bigint, p_held_delta bigint, p_posted_after bigint, p_held_after bigint, p_hold uuid, p_idem text, p_at timestamptz)
returns bytea language sql immutable parallel safe as $$
  select int2send(1::smallint) || uuid_send(p_account) || int8send(p_version) || charsend(p_kind) || uuid_send(p_debit) || uuid_send(p_credit)
      || int8send(p_amount) || int8send(p_posted_delta) || int8send(p_held_delta) || int8send(p_posted_after) || int8send(p_held_after)
      || coalesce(uuid_send(p_hold), '\x00000000000000000000000000000000')
      || case when p_idem is null then decode('0000000000000000000000000000000000000000000000000000000000000000', 'hex')
              else sha256(convert_to(p_idem, 'UTF8')) end
      || timestamptz_send(p_at)
$$;

-- Opens an account's journal: 'opened' or 'already_open'.
create function ledger.open_account(p_account uuid, p_in_flight_limit int) returns text language plpgsql as $$
begin
  insert into ledger.account (id, in_flight_limit) values (p_account, p_in_flight_limit) on conflict do nothing;
  return case when found then 'opened' else 'already_open' end;
end $$;

-- Adds money once per key: 'granted', 'already_granted', 'conflict' (same key, other amount), 'no_account', 'bad_amount'.
create function ledger.grant_credit(p_account uuid, p_amount bigint, p_key text) returns text language plpgsql as $$
declare
  a ledger.account;
  known bigint;
  t timestamptz;
  h bytea;
  funding constant uuid := '00000000-0000-0000-0000-000000000001';
begin
  if p_amount is null or p_amount not between 1 and 1000000000000 then return 'bad_amount'; end if;
  if coalesce(p_key, '') = '' then raise exception 'grant_credit: a grant needs a key'; end if;
  select * into a from ledger.account where id = p_account for no key update;
  if not found then return 'no_account'; end if;
  select x.amount into known from ledger.transfer x where x.account_id = p_account and x.idem_key = p_key;
  if found then return case when known = p_amount then 'already_granted' else 'conflict' end; end if;
  t := clock_timestamp();
  h := sha256(a.head || ledger.row_bytes(p_account, a.version + 1, 'g', funding, p_account, p_amount, p_amount, 0,
                                         a.posted + p_amount, a.held, null, p_key, t));
  update ledger.account set posted = posted + p_amount, version = version + 1, head = h where id = p_account;
  insert into ledger.transfer (account_id, version, kind, debit_id, credit_id, amount, posted_delta, held_delta, posted_after, held_after, idem_key, created_at, hash)
  values (p_account, a.version + 1, 'g', funding, p_account, p_amount, p_amount, 0, a.posted + p_amount, a.held, p_key, t, h);
  insert into events.event (account_id, aggregate_id, aggregate_version, type, occurred_at, amount_micros)
  values (p_account, p_account, a.version + 1, 'credit.granted', t, p_amount);
  return 'granted';
end $$;

-- Holds money for another service of ours: 'held', 'already_held', 'already_captured', 'already_released', 'conflict',
-- 'insufficient', 'concurrency_limit', 'frozen', 'no_account', 'bad_amount'. Generations use generation.admit_many.
create function ledger.reserve(p_account uuid, p_hold uuid, p_amount bigint, p_expires timestamptz, p_fp bytea)
returns text language plpgsql as $$
declare
  a ledger.account;
  known ledger.hold;
  t timestamptz;
  h bytea;
  held_house constant uuid := '00000000-0000-0000-0000-000000000004';
begin
  if p_amount is null or p_amount not between 1 and 1000000000000 then return 'bad_amount'; end if;
  select * into a from ledger.account where id = p_account for no key update;
  if not found then return 'no_account'; end if;
  -- A new statement: whatever was committed under that lock is visible now.
  select * into known from ledger.hold where id = p_hold;
  if found then
    return case when known.account_id = p_account and known.amount = p_amount and known.fingerprint = p_fp
                then 'already_' || known.state else 'conflict' end;
  end if;
  if a.frozen then return 'frozen'; end if;
  if a.open_holds >= a.in_flight_limit then return 'concurrency_limit'; end if;
  if a.posted - a.held - p_amount < -a.credit_line then return 'insufficient'; end if;
  t := clock_timestamp();
  h := sha256(a.head || ledger.row_bytes(a.id, a.version + 1, 'h', a.id, held_house, p_amount, 0, p_amount, a.posted, a.held + p_amount, p_hold, null, t));
  insert into ledger.hold (id, account_id, amount, fingerprint, expires_at, created_at) values (p_hold, p_account, p_amount, p_fp, p_expires, t)
  on conflict (id) do nothing;
  if not found then return 'conflict'; end if;  -- another account took this id a moment ago
  update ledger.account set held = held + p_amount, open_holds = open_holds + 1, version = version + 1, head = h where id = a.id;
  insert into ledger.transfer (account_id, version, kind, debit_id, credit_id, amount, posted_delta, held_delta, posted_after, held_after, hold_id, created_at, hash)
  values (a.id, a.version + 1, 'h', a.id, held_house, p_amount, 0, p_amount, a.posted, a.held + p_amount, p_hold, t, h);
  return 'held';
end $$;

-- Settles several holds in one transaction. An amount of 0 releases, a positive one captures up to the hold; what was
-- held beyond it returns. Words: 'captured', 'released', 'already_captured', 'already_released', 'duplicate' (a second
-- time in one call), 'bad_amount', 'unknown_hold'.
create function ledger.settle_many(p_hold uuid[], p_amount bigint[])
returns table (hold_id uuid, word text) language plpgsql as $$
#variable_conflict use_column
declare
  r record; cur ledger.account; t timestamptz; k "char"; moved bigint; mine uuid[];
  held_house constant uuid := '00000000-0000-0000-0000-000000000004';
  revenue constant uuid := '00000000-0000-0000-0000-000000000003';
  o_id uuid[] := '{}'; o_w text[] := '{}';
  ua uuid[] := '{}'; up bigint[] := '{}'; uh bigint[] := '{}'; uo int[] := '{}'; uv bigint[] := '{}'; ux bytea[] := '{}';
  ta uuid[] := '{}'; tv bigint[] := '{}'; tk "char"[] := '{}'; td uuid[] := '{}'; tc uuid[] := '{}'; tm bigint[] := '{}'; tpd bigint[] := '{}';
  thd bigint[] := '{}'; tpa bigint[] := '{}'; tha bigint[] := '{}'; th uuid[] := '{}'; tx bytea[] := '{}'; tcap bigint[] := '{}';
begin
  -- Only what this statement locked may be moved: a hold that commits a moment later is unknown to this call.
  with l as materialized (select h.id from ledger.hold h where h.id = any (p_hold) order by h.id for no key update)
  select coalesce(array_agg(l.id), '{}') into mine from l;
  for r in
    with a as materialized (
      select * from ledger.account
       where id in (select h.account_id from ledger.hold h where h.id = any (mine) and h.state = 'held')
       order by id for no key update)
    select i.hold, i.amount as want, h.state, h.amount, h.account_id, row(a.*)::ledger.account as acc,
           row_number() over (partition by i.hold order by i.ord) as rn
      from unnest(p_hold, p_amount) with ordinality i(hold, amount, ord)
      left join ledger.hold h on h.id = i.hold and h.id = any (mine)
      left join a on a.id = h.account_id
     order by h.account_id, i.ord
  loop
    t := coalesce(t, clock_timestamp());  -- after the first row every lock is held, so time follows version
    o_id := o_id || r.hold;
    if r.state is null then o_w := o_w || 'unknown_hold'::text; continue; end if;
    if r.state <> 'held' then o_w := o_w || ('already_' || r.state); continue; end if;
    if r.rn > 1 then o_w := o_w || 'duplicate'::text; continue; end if;
    if r.want is null or r.want < 0 or r.want > r.amount then o_w := o_w || 'bad_amount'::text; continue; end if;
    if cur.id is distinct from r.account_id then
      if cur.id is not null then
        ua := ua || cur.id; up := up || cur.posted; uh := uh || cur.held; uo := uo || cur.open_holds; uv := uv || cur.version;
        ux := array_append(ux, cur.head);
      end if;
      cur := r.acc;
    end if;
    moved := case when r.want > 0 then r.want else r.amount end;
    k := case when r.want > 0 then 'c' else 'r' end;
    cur.posted := cur.posted - r.want;
    cur.held := cur.held - r.amount;
    cur.open_holds := cur.open_holds - 1;
    cur.version := cur.version + 1;
    td := td || held_house;
    tc := tc || case when r.want > 0 then revenue else cur.id end;
    cur.head := sha256(cur.head || ledger.row_bytes(cur.id, cur.version, k, held_house, tc[cardinality(tc)], moved, -r.want, -r.amount,
                                                    cur.posted, cur.held, r.hold, null, t));
    ta := ta || cur.id; tv := tv || cur.version; tk := tk || k; tm := tm || moved; tpd := tpd || (-r.want); thd := thd || (-r.amount);
    tpa := tpa || cur.posted; tha := tha || cur.held; th := th || r.hold; tx := array_append(tx, cur.head); tcap := tcap || r.want;
    o_w := o_w || (case when r.want > 0 then 'captured' else 'released' end);
  end loop;
  if cur.id is not null then
    ua := ua || cur.id; up := up || cur.posted; uh := uh || cur.held; uo := uo || cur.open_holds; uv := uv || cur.version;
    ux := array_append(ux, cur.head);
    update ledger.account a set posted = u.p, held = u.h, open_holds = u.o, version = u.v, head = u.x
      from unnest(ua, up, uh, uo, uv, ux) u(id, p, h, o, v, x) where a.id = u.id;
    insert into ledger.transfer (account_id, version, kind, debit_id, credit_id, amount, posted_delta, held_delta, posted_after, held_after, hold_id, created_at, hash)
    select u.a, u.v, u.k, u.d, u.c, u.m, u.pd, u.hd, u.pa, u.ha, u.h, t, u.x
      from unnest(ta, tv, tk, td, tc, tm, tpd, thd, tpa, tha, th, tx) u(a, v, k, d, c, m, pd, hd, pa, ha, h, x);
    update ledger.hold h set state = case when u.c > 0 then 'captured' else 'released' end::ledger.hold_state, captured = u.c, settled_at = t
      from unnest(th, tcap) u(id, c) where h.id = u.id;
  end if;
  return query select * from unnest(o_id, o_w);
end $$;
