-- Every invariant of the money; one row a violation, none when clean. Re-hashes every chain.
create function ledger.audit() returns table (invariant text, subject text) language sql stable as $$
  with chain as (
    select t.*, lag(version, 1, 0::bigint) over w as pv, lag(posted_after, 1, 0::bigint) over w as pp, lag(held_after, 1, 0::bigint) over w as ph,
           lag(hash, 1, decode(repeat('00', 32), 'hex')) over w as px, lag(created_at) over w as pt
      from ledger.transfer t window w as (partition by account_id order by version)
  )
  select 'chain_gap', account_id::text from chain where version <> pv + 1 or posted_after <> pp + posted_delta or held_after <> ph + held_delta
  union all
  select 'chain_hash', account_id || ' row ' || version from chain
   where hash <> sha256(px || ledger.row_bytes(account_id, version, kind, debit_id, credit_id, amount, posted_delta, held_delta, posted_after, held_after, hold_id, idem_key, created_at))
  union all
  select 'chain_time', account_id || ' row ' || version from chain where created_at < pt
  union all
  select 'account_vs_chain', a.id::text
    from ledger.account a
    left join lateral (select c.* from ledger.transfer c where c.account_id = a.id order by version desc limit 1) l on true
   where (a.posted, a.held, a.version, a.head) is distinct from
         (coalesce(l.posted_after, 0), coalesce(l.held_after, 0), coalesce(l.version, 0), coalesce(l.hash, decode(repeat('00', 32), 'hex')))
  union all
  select 'chain_without_account', t.account_id::text from ledger.transfer t left join ledger.account a on a.id = t.account_id
   where a.id is null group by t.account_id
  union all
  select 'negative_balance', id::text from ledger.account where posted - held < -credit_line
  union all
  select 'held_vs_holds', a.id::text
    from ledger.account a left join ledger.hold h on h.account_id = a.id and h.state = 'held'
   group by a.id having a.held <> coalesce(sum(h.amount), 0) or a.open_holds <> count(h.id)
  union all
  select 'hold_vs_journal', h.id::text
    from ledger.hold h
    left join lateral (select count(*) filter (where kind = 'h' and amount = h.amount) as holds,
                              count(*) filter (where kind = 'c' and amount = h.captured) as captures,
                              count(*) filter (where kind = 'r' and amount = h.amount) as releases,
                              count(*) as all_rows
                         from ledger.transfer t where t.account_id = h.account_id and t.hold_id = h.id) t on true
   where (t.holds, t.captures, t.releases, t.all_rows) is distinct from
         (1::bigint, (h.state = 'captured')::int::bigint, (h.state = 'released')::int::bigint, case when h.state = 'held' then 1 else 2 end::bigint)
  union all
  select 'journal_without_hold', t.hold_id::text from ledger.transfer t left join ledger.hold h on h.id = t.hold_id
   where t.hold_id is not null and h.id is null
  union all
  select 'generation_vs_hold', g.id::text
    from generation.generation g left join ledger.hold h on h.id = g.id
   where h.id is null or h.account_id <> g.account_id or h.amount <> g.price
      or h.state <> (case when g.state in ('pending', 'processing') then 'held' when g.state = 'succeeded' then 'captured' else 'released' end)::ledger.hold_state
      or h.captured <> g.charged
  union all
  select 'open_generation_without_job', g.id::text from generation.generation g left join runtime.job j on j.id = g.id
   where g.state in ('pending', 'processing') and j.id is null
$$;
