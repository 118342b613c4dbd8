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

from orchestration.forms.errors import FormError, RightsError, UnreachableError
from orchestration.forms.server import PREFIX, ServerSettings


def migrate(server: ServerSettings) -> str:
    """Make or renew the tables as their owner, and let the login role use them; return what was done.

    Running it again changes nothing.

    Raises:
        UnreachableError: If the database does not answer, or refuses the owner.
        RightsError: If the role is not the owner.
        FormError: If a connection string is missing or cannot be used.
    """
    owner_url = server.postgres_owner().get_secret_value()
    login = unquote(urlsplit(server.postgres().get_secret_value()).username or "")
    if not login:
        raise FormError(f"{PREFIX}POSTGRES_URL names no role.")
    with _cursor_of_owner(owner_url) as cursor:
        _refuse_other_owner(cursor)
    import dagster as dg

    # The tables are made, or upgraded, by opening the storages as the owner.
    with _instance_of_owner(owner_url) as home, dg.DagsterInstance.from_config(str(home)) as instance:
        instance.upgrade()
    with _cursor_of_owner(owner_url) as cursor:
        cursor.execute("select current_schema(), current_user")
        schema, owner = cursor.fetchone()
        if login != owner:
            _grant(cursor, schema, login)
        cursor.execute("select count(*) from pg_tables where schemaname = %s", (schema,))
        tables = cursor.fetchone()[0]
    return f"{tables} tables in the schema {schema} belong to {owner}; {login} may read and write their rows."


@contextmanager
def _cursor_of_owner(owner_url: str) -> Iterator["psycopg2.extensions.cursor"]:
    """Yield a cursor whose work is kept at the end of the context."""
    try:
        connection = psycopg2.connect(owner_url.replace("postgresql+psycopg2://", "postgresql://"), connect_timeout=5)
    except (psycopg2.OperationalError, psycopg2.ProgrammingError) as error:
        raise UnreachableError(
            f"PostgreSQL cannot be used at the address of {PREFIX}POSTGRES_OWNER_URL "
            f"({str(error).strip().splitlines()[0]}): is it started, are host, port, role, password and database right?"
        ) from None
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def _refuse_other_owner(cursor: "psycopg2.extensions.cursor") -> None:
    """Refuse a role that may make no tables, or whose schema holds those of another role."""
    cursor.execute(
        "select current_user, current_schema(), coalesce(has_schema_privilege(current_schema(), 'create'), false), "
        "(select min(tableowner) from pg_tables where schemaname = current_schema() and not "
        "pg_has_role(current_user, tableowner, 'usage'))"
    )
    role, schema, may_create, other_owner = cursor.fetchone()
    if other_owner is not None:
        raise RightsError(
            f"The tables in the schema {schema} belong to {other_owner}, and {PREFIX}POSTGRES_OWNER_URL names {role}: "
            "name their owner there."
        )
    if not may_create:
        raise RightsError(
            f"The role {role} of {PREFIX}POSTGRES_OWNER_URL may make no tables in {schema or 'any schema'}: name the "
            "owner of Dagster's schema, or make the roles with deploy/server/roles.sql."
        )


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
