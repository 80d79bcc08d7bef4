-- The house's own book: money between house accounts. It names no customer, and no customer's chain holds a row of it.
-- Today it holds waste: what an attempt cost that no customer pays for. Receivables (clawbacks) will be rows of it, too.
insert into ledger.house (id, name) values ('00000000-0000-0000-0000-000000000008', 'payable');

create table ledger.house_entry (
  id            uuid primary key,                            -- the attempt's id, so that nothing is booked twice
  debit_id      uuid not null,                               -- of ledger.house; no foreign key: it would lock the one row
  credit_id     uuid not null,
  amount        bigint not null check (amount >= 0),         -- 0: the provider named no cost, see cost_known
  cost_known    boolean not null,
  generation_id uuid not null,
  provider      text not null,
  outcome       text not null check (outcome in ('discarded', 'failed', 'canceled')),
  created_at    timestamptz not null,
  check (debit_id <> credit_id),
  check (cost_known = (amount > 0))
);
create trigger house_entry_append_only before update or delete on ledger.house_entry
  for each row execute function ledger.refuse_change();
create trigger house_entry_no_truncate before truncate on ledger.house_entry
  for each statement execute function ledger.refuse_change();

-- The words of the refusal name the table that it protects.
create or replace function ledger.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '%.% is append-only', tg_table_schema, tg_table_name;
end $$;

-- Books an attempt that ended without being paid for by a customer, in the transaction that ends it. A discarded one may
-- be billed whatever we know; a failed or stopped one is booked when the provider named a cost.
create function ledger.book_waste() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into ledger.house_entry (id, debit_id, credit_id, amount, cost_known, generation_id, provider, outcome, created_at)
  values (new.id, '00000000-0000-0000-0000-000000000007', '00000000-0000-0000-0000-000000000008', new.cost_micros, new.cost_micros > 0,
          new.generation_id, new.provider, new.state, clock_timestamp());
  return null;
end $$;
revoke execute on function ledger.book_waste() from public;
create trigger attempt_wasted after update on generation.attempt for each row
  when (old.resolved_at is null and new.resolved_at is not null
        and (new.state = 'discarded' or (new.state in ('failed', 'canceled') and new.cost_micros > 0)))
  execute function ledger.book_waste();

-- What each house account of the house's own book was debited and credited, and how many rows had no known cost.
create function ledger.house_totals() returns table (name text, debited bigint, credited bigint, entries bigint, unknown_costs bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select h.name, coalesce(sum(e.amount) filter (where e.debit_id = h.id), 0)::bigint, coalesce(sum(e.amount) filter (where e.credit_id = h.id), 0)::bigint,
         count(e.id), count(e.id) filter (where not e.cost_known)
    from ledger.house h left join ledger.house_entry e on h.id in (e.debit_id, e.credit_id)
   where h.name in ('waste', 'payable', 'receivable')
   group by h.id, h.name
   order by h.id
$$;
revoke execute on function ledger.house_totals() from public;
grant execute on function ledger.house_totals() to babysea_worker;

alter table ledger.house_entry enable row level security;
alter table ledger.house_entry force row level security;
create policy definer on ledger.house_entry to babysea_owner using (true) with check (true);
