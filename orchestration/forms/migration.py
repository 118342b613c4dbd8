"""Tables of the Dagster instance: made and changed by their owner, used by a role with rights on them alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import psycopg2
import yaml
from psycopg2 import sql

from orchestration.forms.errors import FormError, UnreachableError
from orchestration.forms.server import PREFIX, ServerSettings


def migrate(server: ServerSettings) -> str:
    """Make or renew the tables as their owner, and let the login role use them; return what was done.

    Running it again changes nothing.

    Raises:
        FormError: If a connection string is missing or cannot be used.
    """
    owner_url = server.postgres_owner().get_secret_value()
    login = unquote(urlsplit(server.postgres().get_secret_value()).username or "")
    if not login:
        raise FormError(f"{PREFIX}POSTGRES_URL names no role.")
    import dagster as dg

    # The tables are made, or upgraded, by opening the storages as the owner.
    with _instance_of_owner(owner_url) as home, dg.DagsterInstance.from_config(str(home)) as instance:
        instance.upgrade()
    try:
        connection = psycopg2.connect(owner_url, connect_timeout=5)
    except psycopg2.OperationalError as error:
        raise UnreachableError(f"PostgreSQL refuses {PREFIX}POSTGRES_OWNER_URL: {str(error).splitlines()[0]}") from None
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select current_schema(), current_user")
            schema, owner = cursor.fetchone()
            if login != owner:
                _grant(cursor, schema, login)
            cursor.execute("select count(*) from pg_tables where schemaname = %s", (schema,))
            tables = cursor.fetchone()[0]
    finally:
        connection.close()
    return f"{tables} tables in the schema {schema} belong to {owner}; {login} may read and write their rows."


def _grant(cursor: "psycopg2.extensions.cursor", schema: str, login: str) -> None:
    names = {"schema": sql.Identifier(schema), "login": sql.Identifier(login)}
    for statement in (
        "grant usage on schema {schema} to {login}",
        "grant select, insert, update, delete on all tables in schema {schema} to {login}",
        "grant usage, select on all sequences in schema {schema} to {login}",
        "revoke insert, update, delete on {schema}.alembic_version from {login}",
        "alter default privileges in schema {schema} grant select, insert, update, delete on tables to {login}",
        "alter default privileges in schema {schema} grant usage, select on sequences to {login}",
    ):
        cursor.execute(sql.SQL(statement).format(**names))


@contextmanager
def _instance_of_owner(owner_url: str) -> Iterator[Path]:
    """Yield the folder of an instance that may make tables, while the context lasts."""
    variable = f"{PREFIX}POSTGRES_OWNER_URL"
    before = os.environ.get(variable)
    os.environ[variable] = owner_url
    try:
        with TemporaryDirectory(prefix="kilowise-migrate-") as folder:
            content = {
                "telemetry": {"enabled": False},
                "storage": {"postgres": {"postgres_url": {"env": variable}}},
            }
            (Path(folder) / "dagster.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
            yield Path(folder)
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
