"""What must be true of the server form before a process of it starts: each refusal is a sentence that helps."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import psycopg2
from psycopg2 import errorcodes
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from orchestration.forms.errors import ClockError, FormError, RightsError, UnreachableError, VersionError
from orchestration.forms.server import PREFIX, ServerSettings

LEAST_POSTGRES = 13
LEAST_REDIS = (6, 2)
_CONNECT_SECONDS = 5
# dagster 1.13.27 belongs to libraries 0.29.27: each release of one has exactly one of the other.
_LIBRARIES = ("dagster-celery", "dagster-postgres")
_DML = ("select", "insert", "update", "delete")


def check_server(server: ServerSettings) -> None:
    """Check everything that a process of the server form depends on.

    Raises:
        FormError: The first thing that is wrong, with its remedy.
    """
    for check in CHECKS:
        check(server)


def problems(server: ServerSettings) -> Iterator[str]:
    """Yield what is wrong with the server form, a sentence each; for the health command."""
    for check in CHECKS:
        try:
            check(server)
        except FormError as error:
            yield str(error)


def check_libraries(_server: ServerSettings) -> None:
    """Check that Dagster's libraries belong to the installed Dagster.

    Raises:
        VersionError: If one of them is of another release.
    """
    minor, patch = (int(part) for part in metadata.version("dagster").split(".")[1:3])
    expected = f"0.{minor + 16}.{patch}"
    for library in _LIBRARIES:
        found = metadata.version(library)
        if found != expected:
            raise VersionError(
                f"{library} {found} does not belong to dagster {metadata.version('dagster')}, which needs {expected}: "
                "run `make env-server`."
            )


def check_postgres(server: ServerSettings) -> None:
    """Check that Dagster's database answers, is new enough, holds its tables, and lets the role work and no more.

    Raises:
        UnreachableError: If it does not answer, or refuses the role.
        VersionError: If it is too old, or its tables are of another version of Dagster.
        RightsError: If the role may too little, or far too much.
        ClockError: If its clock and this machine's differ too much.
    """
    with _PostgresConnection(server.postgres().get_secret_value(), f"{PREFIX}POSTGRES_URL") as cursor:
        _check_postgres_version(cursor)
        _check_clock(server, "the database's", lambda: _postgres_time(cursor))
        _check_tables(server, cursor)


def check_redis(server: ServerSettings) -> None:
    """Check that the queue answers, is new enough, and lets us work.

    Raises:
        UnreachableError: If it does not answer, or refuses the password.
        VersionError: If it is too old.
        RightsError: If it refuses a command that the queue needs.
        ClockError: If its clock and this machine's differ too much.
    """
    name = f"{PREFIX}REDIS_URL"
    redis = Redis.from_url(
        server.redis().get_secret_value(), socket_timeout=_CONNECT_SECONDS, socket_connect_timeout=_CONNECT_SECONDS
    )
    try:
        version = tuple(int(part) for part in redis.info("server")["redis_version"].split(".")[:2])
        probe = "kilowise:probe"
        redis.set(probe, "1", ex=10)
        redis.delete(probe)
        seconds, microseconds = redis.time()
    except (AuthenticationError, NoPermissionError) as error:
        raise RightsError(f"Redis refuses {name}: {_reason(error)}. Check its user and password.") from None
    except ResponseError as error:
        raise RightsError(
            f"Redis refuses to work: {_reason(error)}. Check the number of the database, its memory, its disk and "
            "whether it is a replica."
        ) from None
    except (RedisError, OSError) as error:
        raise UnreachableError(
            f"Redis does not answer at the address of {name} ({_reason(error)}): is it started (`make server-status`), "
            "are host and port right, does a firewall stand between?"
        ) from None
    finally:
        redis.close()
    if version < LEAST_REDIS:
        raise VersionError(
            f"Redis is {'.'.join(map(str, version))}; at least {LEAST_REDIS[0]}.{LEAST_REDIS[1]} is needed."
        )
    _check_clock(server, "the queue's", lambda: seconds + microseconds / 1e6)


CHECKS: tuple[Callable[[ServerSettings], None], ...] = (check_libraries, check_postgres, check_redis)


class _PostgresConnection:
    """A connection that a context closes, refused with the setting that names it."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url.replace("postgresql+psycopg2://", "postgresql://"), name

    def __enter__(self) -> Any:
        try:
            self._connection = psycopg2.connect(self._url, connect_timeout=_CONNECT_SECONDS)
        except psycopg2.OperationalError as error:
            raise UnreachableError(
                f"PostgreSQL cannot be used at the address of {self._name} ({_reason(error)}): is it started (`make "
                "server-status`), are host, port, role, password and database right?"
            ) from None
        except psycopg2.ProgrammingError as error:
            raise FormError(
                f"{self._name} is no connection string that PostgreSQL understands: {_reason(error)}."
            ) from None
        return self._connection.cursor()

    def __exit__(self, *_exception: object) -> None:
        self._connection.close()


def _reason(error: BaseException) -> str:
    """Return the first line of an error, without what libpq adds; it never holds the password."""
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__


def _check_postgres_version(cursor: Any) -> None:
    cursor.execute("show server_version_num")
    number = int(cursor.fetchone()[0])
    if number < LEAST_POSTGRES * 10_000:
        raise VersionError(f"PostgreSQL is {number // 10_000}; at least {LEAST_POSTGRES} is needed.")


def _postgres_time(cursor: Any) -> float:
    cursor.execute("select extract(epoch from clock_timestamp())")
    return float(cursor.fetchone()[0])


def _check_clock(server: ServerSettings, whose: str, ask: Callable[[], float]) -> None:
    """Compare a clock with this machine's, at the middle of the time that asking took."""
    before = time.time()
    theirs = ask()
    ours = (before + time.time()) / 2
    skew = theirs - ours
    if abs(skew) > server.clock_tolerance_seconds:
        raise ClockError(
            f"This machine's clock and {whose} differ by {abs(skew):.0f} s (ours says {_time_of_day(ours)}, {whose} "
            f"{_time_of_day(theirs)} UTC): "
            "schedules, leases and what was known when depend on them. Let both follow the same time server (chrony or "
            "systemd-timesyncd)."
        )


def _time_of_day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def _check_tables(server: ServerSettings, cursor: Any) -> None:
    try:
        cursor.execute("select current_schema(), current_user, rolsuper from pg_roles where rolname = current_user")
        schema, role, is_superuser = cursor.fetchone()
        cursor.execute("select version_num from alembic_version")
        found = {row[0] for row in cursor.fetchall()}
    except psycopg2.Error as error:
        if error.pgcode == errorcodes.UNDEFINED_TABLE:
            raise VersionError(
                "The database holds no tables of Dagster that its role can see: run `python -m orchestration server "
                f"migrate` with {PREFIX}POSTGRES_OWNER_URL."
            ) from None
        if error.pgcode == errorcodes.INSUFFICIENT_PRIVILEGE:
            raise RightsError(_grant_sentence()) from None
        raise
    if is_superuser and server.is_production:
        raise RightsError(
            f"The role {role} of {PREFIX}POSTGRES_URL is a superuser; in production take one with rights on Dagster's "
            "schema alone (docs/scale.md)."
        )
    for privilege in _DML:
        cursor.execute(
            "select count(*) from pg_tables where schemaname = %s and not has_table_privilege(quote_ident(schemaname) "
            "|| '.' || quote_ident(tablename), %s) and tablename <> 'alembic_version'",
            (schema, privilege),
        )
        if cursor.fetchone()[0]:
            raise RightsError(_grant_sentence())
    head = schema_head()
    if found != {head}:
        raise VersionError(
            f"The tables of the database are of another version of Dagster ({', '.join(sorted(found)) or 'none'}; this "
            f"one needs {head}): stop all processes, take a backup, and run `python -m orchestration server migrate`."
        )


def _grant_sentence() -> str:
    return (
        f"The role of {PREFIX}POSTGRES_URL may not read and write Dagster's tables: run `python -m orchestration "
        "server migrate` as their owner, which grants it what it needs."
    )


def schema_head() -> str:
    """Return the version of the tables that the installed Dagster expects."""
    from alembic.script import ScriptDirectory
    from dagster_postgres.run_storage import run_storage
    from dagster_postgres.utils import pg_alembic_config

    head = ScriptDirectory.from_config(pg_alembic_config(run_storage.__file__)).get_current_head()
    if head is None:
        raise VersionError("The installed dagster-postgres holds no migrations: run `make env-server`.")
    return head
