-- Events: written by the transaction that changes a fact; columns mirror proto/babysea/events/v1. Nothing here holds a
-- prompt, a URL, an e-mail, a secret or an address.
create schema events;

create table events.event (
  id                uuid not null default uuidv7(),
  tx                xid8 not null default pg_current_xact_id(),
  account_id        uuid not null,
  aggregate_id      uuid not null,
  aggregate_version bigint not null,
  type              text not null,
  occurred_at       timestamptz not null,
  traceparent       text,
  model_identifier  text,
  provider          text,
  error_code        text,
  amount_micros     bigint,
  elapsed_millis    bigint,
  primary key (occurred_at, id)
) partition by range (occurred_at);
create index event_by_aggregate on events.event (aggregate_id, aggregate_version);
create table events.event_default partition of events.event default;

-- What the sequencer has not numbered yet.
create table events.outbox (
  id           bigint generated always as identity primary key,
  event_id     uuid not null,
  partition    smallint not null,
  aggregate_id uuid not null,
  account_id   uuid not null,
  created_at   timestamptz not null
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);

-- Every event goes to the outbox, whoever writes it.
create function events.to_outbox() returns trigger language plpgsql as $$
begin
  insert into events.outbox (event_id, partition, aggregate_id, account_id, created_at)
  select n.id, get_byte(uuid_send(n.aggregate_id), 15) & 15, n.aggregate_id, n.account_id, n.occurred_at from fresh n;
  return null;
end $$;
create trigger event_to_outbox after insert on events.event referencing new table as fresh
  for each statement execute function events.to_outbox();

-- Makes the daily partitions from today to so many days ahead; run at start and once a day.
create function events.ensure_partitions(p_days int) returns int language plpgsql as $$
declare
  today constant date := (now() at time zone 'UTC')::date;
  d date;
  made int := 0;
  part text;
begin
  for d in select generate_series(today, today + p_days, interval '1 day')::date loop
    part := 'event_' || to_char(d, 'YYYYMMDD');
    if to_regclass('events.' || part) is null
       and not exists (select 1 from events.event_default e where e.occurred_at >= d::timestamp at time zone 'UTC' and e.occurred_at < (d + 1)::timestamp at time zone 'UTC') then
      execute format('create table events.%I partition of events.event for values from (%L) to (%L)',
                     part, d::timestamp at time zone 'UTC', (d + 1)::timestamp at time zone 'UTC');
      execute format('alter table events.%I enable row level security', part);
      execute format('alter table events.%I force row level security', part);
      made := made + 1;
    end if;
  end loop;
  return made;
end $$;
