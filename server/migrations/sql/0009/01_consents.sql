-- Consent: which texts there were, and what each person or visitor chose. Choices are only ever added.
create schema privacy;

-- A text is written down here by the first choice that names it, with the checksum of what was shown. The words themselves
-- are data files of the program; under one version and locale they are the same for everybody and for ever.
create table privacy.consent_text (
  purpose        text not null check (purpose ~ '^[a-z][a-z_]{1,39}$'),
  version        text not null check (version ~ '^\d{4}-\d{2}-\d{2}$'),
  locale         text not null check (locale ~ '^[a-z]{2}(?:-[A-Z]{2})?$'),
  title          text not null,
  sha256         bytea not null check (length(sha256) = 32),
  effective_from timestamptz not null,
  primary key (purpose, version, locale)
);

create table privacy.consent (
  id           uuid primary key,
  person_id    uuid,                                       -- no foreign key: a choice is proof, and outlives who made it
  visitor_hash bytea,                                      -- keyed hash of the random id of a visitor who has not signed in
  purpose      text not null,
  version      text not null,
  locale       text not null,
  granted      boolean not null,
  at           timestamptz not null default clock_timestamp(),
  address_hash bytea,                                      -- keyed hash of the client's address
  source       text not null check (source in ('sign_up', 'settings', 'banner', 'unsubscribe', 'sign_in')),
  moved_from   uuid unique,                                -- the visitor's choice that became this person's, once
  check ((person_id is null) <> (visitor_hash is null)),
  check ((source = 'sign_in') = (moved_from is not null)),
  foreign key (purpose, version, locale) references privacy.consent_text
);
create index consent_by_person on privacy.consent (person_id, purpose, at desc, id desc) where person_id is not null;
create index consent_by_visitor on privacy.consent (visitor_hash, at) where visitor_hash is not null;

create function privacy.refuse_change() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '%.% is append-only', tg_table_schema, tg_table_name;
end $$;
create trigger consent_append_only before update or delete on privacy.consent
  for each row execute function privacy.refuse_change();
create trigger consent_no_truncate before truncate on privacy.consent
  for each statement execute function privacy.refuse_change();
create trigger consent_text_append_only before update or delete on privacy.consent_text
  for each row execute function privacy.refuse_change();
create trigger consent_text_no_truncate before truncate on privacy.consent_text
  for each statement execute function privacy.refuse_change();

-- Writes down the texts that a choice names. False when one of them was shown in other words under the same version before.
create function privacy.register_texts(p_purposes text[], p_versions text[], p_locales text[], p_titles text[],
                                       p_sha256s bytea[], p_effective timestamptz[]) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
begin
  insert into privacy.consent_text (purpose, version, locale, title, sha256, effective_from)
  select t.purpose, t.version, t.locale, t.title, t.sha256, t.effective
    from unnest(p_purposes, p_versions, p_locales, p_titles, p_sha256s, p_effective)
         as t(purpose, version, locale, title, sha256, effective)
   order by 1, 2, 3
      on conflict do nothing;
  return not exists (
    select 1 from unnest(p_purposes, p_versions, p_locales, p_sha256s) as t(purpose, version, locale, sha256)
      join privacy.consent_text k on (k.purpose, k.version, k.locale) = (t.purpose, t.version, t.locale)
     where k.sha256 <> t.sha256);
end $$;

-- Adds the choices of a visitor, who has no row-level identity of its own.
create function privacy.record_visitor(p_visitor bytea, p_ids uuid[], p_purposes text[], p_versions text[], p_locales text[],
                                       p_granted boolean[], p_address_hash bytea) returns int
language sql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
  with added as (
    insert into privacy.consent (id, visitor_hash, purpose, version, locale, granted, address_hash, source)
    select t.id, p_visitor, t.purpose, t.version, t.locale, t.granted, p_address_hash, 'banner'
      from unnest(p_ids, p_purposes, p_versions, p_locales, p_granted) as t(id, purpose, version, locale, granted)
    returning 1)
  select count(*)::int from added
$$;

-- Gives a visitor's choices to the person of the transaction, with their own times. Each is given once only: the next
-- person at the same browser does not inherit them.
create function privacy.adopt_visitor(p_visitor bytea) returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  me constant uuid := nullif(current_setting('app.person_id', true), '')::uuid;
  n int;
begin
  if me is null then raise exception 'adopt_visitor needs a person'; end if;
  insert into privacy.consent (id, person_id, purpose, version, locale, granted, at, address_hash, source, moved_from)
  select uuidv7(), me, c.purpose, c.version, c.locale, c.granted, c.at, c.address_hash, 'sign_in', c.id
    from privacy.consent c where c.visitor_hash = p_visitor order by c.at, c.id
      on conflict (moved_from) do nothing;
  get diagnostics n = row_count;
  return n;
end $$;

do $$
declare
  t text;
begin
  foreach t in array array['privacy.consent_text', 'privacy.consent'] loop
    execute format('alter table %s enable row level security', t);
    execute format('alter table %s force row level security', t);
    execute format('create policy definer on %s to babysea_owner using (true) with check (true)', t);
  end loop;
end $$;
-- A person sees and adds its own choices; workers ask before they do anything optional.
create policy self on privacy.consent to babysea_app
  using (person_id = nullif(current_setting('app.person_id', true), '')::uuid)
  with check (person_id = nullif(current_setting('app.person_id', true), '')::uuid and source <> 'sign_in');
create policy worker on privacy.consent for select to babysea_worker using (true);

grant usage on schema privacy to babysea_app, babysea_worker;
grant select, insert on privacy.consent to babysea_app;
grant select on privacy.consent to babysea_worker;
revoke execute on function privacy.refuse_change, privacy.register_texts, privacy.record_visitor, privacy.adopt_visitor
  from public;
grant execute on function privacy.register_texts, privacy.record_visitor, privacy.adopt_visitor to babysea_app;
