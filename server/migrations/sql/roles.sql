-- The roles of a region. Run by `babysea migrate` before the migrations, as a role that may create roles; on a managed
-- database an operator runs it once. Idempotent. Passwords are set apart from this file.
do $$
declare
  r text;
begin
  foreach r in array array['babysea_owner nologin', 'babysea_app login', 'babysea_admitter login', 'babysea_worker login',
                           'babysea_logger login'] loop
    begin
      execute 'create role ' || r;
    exception when duplicate_object or unique_violation then null;  -- another database's migration was first
    end;
  end loop;
  execute format('grant connect, create on database %I to babysea_owner', current_database());
  -- Nobody else may connect, and nobody may shadow a table of ours with a temporary one.
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to babysea_app, babysea_worker', current_database());
end $$;
revoke all on schema public from public;
grant babysea_owner to current_user;
