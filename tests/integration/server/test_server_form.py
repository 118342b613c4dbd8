"""The server form as a platform engineer starts it: the same marts and models as in one process, and nothing left."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
import pytest

REMEDY = "the group server is not installed: make env-server"
for package in ("dagster_celery", "dagster_postgres", "psycopg2"):
    pytest.importorskip(package, reason=REMEDY)

import psycopg2  # noqa: E402

from orchestration.forms import local_server  # noqa: E402
from orchestration.forms.errors import ClockError, FormError, RightsError, UnreachableError, VersionError  # noqa: E402
from orchestration.forms.migration import migrate  # noqa: E402
from orchestration.forms.server import ServerSettings  # noqa: E402
from orchestration.forms.server_checks import check_postgres, check_redis, check_server  # noqa: E402
from orchestration.marts import current_marts  # noqa: E402
from orchestration.settings import PROJECT_ROOT  # noqa: E402
from tests.integration.conftest import FINISHED_HOME_CHOICES  # noqa: E402
from tests.integration.platform_home import USE_CASES, PlatformHome  # noqa: E402

pytestmark = [pytest.mark.server, pytest.mark.timeout(3600)]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [entry.getsockname()[1] for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports


def command(home: PlatformHome, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestration", *words],
        cwd=PROJECT_ROOT,
        env=home.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def processes_below(folder: Path) -> list[psutil.Process]:
    """Return what runs because of a home: its address stands in the environment of each process but PostgreSQL's."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("KILOWISE_HOME", "")]
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if any(str(folder) in word for word in words) and process.pid != os.getpid():
            found.append(process)
    return found


@pytest.fixture(scope="module")
def home() -> Iterator[PlatformHome]:
    """A home with the server form at work, started and ended by its commands."""
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql redis-server")
    # Not below pytest's own folders, which it closes to others: started by root, PostgreSQL runs as another user.
    with TemporaryDirectory(prefix="kilowise-server-") as name:
        Path(name).chmod(0o755)
        yield from at_work(Path(name) / "home")


def at_work(folder: Path) -> Iterator[PlatformHome]:
    postgres, redis, web, code = free_ports(4)
    started = PlatformHome(
        folder,
        {
            **FINISHED_HOME_CHOICES,
            "profile": "server",
            "server_local_postgres_port": postgres,
            "server_local_redis_port": redis,
            "server_webserver_url": f"http://127.0.0.1:{web}",
            "server_code_server_port": code,
            "server_lease_seconds": 20,
        },
    )
    up = command(started, "server", "up")
    assert up.returncode == 0, up.stderr
    yield started
    down = command(started, "server", "down")
    assert down.returncode == 0, down.stderr
    assert processes_below(folder) == []


@pytest.fixture(scope="module")
def server(home: PlatformHome) -> ServerSettings:
    own = {name.removeprefix("server_"): value for name, value in home.choices.items() if name.startswith("server_")}
    return ServerSettings(home=home.path, _env_file=None, **own)  # type: ignore[arg-type]  # fields of many types


@pytest.fixture(scope="module")
def worked(home: PlatformHome) -> PlatformHome:
    """The home after its main job, during which the process of a step was killed."""
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "orchestration", "run"],
        cwd=PROJECT_ROOT,
        env=home.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        try:
            for line in running.stdout:
                lines.append(line)
                if line == "> dbt_models\n" and lines.count(line) == 1:
                    kill_the_process_of_the_step(home)
        finally:
            if sys.exc_info()[0] is not None:
                running.kill()
    assert running.returncode == 0, "".join(lines)
    (home.path / "run.log").write_text("".join(lines))
    return home


def kill_the_process_of_the_step(home: PlatformHome) -> None:
    """Kill the worker's process beneath which dbt runs, with dbt, as a machine without memory does."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for process in processes_below(home.path):
            if any(word.endswith(("/dbt", "/parsed_dbt.py")) for word in process.cmdline()[:3]):
                parent = process.parent()
                assert parent is not None
                parent.send_signal(signal.SIGKILL)
                process.send_signal(signal.SIGKILL)
                return
        time.sleep(0.2)
    pytest.fail("dbt did not begin")


def query(server: ServerSettings, text: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(server.postgres().get_secret_value())
    try:
        with connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall()
    finally:
        connection.close()


def test_everything_runs_and_starting_it_again_changes_nothing(home: PlatformHome) -> None:
    before = command(home, "server", "status")
    again = command(home, "server", "up")
    after = command(home, "server", "status")

    assert before.returncode == again.returncode == 0, again.stderr
    assert after.stdout == before.stdout
    assert again.stdout.count("runs already") == len(before.stdout.splitlines())


def test_the_main_job_makes_what_it_makes_in_one_process(worked: PlatformHome, finished_home: PlatformHome) -> None:
    for folder in ("marts", "marts/after_models"):
        ours, theirs = current_marts(worked.path / folder), current_marts(finished_home.path / folder)
        assert ours.row_counts == theirs.row_counts
        assert ours.fingerprints == theirs.fingerprints
    for use_case in USE_CASES:
        ours, theirs = worked.store.current_name(use_case), finished_home.store.current_name(use_case)
        assert ours is not None
        assert ours == theirs


@pytest.mark.usefixtures("worked")
def test_a_step_whose_process_was_killed_was_done_by_another(server: ServerSettings) -> None:
    told = query(server, "select event from event_logs where event like '%the step is given to another%'")

    assert len(told) == 1
    assert "dbt_models" in str(told[0])


@pytest.mark.usefixtures("worked")
def test_every_run_ends_and_none_fails(server: ServerSettings) -> None:
    end = time.monotonic() + 300
    while (found := {status for (status,) in query(server, "select distinct status from runs")}) != {"SUCCESS"}:
        # The page of the pipeline's health is renewed by runs of its own.
        assert found <= {"SUCCESS", "QUEUED", "NOT_STARTED", "STARTING", "STARTED"}
        assert time.monotonic() < end
        time.sleep(2)


@pytest.mark.usefixtures("worked")
def test_the_ui_answers_with_the_runs(server: ServerSettings) -> None:
    asked = {"query": "{ runsOrError { ... on Runs { results { jobName status } } } }"}
    request = Request(
        f"{server.webserver_url}/graphql", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=30) as answer:
        runs = json.load(answer)["data"]["runsOrError"]["results"]

    assert {"jobName": "refresh_models", "status": "SUCCESS"} in runs


def test_no_secret_is_in_a_log_or_in_the_database(worked: PlatformHome, server: ServerSettings) -> None:
    secrets = [file.read_text() for file in server.secrets_dir.iterdir()]
    passwords = [urlsplit(secret).password or secret for secret in secrets]
    logs = [*(server.folder / "logs").iterdir(), *server.dagster_home.rglob("*.yaml"), worked.path / "run.log"]

    assert min(map(len, passwords)) >= 24
    for password in passwords:
        assert [path for path in logs if password in path.read_text(errors="replace")] == []
        assert query(server, f"select 1 from runs where run_body like '%{password}%'") == []
        assert query(server, f"select 1 from event_logs where event like '%{password}%'") == []
    assert {stat.S_IMODE(file.stat().st_mode) for file in server.secrets_dir.iterdir()} == {0o600}
    assert stat.S_IMODE((server.folder / "redis" / "redis.conf").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "statement",
    [
        "create table dagster.another (x int)",
        "create table public.another (x int)",
        "create schema another",
        "create role another",
        "drop table dagster.runs",
        "update dagster.alembic_version set version_num = ''",
        "select * from pg_authid",
        "copy (select 1) to program 'true'",
    ],
)
def test_the_login_role_may_nothing_but_rows(server: ServerSettings, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(server, statement)


def admin(server: ServerSettings, statement: str) -> None:
    connection = psycopg2.connect(
        server.postgres_owner().get_secret_value(),
        options="-c search_path=dagster",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def test_what_is_as_it_must_be_passes(server: ServerSettings) -> None:
    check_server(server)


def test_a_role_without_rights_is_refused(server: ServerSettings) -> None:
    admin(server, "revoke insert on runs from kilowise_dagster")
    try:
        with pytest.raises(RightsError, match="may not read and write Dagster's tables"):
            check_postgres(server)
    finally:
        admin(server, "grant insert on runs to kilowise_dagster")


def test_tables_of_another_version_are_refused(server: ServerSettings) -> None:
    ((version,),) = query(server, "select version_num from alembic_version")
    admin(server, "update alembic_version set version_num = 'of another'")
    try:
        with pytest.raises(VersionError, match="another version of Dagster"):
            check_postgres(server)
    finally:
        admin(server, f"update alembic_version set version_num = '{version}'")


def test_servers_that_do_not_answer_are_refused(server: ServerSettings) -> None:
    (port,) = free_ports(1)
    nowhere = server.model_copy(
        update={
            "postgres_url": server.postgres().__class__(f"postgresql://kilowise_dagster:x@127.0.0.1:{port}/dagster"),
            "redis_url": server.redis().__class__(f"redis://:x@127.0.0.1:{port}/0"),
        }
    )

    with pytest.raises(UnreachableError, match="PostgreSQL cannot be used at the address of KILOWISE_SERVER_POSTGRES"):
        check_postgres(nowhere)
    with pytest.raises(UnreachableError, match="Redis does not answer at the address of KILOWISE_SERVER_REDIS_URL"):
        check_redis(nowhere)


def test_wrong_passwords_are_refused_without_being_repeated(server: ServerSettings) -> None:
    secret = server.postgres().__class__
    port = server.local_postgres_port
    wrong = server.model_copy(
        update={
            "postgres_url": secret(f"postgresql://kilowise_dagster:not-this@127.0.0.1:{port}/kilowise_dagster"),
            "redis_url": secret(f"redis://:not-this@127.0.0.1:{server.local_redis_port}/0"),
        }
    )

    for check, kind in ((check_postgres, UnreachableError), (check_redis, RightsError)):
        with pytest.raises(kind) as refusal:
            check(wrong)
        assert "not-this" not in str(refusal.value)


def test_tables_are_made_by_their_owner_alone(server: ServerSettings) -> None:
    secret = server.postgres().__class__
    address = f"127.0.0.1:{server.local_postgres_port}/kilowise_dagster"
    for url, kind, said in (
        (server.postgres().get_secret_value(), RightsError, "belong to kilowise_owner, .* names kilowise_dagster"),
        (f"postgresql://kilowise_owner:not-this@{address}", UnreachableError, "at the address of .*POSTGRES_OWNER_URL"),
        (f"postgresql://kilowise_owner:not-this@127.0.0.1:{free_ports(1)[0]}/x", UnreachableError, "is it started"),
    ):
        with pytest.raises(kind, match=said) as refusal:
            migrate(server.model_copy(update={"postgres_owner_url": secret(url)}))
        assert "not-this" not in str(refusal.value)


def test_clocks_that_differ_are_refused(server: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr("orchestration.forms.server_checks.time.time", lambda: now() - 60)

    with pytest.raises(ClockError, match="differ by 60 s"):
        check_postgres(server)
    with pytest.raises(ClockError, match="differ by 60 s"):
        check_redis(server)


def test_a_port_that_is_taken_is_named(home: PlatformHome, server: ServerSettings) -> None:
    another = PlatformHome(home.path.with_name("another"), home.choices)

    refused = command(another, "server", "up")

    assert refused.returncode == 1
    assert f"Port {server.local_postgres_port}" in refused.stderr
    assert "KILOWISE_SERVER_LOCAL_POSTGRES_PORT" in refused.stderr


def test_servers_of_ones_own_are_not_started_beside_others(home: PlatformHome) -> None:
    settings = home.choose(server_redis_url="redis://:x@queue.example.org/0").environment()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        with pytest.raises(FormError, match="names a server of yours"):
            local_server.up(home.settings, print)
