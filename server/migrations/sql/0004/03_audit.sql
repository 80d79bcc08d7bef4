-- The background audit: only accounts that changed since they were last found clean, and of their chains only new rows.
create table ledger.audit_mark (
  account_id uuid primary key,
  version    bigint not null,                                -- journal rows found clean
  posted     bigint not null,
  held       bigint not null,
  head       bytea not null,                                 -- hash of the last of them
  checked_at timestamptz not null
) with (fillfactor = 70);

-- What the last complete round found; one row. Servers read it for their health.
create table ledger.audit_state (
  one         boolean primary key default true check (one),
  finished_at timestamptz not null,
  findings    int not null,
  accounts    bigint not null,
  entries     bigint not null
);

-- Audits up to p_limit changed accounts and moves their marks; accounts with findings keep theirs and are looked at again.
-- p_skip are accounts that this round has already found wrong. Its parts must see one snapshot: REPEATABLE READ.
create function ledger.audit_changed(p_limit int, p_skip uuid[])
returns table (accounts int, entries bigint, wrong uuid[], invariants text[], subjects text[]) language plpgsql as $$
declare
  picked uuid[];
  n_entries bigint;
  w uuid[]; i text[]; s text[];
begin
  if current_setting('transaction_isolation') <> 'repeatable read' then raise exception 'audit_changed needs repeatable read'; end if;
  select coalesce(array_agg(c.id), '{}') into picked from (
    select a.id from ledger.account a left join ledger.audit_mark m on m.account_id = a.id
     where (m.version, m.posted, m.held, m.head) is distinct from (a.version, a.posted, a.held, a.head) and a.id <> all (p_skip)
     order by a.id limit p_limit) c;
  select count(*) into n_entries
    from unnest(picked) p(id) left join ledger.audit_mark m on m.account_id = p.id
    join ledger.transfer t on t.account_id = p.id and t.version > coalesce(m.version, 0);
  with mark as materialized (
    select p.id, coalesce(m.version, 0) as version, coalesce(m.posted, 0) as posted, coalesce(m.held, 0) as held,
           coalesce(m.head, decode(repeat('00', 32), 'hex')) as head
      from unnest(picked) p(id) left join ledger.audit_mark m on m.account_id = p.id),
  fresh as materialized (
    select t.*, lag(t.version, 1, m.version) over w as pv, lag(t.posted_after, 1, m.posted) over w as pp, lag(t.held_after, 1, m.held) over w as ph,
           lag(t.hash, 1, m.head) over w as px,
           coalesce(lag(t.created_at) over w, (select b.created_at from ledger.transfer b where b.account_id = m.id and b.version = m.version)) as pt
      from mark m join ledger.transfer t on t.account_id = m.id and t.version > m.version
    window w as (partition by t.account_id order by t.version)),
  touched as materialized (select distinct f.account_id, f.hold_id from fresh f where f.hold_id is not null),
  open_holds as materialized (select h.account_id, sum(h.amount) as held, count(*) as n from ledger.hold h where h.state = 'held' group by h.account_id),
  found(account, invariant, subject) as (
    select f.account_id, 'chain_gap', f.account_id::text from fresh f where f.version <> f.pv + 1 or f.posted_after <> f.pp + f.posted_delta or f.held_after <> f.ph + f.held_delta
    union all
    select f.account_id, 'chain_hash', f.account_id || ' row ' || f.version from fresh f
     where f.hash <> sha256(f.px || ledger.row_bytes(f.account_id, f.version, f.kind, f.debit_id, f.credit_id, f.amount, f.posted_delta, f.held_delta, f.posted_after,
                                                     f.held_after, f.hold_id, f.idem_key, f.created_at))
    union all
    select f.account_id, 'chain_time', f.account_id || ' row ' || f.version from fresh f where f.created_at < f.pt
    union all
    -- The row that was found clean is still there, and still the same.
    select m.id, 'mark_vs_chain', m.id || ' row ' || m.version from mark m
     where m.version > 0 and not exists (select 1 from ledger.transfer t where t.account_id = m.id and t.version = m.version and t.hash = m.head)
    union all
    select a.id, 'account_vs_chain', a.id::text
      from ledger.account a
      left join lateral (select c.* from ledger.transfer c where c.account_id = a.id order by c.version desc limit 1) l on true
     where a.id = any (picked) and (a.posted, a.held, a.version, a.head) is distinct from
           (coalesce(l.posted_after, 0), coalesce(l.held_after, 0), coalesce(l.version, 0), coalesce(l.hash, decode(repeat('00', 32), 'hex')))
    union all
    select a.id, 'negative_balance', a.id::text from ledger.account a where a.id = any (picked) and a.posted - a.held < -a.credit_line
    union all
    select a.id, 'held_vs_holds', a.id::text from ledger.account a left join open_holds o on o.account_id = a.id
     where a.id = any (picked) and (a.held <> coalesce(o.held, 0) or a.open_holds <> coalesce(o.n, 0))
    union all
    select h.account_id, 'hold_vs_journal', h.id::text
      from touched u join ledger.hold h on h.id = u.hold_id and h.account_id = u.account_id
      cross join lateral (select count(*) filter (where t.kind = 'h' and t.amount = h.amount) as holds, count(*) filter (where t.kind = 'c' and t.amount = h.captured) as captures,
                                 count(*) filter (where t.kind = 'r' and t.amount = h.amount) as releases, count(*) as all_rows
                            from ledger.transfer t where t.account_id = h.account_id and t.hold_id = h.id) c
     where (c.holds, c.captures, c.releases, c.all_rows) is distinct from
           (1::bigint, (h.state = 'captured')::int::bigint, (h.state = 'released')::int::bigint, case when h.state = 'held' then 1 else 2 end::bigint)
    union all
    select u.account_id, 'journal_without_hold', u.hold_id::text from touched u
     where not exists (select 1 from ledger.hold h where h.id = u.hold_id and h.account_id = u.account_id)
    union all
    select g.account_id, 'generation_vs_hold', g.id::text
      from touched u join generation.generation g on g.id = u.hold_id left join ledger.hold h on h.id = g.id
     where h.id is null or h.account_id <> g.account_id or h.amount <> g.price or h.captured <> g.charged
        or h.state <> (case when g.state in ('pending', 'processing') then 'held' when g.state = 'succeeded' then 'captured' else 'released' end)::ledger.hold_state
  )
  select coalesce(array_agg(x.account), '{}'), coalesce(array_agg(x.invariant), '{}'), coalesce(array_agg(x.subject), '{}')
    into w, i, s from (select distinct * from found order by account, invariant, subject) x;
  insert into ledger.audit_mark (account_id, version, posted, held, head, checked_at)
  select a.id, a.version, a.posted, a.held, a.head, clock_timestamp() from ledger.account a where a.id = any (picked) and a.id <> all (w)
  on conflict (account_id) do update
     set version = excluded.version, posted = excluded.posted, held = excluded.held, head = excluded.head, checked_at = excluded.checked_at;
  return query select cardinality(picked), n_entries, w, i, s;
end $$;

-- What belongs to no changed account: open generations without a job, and marks whose account is gone.
create function ledger.audit_region() returns table (invariant text, subject text) language sql stable as $$
  select 'open_generation_without_job', g.id::text
    from ledger.hold h join generation.generation g on g.id = h.id left join runtime.job j on j.id = h.id
   where h.state = 'held' and g.state in ('pending', 'processing') and j.id is null
  union all
  select 'chain_without_account', m.account_id::text from ledger.audit_mark m left join ledger.account a on a.id = m.account_id where a.id is null
$$;

-- Whether a round is due and nobody else is at one; if so, it is the caller's until its transaction ends.
create function ledger.audit_begin(p_every interval) returns boolean language plpgsql as $$
begin
  if exists (select 1 from ledger.audit_state where finished_at > clock_timestamp() - p_every) then return false; end if;
  return pg_try_advisory_xact_lock(hashtext('babysea.ledger.audit'));
end $$;

-- Notes what a round found.
create function ledger.audit_end(p_findings int, p_accounts bigint, p_entries bigint) returns void language sql as $$
  insert into ledger.audit_state (finished_at, findings, accounts, entries) values (clock_timestamp(), p_findings, p_accounts, p_entries)
  on conflict (one) do update set finished_at = excluded.finished_at, findings = excluded.findings, accounts = excluded.accounts, entries = excluded.entries
$$;

alter table ledger.audit_mark enable row level security;
alter table ledger.audit_mark force row level security;
create policy definer on ledger.audit_mark to babysea_owner using (true) with check (true);
alter table ledger.audit_state enable row level security;
alter table ledger.audit_state force row level security;
create policy definer on ledger.audit_state to babysea_owner using (true) with check (true);
create policy worker on ledger.audit_state for select to babysea_worker using (true);
grant select on ledger.audit_state to babysea_worker;

do $$
declare
  f regprocedure;
begin
  for f in select unnest(array['ledger.audit_changed(int, uuid[])', 'ledger.audit_region()', 'ledger.audit_begin(interval)',
                               'ledger.audit_end(int, bigint, bigint)']::regprocedure[]) loop
    execute format('revoke execute on function %s from public', f);
    execute format('alter function %s security definer', f);
    execute format('alter function %s set search_path = pg_catalog, pg_temp', f);
    execute format('grant execute on function %s to babysea_worker', f);
  end loop;
end $$;
