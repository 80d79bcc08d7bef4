-- Notifications: the region's queue of e-mails, the in-app inbox, what people want to hear, and who must not be written to.
create schema notifications;

-- One e-mail to one recipient. Address and words are sealed, and both are emptied when the letter has ended: what stays is
-- that it was, for whom and what became of it.
create table notifications.letter (
  id               uuid primary key,
  event_key        text not null unique check (length(event_key) between 1 and 200), -- the fact that it tells; ids and words only
  template         text not null,
  template_version int not null,
  category         text not null,
  optional         text,                                  -- purpose that needs the person's consent; null: none is needed
  person_id        uuid,                                  -- goes to the person's address of the moment, unless to_ct is given
  email_hash       bytea,                                 -- keyed hash: whoever has this address when it is sent, or nobody
  to_ct            bytea,                                 -- sealed address that is not (yet, or no longer) a person's own
  account_id       uuid,
  sealed_by        uuid,                                  -- whose data key sealed to_ct and data_ct
  data_ct          bytea,                                 -- sealed values of the template
  state            text not null default 'queued' check (state in ('queued', 'sent', 'failed', 'dropped', 'suppressed')),
  run_after        timestamptz not null,                  -- next attempt; while a sender has it, the end of its lease
  worker           uuid,                                  -- the sender that has it
  token            bigint not null default 0,             -- fencing: only the last claim's token may write
  attempts         int not null default 0,
  last_error_kind  text,                                  -- a word of ours, never the mail server's text
  created_at       timestamptz not null default now(),
  sent_at          timestamptz,
  message_id       text,
  check (person_id is not null or email_hash is not null or to_ct is not null or state <> 'queued'),
  check ((to_ct is null and data_ct is null) or sealed_by is not null),
  check ((state = 'sent') = (sent_at is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index letter_due on notifications.letter (run_after) where state = 'queued';
create index letter_newest on notifications.letter (created_at desc, id desc);

-- Addresses that are not written to, by keyed hash.
create table notifications.suppression (
  email_hash bytea primary key,
  reason     text not null check (reason in ('bounce', 'complaint', 'manual')),
  created_at timestamptz not null,
  expires_at timestamptz                                  -- null: until somebody clears it
);

alter table notifications.letter enable row level security;
alter table notifications.letter force row level security;
create policy definer on notifications.letter to babysea_owner using (true) with check (true);
alter table notifications.suppression enable row level security;
alter table notifications.suppression force row level security;
create policy definer on notifications.suppression to babysea_owner using (true) with check (true);

-- Queues a letter, once per event: false when it is queued or was sent already.
create function notifications.queue_letter(p_id uuid, p_event_key text, p_template text, p_version int, p_category text, p_optional text,
  p_person uuid, p_email_hash bytea, p_to_ct bytea, p_account uuid, p_sealed_by uuid, p_data_ct bytea, p_run_after timestamptz)
returns boolean language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  insert into notifications.letter (id, event_key, template, template_version, category, optional, person_id, email_hash, to_ct, account_id,
                                    sealed_by, data_ct, run_after)
  values (p_id, p_event_key, p_template, p_version, p_category, p_optional, p_person, p_email_hash, p_to_ct, p_account,
          p_sealed_by, p_data_ct, coalesce(p_run_after, clock_timestamp()))
  on conflict (event_key) do nothing;
  return found;
end $$;

-- Takes due letters; nobody else takes them until the lease is over.
create function notifications.claim_letters(p_worker uuid, p_limit int, p_lease interval)
returns table (id uuid, token bigint, template text, template_version int, category text, optional text, person_id uuid, email_hash bytea,
               to_ct bytea, account_id uuid, sealed_by uuid, data_ct bytea, attempts int, created_at timestamptz)
language sql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
  with due as materialized (
    select l.id from notifications.letter l
     where l.state = 'queued' and l.run_after <= clock_timestamp()
     order by l.run_after limit p_limit for no key update skip locked)
  update notifications.letter l
     set worker = p_worker, token = l.token + 1, attempts = l.attempts + 1, run_after = clock_timestamp() + p_lease
    from due where l.id = due.id
  returning l.id, l.token, l.template, l.template_version, l.category, l.optional, l.person_id, l.email_hash,
            l.to_ct, l.account_id, l.sealed_by, l.data_ct, l.attempts, l.created_at
$$;

-- Fixes who gets a letter and what it says, once that is known; false when the sender has lost it.
create function notifications.settle_letter(p_id uuid, p_token bigint, p_person uuid, p_data_ct bytea) returns boolean language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  update notifications.letter l set person_id = p_person, sealed_by = p_person, data_ct = p_data_ct
   where l.id = p_id and l.token = p_token and l.state = 'queued';
  return found;
end $$;

-- Gives a letter back until later; false when the sender has lost it.
create function notifications.return_letter(p_id uuid, p_token bigint, p_pause interval, p_error text) returns boolean language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  update notifications.letter l set worker = null, run_after = clock_timestamp() + p_pause, last_error_kind = p_error
   where l.id = p_id and l.token = p_token and l.state = 'queued';
  return found;
end $$;

-- Ends a letter and empties it; false when the sender has lost it.
create function notifications.finish_letter(p_id uuid, p_token bigint, p_state text, p_error text, p_message_id text)
returns boolean language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  update notifications.letter l
     set state = p_state, worker = null, to_ct = null, data_ct = null, last_error_kind = p_error, message_id = p_message_id,
         sent_at = case when p_state = 'sent' then clock_timestamp() end
   where l.id = p_id and l.token = p_token and l.state = 'queued';
  return found;
end $$;

-- Stops e-mail to an address. A reason that lasts longer is not replaced by one that ends sooner.
create function notifications.suppress(p_hash bytea, p_reason text, p_expires timestamptz) returns void language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  insert into notifications.suppression as s (email_hash, reason, created_at, expires_at)
  values (p_hash, p_reason, clock_timestamp(), p_expires)
  on conflict (email_hash) do update set reason = excluded.reason, created_at = excluded.created_at, expires_at = excluded.expires_at
   where coalesce(s.expires_at, 'infinity') < coalesce(excluded.expires_at, 'infinity')
      or (s.reason = 'complaint' and excluded.reason = 'manual');
end $$;

-- Lets an address be written to again; false when nothing stopped it.
create function notifications.clear_suppression(p_hash bytea) returns boolean language plpgsql
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  delete from notifications.suppression s where s.email_hash = p_hash;
  return found;
end $$;

-- Who a letter goes to: a person by id, or whoever has an address now. No row when nobody is.
create function notifications.recipient(p_person uuid, p_email_hash bytea) returns table (person_id uuid, email_ct bytea) language plpgsql stable
  security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
  if p_person is not null then
    return query select p.id, p.email_ct from accounts.person p where p.id = p_person;
  else
    return query select p.id, p.email_ct from accounts.person p where p.email_hash = p_email_hash;
  end if;
end $$;

-- Letters for operators: what became of them, never to whom or what they said.
create function notifications.list_letters(p_state text, p_before_at timestamptz, p_before_id uuid, p_limit int, p_skip int)
returns table (id uuid, event_key text, template text, template_version int, state text, attempts int, last_error_kind text,
               created_at timestamptz, run_after timestamptz, sent_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
  select l.id, l.event_key, l.template, l.template_version, l.state, l.attempts, l.last_error_kind, l.created_at, l.run_after, l.sent_at
    from notifications.letter l
   where (p_state is null or l.state = p_state)
     and (p_before_at is null or (l.created_at, l.id) < (p_before_at, p_before_id))
   order by l.created_at desc, l.id desc limit p_limit offset p_skip
$$;

-- How many letters there are, of a state or all.
create function notifications.count_letters(p_state text) returns bigint language sql stable
  security definer set search_path = pg_catalog, pg_temp as $$
  select count(*) from notifications.letter l where p_state is null or l.state = p_state
$$;

grant usage on schema notifications to babysea_app, babysea_worker;
do $$
declare
  f regprocedure;
begin
  for f in select p.oid::regprocedure from pg_proc p where p.pronamespace = 'notifications'::regnamespace loop
    execute format('revoke execute on function %s from public', f);
    execute format('grant execute on function %s to babysea_worker', f);
  end loop;
end $$;
grant execute on function notifications.queue_letter to babysea_app;
