-- Roles of Dagster's database with least privilege; run it once as an administrator, and again to change passwords:
--   psql --host HOST --username ADMIN --dbname postgres --file deploy/server/roles.sql \
--     --set owner_password="$(cat owner_password)" --set login_password="$(cat login_password)"
-- kilowise_owner owns the schema and runs migrations; kilowise_dagster, which all processes use, may read and write rows
-- there and nothing else. `python -m orchestration server migrate` makes the tables and grants the rights on them.
\set ON_ERROR_STOP on
select 'create role kilowise_owner login' where not exists (select from pg_roles where rolname = 'kilowise_owner') \gexec
select 'create role kilowise_dagster login' where not exists (select from pg_roles where rolname = 'kilowise_dagster') \gexec
set password_encryption = 'scram-sha-256';
alter role kilowise_owner password :'owner_password';
alter role kilowise_dagster password :'login_password' connection limit 150;
select 'create database kilowise_dagster owner kilowise_owner'
where not exists (select from pg_database where datname = 'kilowise_dagster') \gexec
\connect kilowise_dagster
revoke all on database kilowise_dagster from public;
grant connect on database kilowise_dagster to kilowise_owner, kilowise_dagster;
revoke all on schema public from public;
create schema if not exists dagster authorization kilowise_owner;
alter role kilowise_owner in database kilowise_dagster set search_path = dagster;
alter role kilowise_dagster in database kilowise_dagster set search_path = dagster;
