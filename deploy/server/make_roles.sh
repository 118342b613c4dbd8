#!/bin/sh
# In PostgreSQL's container, once, when its cluster is made: roles and database of Dagster.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres --file /roles.sql \
  --set owner_password="$(cat /run/secrets/owner_password)" --set login_password="$(cat /run/secrets/login_password)"
