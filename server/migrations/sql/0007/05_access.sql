-- Who may do what. The logger writes and reads nothing; members read their account's rows.
do $$
declare
  t text;
begin
  foreach t in array array['request', 'usage_daily', 'key_daily', 'activity'] loop
    execute format('alter table logs.%I enable row level security', t);
    execute format('alter table logs.%I force row level security', t);
    execute format('create policy tenant on logs.%I to babysea_app using (account_id = nullif(current_setting(''app.account_id'', true), '''')::uuid)', t);
    execute format('create policy definer on logs.%I to babysea_owner using (true) with check (true)', t);
  end loop;
  foreach t in array array['request_default', 'activity_default', 'gap'] loop
    execute format('alter table logs.%I enable row level security', t);
    execute format('alter table logs.%I force row level security', t);
    execute format('create policy definer on logs.%I to babysea_owner using (true) with check (true)', t);
  end loop;
end $$;
create policy worker on logs.gap for select to babysea_worker using (true);

grant usage on schema logs to babysea_app, babysea_worker, babysea_logger;
grant select on logs.request, logs.usage_daily, logs.key_daily, logs.activity to babysea_app;
grant select on logs.gap to babysea_worker;

revoke execute on function logs.write_requests, logs.note_gap, logs.note_activity, logs.forget_key, logs.forget_gone_keys, logs.event_facts, logs.ensure_partitions,
  logs.drop_partitions from public;
grant execute on function logs.write_requests, logs.note_gap to babysea_logger;
grant execute on function logs.note_activity, logs.forget_key, logs.event_facts to babysea_app;
grant execute on function logs.note_activity, logs.ensure_partitions, logs.drop_partitions, logs.forget_gone_keys to babysea_worker;
