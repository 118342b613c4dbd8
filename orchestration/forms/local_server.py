"""The server form on one machine: PostgreSQL, Redis, code server, daemon, web server and workers, on loopback.

For trying and for CI, from Debian's packages (postgresql, redis-server). Everything lies below the state folder;
starting what runs already changes nothing. In production systemd, Compose or Kubernetes start the same processes.
"""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from orchestration.files import replace_text
from orchestration.forms.errors import FormError, UnreachableError
from orchestration.forms.migration import migrate
from orchestration.forms.processes import PORT_SETTINGS, answers, enter_instance, listening_port
from orchestration.forms.server import PREFIX, ServerSettings
from orchestration.settings import PROJECT_ROOT, PlatformSettings
from orchestration.state_version import open_state

if TYPE_CHECKING:
    import psycopg2

DATABASE, OWNER, LOGIN, ADMIN = "kilowise_dagster", "kilowise_owner", "kilowise_dagster", "kilowise_admin"
SCHEMA = "dagster"
_POSTGRES_BINARIES = Path("/usr/lib/postgresql")
_PACKAGES = "install Debian's packages postgresql and redis-server (apt-get install postgresql redis-server)"
_START_SECONDS, _STOP_SECONDS = 120.0, 60.0
_LOOK_SECONDS = 0.2
_BACKEND = ("postgresql", "redis")


@dataclass(frozen=True, slots=True)
class Running:
    """A process that ``up`` started.

    Attributes:
        name: What it is.
        pid: Its process, or None where it does not run.
        log: Where it writes what happens.
    """

    name: str
    pid: int | None
    log: Path


def names(server: ServerSettings) -> tuple[str, ...]:
    """Return the processes in the order in which they start."""
    workers = (f"worker-{number}" for number in range(1, server.local_workers + 1))
    return (*_BACKEND, "code-server", "daemon", "webserver", *workers)


def up(settings: PlatformSettings, say: Callable[[str], None]) -> None:
    """Start what does not run yet, and say where everything is.

    Raises:
        FormError: If a program is missing, a port is taken, or a process does not come up.
    """
    server = ServerSettings.of(settings)
    _refuse_addresses_of_others(server)
    open_state(settings, say)
    for folder in (server.folder, _run_dir(server), _log_dir(server), server.secrets_dir):
        folder.mkdir(parents=True, exist_ok=True)
    server.secrets_dir.chmod(0o700)
    _start_postgres(server, say)
    _start_redis(server, say)
    say(migrate(server))
    enter_instance(server)
    for name in names(server)[len(_BACKEND) :]:
        process, _, number = name.partition("-") if name.startswith("worker") else (name, "", "")
        more = ["--name", f"{process}{number}"] if number else []
        command = [sys.executable, "-m", "orchestration", "server", process, *more]
        port = listening_port(process, server)
        _start(server, name, command, say, environment=_environment(settings), folder=PROJECT_ROOT, port=port)
        if name == "code-server":
            _wait(server, name, lambda: answers(server.code_server_host, server.code_server_port))
    _wait(server, "webserver", lambda: _serves(server.webserver_url))
    say(f"Dagster: {server.webserver_url}. Logs and secrets: {server.folder}. Stop: make server-down")


def down(settings: PlatformSettings, say: Callable[[str], None]) -> None:
    """End what ``up`` started, the last one first; data and secrets stay."""
    server = ServerSettings.of(settings)
    files = sorted(_run_dir(server).glob("*.pid"), key=lambda path: _position(server, path.stem), reverse=True)
    for file in files:
        process = _process(file)
        if process is not None:
            _end(process, file.stem)
            say(f"{file.stem}: ended (process {process.pid}).")
        file.unlink(missing_ok=True)
    if not files:
        say("Nothing was running.")


def status(settings: PlatformSettings) -> Sequence[Running]:
    """Return what runs and what does not."""
    return running(ServerSettings.of(settings))


def running(server: ServerSettings) -> Sequence[Running]:
    """Return what runs and what does not, of a form whose settings are known."""
    found = []
    for name in names(server):
        process = _process(_run_dir(server) / f"{name}.pid")
        found.append(Running(name, process.pid if process else None, _log_dir(server) / f"{name}.log"))
    return found


def _position(server: ServerSettings, name: str) -> int:
    order = names(server)
    return order.index(name) if name in order else len(order)


def _run_dir(server: ServerSettings) -> Path:
    return server.folder / "run"


def _log_dir(server: ServerSettings) -> Path:
    return server.folder / "logs"


def _refuse_addresses_of_others(server: ServerSettings) -> None:
    """Refuse to start servers of our own where the settings name others."""
    for name, value in (
        ("POSTGRES_URL", server.postgres_url or server.postgres_url_file),
        ("REDIS_URL", server.redis_url or server.redis_url_file),
    ):
        if value is not None:
            raise FormError(
                f"KILOWISE_SERVER_{name} names a server of yours, and `make server-up` would start another: unset it, "
                "or start the processes one by one (docs/scale.md)."
            )


def _environment(settings: PlatformSettings) -> dict[str, str]:
    profile = settings.profile if settings.profile != "embedded" else "server"
    return {**os.environ, "KILOWISE_HOME": str(settings.home), "KILOWISE_PROFILE": profile}


def _start_postgres(server: ServerSettings, say: Callable[[str], None]) -> None:
    data = server.folder / "postgresql"
    binaries = _postgres_binaries()
    user = _user_of_postgres(data)
    port = str(server.local_postgres_port)
    is_new = not (data / "PG_VERSION").exists()
    admin_password = server.secrets_dir / "postgres_admin_password"
    if is_new:
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, mode=0o700)
        if user is not None:
            _refuse_hidden_folder(data, user)
            shutil.chown(data, user, user)
        _write_secret(admin_password, secrets.token_urlsafe(24))
        _initialise(binaries, data, admin_password.read_text(), user)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "max_connections": "200",
        "timezone": "UTC",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    command = [str(binaries / "postgres"), "-D", str(data), "-p", port, *settings]
    _start(server, "postgresql", command, say, user=user, folder=data, port=server.local_postgres_port)
    _wait(server, "postgresql", lambda: _is_postgres_up(server, admin_password.read_text()))
    _make_roles(server, admin_password.read_text())


def _initialise(binaries: Path, data: Path, admin_password: str, user: str | None) -> None:
    """Make an empty cluster whose only role, the administrator, has a password."""
    password_file = data.with_name(".password")
    try:
        _write_secret(password_file, admin_password)
        if user is not None:
            shutil.chown(password_file, user, user)
        where = ["--pgdata", str(data), "--encoding", "UTF8", "--locale", "C.UTF-8"]
        who = ["--username", ADMIN, "--auth", "scram-sha-256", "--pwfile", str(password_file)]
        _run([str(binaries / "initdb"), *where, *who], user=user)
    finally:
        password_file.unlink(missing_ok=True)


def _make_roles(server: ServerSettings, admin_password: str) -> None:
    """Make the database, its owner, and a login role that may use the schema of Dagster alone."""
    from psycopg2 import sql

    address = f"127.0.0.1:{server.local_postgres_port}/{DATABASE}"
    files = {OWNER: server.secrets_dir / "postgres_owner_url", LOGIN: server.secrets_dir / "postgres_url"}
    connection = _admin_connection(server, admin_password, "postgres")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for role, file in files.items():
                cursor.execute("select 1 from pg_roles where rolname = %s", (role,))
                is_known = cursor.fetchone() is not None
                if is_known and file.exists() and f"@{address}" in file.read_text():
                    continue
                password = secrets.token_urlsafe(24)
                verb = "alter" if is_known else "create"
                cursor.execute(sql.SQL(verb + " role {} login password %s").format(sql.Identifier(role)), (password,))
                _write_secret(file, f"postgresql://{role}:{password}@{address}")
            cursor.execute("select 1 from pg_database where datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("create database {} owner {}").format(*map(sql.Identifier, (DATABASE, OWNER))))
    finally:
        connection.close()
    connection = _admin_connection(server, admin_password, DATABASE)
    try:
        with connection, connection.cursor() as cursor:
            for statement in (
                f"revoke all on database {DATABASE} from public",
                f"grant connect on database {DATABASE} to {OWNER}, {LOGIN}",
                "revoke all on schema public from public",
                f"create schema if not exists {SCHEMA} authorization {OWNER}",
                f"alter role {OWNER} in database {DATABASE} set search_path = {SCHEMA}",
                f"alter role {LOGIN} in database {DATABASE} set search_path = {SCHEMA}",
                f"alter role {LOGIN} connection limit 150",
            ):
                cursor.execute(statement)
    finally:
        connection.close()


def _admin_connection(server: ServerSettings, password: str, database: str) -> "psycopg2.extensions.connection":
    import psycopg2

    return psycopg2.connect(
        host="127.0.0.1",
        port=server.local_postgres_port,
        user=ADMIN,
        password=password,
        dbname=database,
        connect_timeout=3,
    )


def _is_postgres_up(server: ServerSettings, password: str) -> bool:
    import psycopg2

    try:
        _admin_connection(server, password, "postgres").close()
    except psycopg2.OperationalError as error:
        if "authentication failed" in str(error):
            raise FormError(
                f"Another PostgreSQL answers on port {server.local_postgres_port}: set "
                "KILOWISE_SERVER_LOCAL_POSTGRES_PORT to a free port."
            ) from None
        return False
    return True


def _start_redis(server: ServerSettings, say: Callable[[str], None]) -> None:
    program = shutil.which("redis-server")
    if program is None:
        raise FormError(f"redis-server is not installed: {_PACKAGES}.")
    data = server.folder / "redis"
    data.mkdir(parents=True, exist_ok=True)
    url = server.secrets_dir / "redis_url"
    port = server.local_redis_port
    if not url.exists() or f"@127.0.0.1:{port}/" not in url.read_text():
        _write_secret(url, f"redis://:{secrets.token_urlsafe(32)}@127.0.0.1:{port}/0")
    configuration = data / "redis.conf"
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
        "protected-mode": "yes",
        "requirepass": urlsplit(url.read_text()).password or "",
        "dir": str(data),
        # Steps that wait survive a restart.
        "appendonly": "yes",
        "appendfsync": "everysec",
        # A queue that forgets steps is worse than one that refuses them.
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    _write_secret(configuration, "".join(f"{name} {value}\n" for name, value in lines.items()))
    _start(server, "redis", [program, str(configuration)], say, folder=data, port=port)
    _wait(server, "redis", lambda: answers("127.0.0.1", port))


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")


def _postgres_binaries() -> Path:
    found = sorted(
        (path.parent for path in _POSTGRES_BINARIES.glob("*/bin/initdb")), key=lambda path: int(path.parent.name)
    )
    on_path = shutil.which("initdb")
    if found:
        return found[-1]
    if on_path:
        return Path(on_path).parent
    raise FormError(f"PostgreSQL is not installed: {_PACKAGES}.")


def _user_of_postgres(data: Path) -> str | None:
    """Return as whom PostgreSQL runs: it refuses to be root. None for whoever runs this."""
    if os.geteuid() != 0:
        return None
    if (data / "PG_VERSION").exists():
        return data.owner()
    import pwd

    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise FormError(
            "PostgreSQL does not run as root, and there is no user postgres: run this as another user."
        ) from None


def _refuse_hidden_folder(folder: Path, user: str) -> None:
    """Refuse a folder that another user cannot reach."""
    hidden = [parent for parent in folder.parents if not parent.stat().st_mode & 0o001 and parent.owner() != user]
    if hidden:
        raise FormError(
            f"PostgreSQL runs as {user}, which may not enter {hidden[-1]}: choose another KILOWISE_HOME, allow it "
            f"(chmod o+x {hidden[-1]}), or run this as another user than root."
        )


def _run(command: Sequence[str], *, user: str | None) -> None:
    finished = subprocess.run(  # noqa: S603  programs of PostgreSQL
        command, text=True, capture_output=True, user=user, group=user, cwd="/", check=False
    )
    if finished.returncode != 0:
        last = (finished.stderr or finished.stdout).strip().splitlines()[-1]
        raise FormError(f"{Path(command[0]).name} failed: {last}")


def _start(
    server: ServerSettings,
    name: str,
    command: Sequence[str],
    say: Callable[[str], None],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    port: int | None = None,
) -> None:
    pid_file = _run_dir(server) / f"{name}.pid"
    present = _process(pid_file)
    if present is not None:
        say(f"{name}: runs already (process {present.pid}).")
        return
    if port is not None and answers("127.0.0.1", port):
        raise FormError(
            f"Port {port}, which {name} needs, is taken by another program: set {PREFIX}{PORT_SETTINGS[name]} to a "
            "free one."
        )
    log = _log_dir(server) / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  our own processes
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
            env=environment,
            user=user,
            group=user,
        )
    replace_text(pid_file, f"{process.pid} {psutil.Process(process.pid).create_time()}\n")
    say(f"{name}: started (process {process.pid}), log {log}")


def _process(pid_file: Path) -> psutil.Process | None:
    """Return the process that a file names, if it is still the same one."""
    try:
        pid, created_at = pid_file.read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        if abs(process.create_time() - float(created_at)) > 1 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process


def _end(process: psutil.Process, name: str) -> None:
    """Ask a process to end, and kill it with its children when it does not."""
    children = process.children(recursive=True)
    if name == "postgresql":
        # Fast: open transactions are rolled back.
        process.send_signal(2)
    else:
        process.terminate()
    _, alive = psutil.wait_procs([process], timeout=_STOP_SECONDS)
    for left in (*alive, *(child for child in children if name not in _BACKEND)):
        if left.is_running():
            left.kill()
    psutil.wait_procs([*alive, *children], timeout=5)


def _wait(server: ServerSettings, name: str, is_up: Callable[[], bool]) -> None:
    end = time.monotonic() + _START_SECONDS
    log = _log_dir(server) / f"{name}.log"
    while not is_up():
        if _process(_run_dir(server) / f"{name}.pid") is None:
            lines = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise UnreachableError(f"{name} ended as soon as it was started: {' / '.join(lines)} (log: {log})")
        if time.monotonic() > end:
            raise UnreachableError(f"{name} does not answer after {_START_SECONDS:.0f} s; see its log {log}.")
        time.sleep(_LOOK_SECONDS)


def _serves(url: str) -> bool:
    try:
        with urlopen(f"{url}/server_info", timeout=2) as answer:  # noqa: S310  an address of the settings
            return bool(answer.status == 200)
    except OSError:
        return False
