import asyncio
from tests.support.postgres import TestDatabase
async def test_probe(region):
    c = await region.connect()
    print("version", await c.fetchval("show server_version"))
    for q in [
     "select rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolcanlogin, rolinherit from pg_roles where rolname like 'babysea%'",
     "select roleid::regrole::text, member::regrole::text from pg_auth_members where member::regrole::text like 'babysea%'",
     "select nspname, nspacl::text, nspowner::regrole::text from pg_namespace where nspname !~ '^pg_toast'",
     "select datname, datacl::text from pg_database",
     "select c.oid::regclass::text, c.relkind::text, c.relrowsecurity, c.relforcerowsecurity, c.relacl::text, c.relowner::regrole::text from pg_class c join pg_namespace n on n.oid=c.relnamespace where n.nspname !~ '^pg_' and n.nspname<>'information_schema' and c.relkind in ('r','p','v','m','S','f')",
     "select p.oid::regprocedure::text, prosecdef, proconfig::text, proacl::text, proowner::regrole::text from pg_proc p join pg_namespace n on n.oid=p.pronamespace where n.nspname !~ '^pg_' and n.nspname<>'information_schema'",
     "select lanname, lanacl::text from pg_language",
    ]:
        print("---", q[:50])
        for r in await c.fetch(q): print(*r.values())
    await c.close()
    v = await __import__("asyncpg").connect(region.database.cluster.url(region.database.vault))
    for q in ["select nspname, nspacl::text from pg_namespace where nspname !~ '^pg_toast'","select c.oid::regclass::text, c.relacl::text,relrowsecurity from pg_class c join pg_namespace n on n.oid=c.relnamespace where n.nspname ='vault'", "select datname, datacl::text from pg_database"]:
        for r in await v.fetch(q): print(*r.values())
    await v.close()
