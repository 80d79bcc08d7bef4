-- Makes the daily partitions from today to so many days ahead; run at start and once a day. A day whose rows are in the
-- default partition already stays there.
create function logs.ensure_partitions(p_days int) returns int language plpgsql
security definer set search_path = pg_catalog, pg_temp
as $$
declare
  today constant date := (now() at time zone 'UTC')::date;
  t text;
  d date;
  part text;
  begins timestamptz;
  ends timestamptz;
  taken boolean;
  made int := 0;
begin
  foreach t in array array['request', 'activity'] loop
    for d in select generate_series(today, today + p_days, interval '1 day')::date loop
      part := t || '_' || to_char(d, 'YYYYMMDD');
      continue when to_regclass('logs.' || part) is not null;
      begins := d::timestamp at time zone 'UTC';
      ends := (d + 1)::timestamp at time zone 'UTC';
      execute format('select exists (select 1 from logs.%I where at >= $1 and at < $2)', t || '_default') into taken using begins, ends;
      continue when taken;
      execute format('create table logs.%I partition of logs.%I for values from (%L) to (%L)', part, t, begins, ends);
      execute format('alter table logs.%I enable row level security', part);
      execute format('alter table logs.%I force row level security', part);
      made := made + 1;
    end loop;
  end loop;
  return made;
end $$;

-- Removes what is older than a day, whatever the account: whole partitions at once, and such rows of the default ones.
-- The number of partitions.
create function logs.drop_partitions(older_than date) returns int language plpgsql
security definer set search_path = pg_catalog, pg_temp
as $$
declare
  t text;
  part text;
  dropped int := 0;
begin
  foreach t in array array['request', 'activity'] loop
    for part in
      select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = format('logs.%I', t)::regclass and c.relname ~ (t || '_\d{8}$')
         and to_date(right(c.relname, 8), 'YYYYMMDD') < older_than
    loop
      execute format('drop table logs.%I', part);
      dropped := dropped + 1;
    end loop;
    execute format('delete from logs.%I where at < $1', t || '_default') using older_than::timestamp at time zone 'UTC';
  end loop;
  return dropped;
end $$;
