-- Leases: one row per worker process, one narrow row per job. Every later write of a worker carries the job's token.
create schema runtime;

create table runtime.worker (
  id         uuid primary key,
  started_at timestamptz not null default now(),
  expires_at timestamptz not null
) with (fillfactor = 50);

create table runtime.job (
  id        uuid primary key,                       -- the generation's id
  run_after timestamptz not null,
  worker    uuid,                                   -- null: free
  token     bigint not null default 0,              -- fencing token: +1 at each claim, hand-back and reclaim
  attempt   int not null default 0                  -- claims so far
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.01);
create index job_free on runtime.job (run_after) where worker is null;
create index job_taken on runtime.job (worker) where worker is not null;

-- Registers a worker, or says that it is still alive: false when its lease had already run out, and its jobs with it.
create function runtime.heartbeat(p_worker uuid, p_lease interval, p_new boolean) returns boolean language plpgsql as $$
begin
  if p_new then
    insert into runtime.worker (id, expires_at) values (p_worker, clock_timestamp() + p_lease);
    return true;
  end if;
  update runtime.worker set expires_at = clock_timestamp() + p_lease where id = p_worker and expires_at > clock_timestamp();
  return found;
end $$;

-- Frees the jobs of workers whose lease has run out; returns how many. The new token shuts the old holder out.
create function runtime.reclaim() returns int language plpgsql as $$
declare
  n int;
begin
  delete from runtime.worker where id in (
    select id from runtime.worker where expires_at <= clock_timestamp() order by id for update skip locked);
  -- By absence, not by the deleted ids: a claim may have read the worker's row a moment before it went.
  -- Jobs are locked in the order of their ids, as everywhere.
  with orphan as materialized (
    select j.id from runtime.job j
     where j.worker is not null and not exists (select 1 from runtime.worker w where w.id = j.worker)
     order by j.id for no key update of j)
  update runtime.job j set worker = null, token = j.token + 1, run_after = clock_timestamp() from orphan where j.id = orphan.id;
  get diagnostics n = row_count;
  return n;
end $$;

-- Takes up to p_limit due jobs for a worker that is alive.
create function runtime.claim(p_worker uuid, p_limit int) returns table (id uuid, token bigint, attempt int) language sql as $$
  with due as materialized (
    select j.id from runtime.job j
     where j.worker is null and j.run_after <= clock_timestamp()
       and exists (select 1 from runtime.worker w where w.id = p_worker and w.expires_at > clock_timestamp())
     order by j.run_after limit p_limit for update skip locked)
  update runtime.job j set worker = p_worker, token = j.token + 1, attempt = j.attempt + 1, run_after = 'infinity'
    from due where j.id = due.id
  returning j.id, j.token, j.attempt
$$;

-- Gives a job back for a while, or sooner when somebody woke it meanwhile (a claimed job waits for ever, so anything
-- earlier is a wake-up); false when the token is no longer ours.
create function runtime.give_back(p_id uuid, p_token bigint, p_pause interval) returns boolean language plpgsql as $$
begin
  -- A pause, not a time: the workers' clocks are not the database's.
  update runtime.job set worker = null, token = token + 1, run_after = least(clock_timestamp() + p_pause, run_after)
   where id = p_id and token = p_token;
  return found;
end $$;

-- Ends a job; false when the token is no longer ours.
create function runtime.finish(p_id uuid, p_token bigint) returns boolean language plpgsql as $$
begin
  delete from runtime.job where id = p_id and token = p_token;
  return found;
end $$;

-- Frees the jobs that a worker holds without working on them, because the answer to its claim was lost; returns how many.
create function runtime.release_except(p_worker uuid, p_live uuid[]) returns int language plpgsql as $$
declare
  n int;
begin
  with idle as materialized (
    select j.id from runtime.job j where j.worker = p_worker and j.id <> all (p_live) order by j.id for no key update)
  update runtime.job j set worker = null, token = j.token + 1, run_after = clock_timestamp() from idle where j.id = idle.id;
  get diagnostics n = row_count;
  return n;
end $$;

-- A worker that stops says so: its jobs are free at once.
create function runtime.leave(p_worker uuid) returns int language plpgsql as $$
declare
  n int;
begin
  with mine as materialized (select j.id from runtime.job j where j.worker = p_worker order by j.id for no key update)
  update runtime.job j set worker = null, token = j.token + 1, run_after = clock_timestamp() from mine where j.id = mine.id;
  get diagnostics n = row_count;
  delete from runtime.worker where id = p_worker;
  return n;
end $$;
