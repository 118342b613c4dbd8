"""Looks a platform over and names what is wrong and what to do about it. It changes nothing.

A check is a function of the settings that yields findings; one that says nothing has nothing to say. Add yours to
``CHECKS``, or to those of a form in ``checks_of``. Libraries are imported inside, so that the doctor still speaks where
one of them is broken. No Dagster assets in here.
"""

import fcntl
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from ml.errors import KilowiseError
from orchestration.settings import PROJECT_ROOT, PlatformSettings

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        level: ``error`` keeps something from working, ``warning`` will or may, ``ok`` is as it should be.
        what: What was found, in a sentence.
        remedy: What to do about it, in a sentence; empty where nothing is to be done.
    """

    level: Level
    what: str
    remedy: str = ""


Check: TypeAlias = Callable[[PlatformSettings], Iterable[Finding]]

_LEAST_FREE_BYTES = 500_000_000
_SHORT_FREE_BYTES = 5_000_000_000
_PRIVATE_FOLDERS = ("landing/identities", "landing/quarantine", "policy", "campaigns", "keys")
_STATE_FOLDERS = ("landing", "warehouse", "marts", "models", "releases", "predictions", "reports", "dagster")
_LOCKS = {
    ".main_run.lock": "the main job",
    "landing/.lock": "a landing",
    "releases/.lock": "a change of models or releases",
}
# What the writers of the house leave only when they are killed; older than this, nobody works on it any more.
_UNFINISHED = (
    "landing/.incoming/*",
    "landing/.compaction.json",
    "marts/versions/.incoming-*",
    "marts/after_models/versions/.incoming-*",
    "models/models/*/.*",
    "releases/*/.*",
    "portraits/.*",
    "predictions/batch/*/*/.*",
)
_UNFINISHED_SECONDS = 15 * 60
_CLOCK_TOLERANCE_SECONDS = 120
_MIDNIGHT_OF_KILOWISE = datetime(2026, 11, 1, tzinfo=UTC)
_MARTS_RENEWED_DAYS = 40
_LOCKED_VERSION = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?:\s*;\s*([^\\]+))?")


def examine(settings: PlatformSettings) -> Iterator[Finding]:
    """Run every check that the settings ask for; one that cannot look says so instead of ending the others."""
    said: set[str] = set()
    for check in checks_of(settings):
        try:
            for finding in check(settings):
                said.add(finding.what)
                yield finding
        except (KilowiseError, OSError) as error:
            # A database that does not answer keeps several checks from looking; once is enough.
            if str(error) not in said:
                said.add(str(error))
                name = check.__name__.removeprefix("_").replace("_", " ")
                yield Finding("error", f"{name}: {error}", "Repair this first; more could not be seen there.")


def checks_of(settings: PlatformSettings) -> Sequence[Check]:
    """Return the checks of every form, and those of the form that the settings choose."""
    of_form: Mapping[str, Sequence[Check]] = {"embedded": (), "server": (_server,), "cluster": (_server, _cluster)}
    return (*of_form[settings.profile], *CHECKS)


def run_command(settings: PlatformSettings, say: Callable[[str], None], *, everything: bool = False) -> int:
    """Say what is wrong and what to do; return 1 when anything keeps the platform from working.

    Args:
        settings: Settings of the platform.
        say: Receives a line per finding, errors first.
        everything: Also say what is as it should be.
    """
    findings = list(examine(settings))
    marks: dict[Level, str] = {"error": "WRONG", "warning": "LOOK ", "ok": "ok   "}
    counts = {level: sum(finding.level == level for finding in findings) for level in marks}
    for level, mark in marks.items():
        for finding in findings:
            if finding.level == level and (everything or level != "ok"):
                say(f"{mark} {finding.what}")
                if finding.remedy:
                    say(f"      -> {finding.remedy}")
    say(f"{counts['error']} wrong, {counts['warning']} to look at, {counts['ok']} as they should be ({settings.home}).")
    return 1 if counts["error"] else 0


def _home(settings: PlatformSettings) -> Iterator[Finding]:
    home = settings.home
    if not home.exists():
        yield Finding("warning", f"The home {home} does not exist yet.", "`make run` makes it; or set KILOWISE_HOME.")
        return
    if not home.is_dir():
        yield Finding("error", f"The home {home} is no folder.", "Set KILOWISE_HOME to a folder of its own.")
        return
    missing = [name for name in ("landing", "marts", "releases") if not (home / name).is_dir()]
    if missing:
        yield Finding("warning", f"No run has finished here yet: {', '.join(missing)} is missing.", "`make run`.")
    else:
        yield Finding("ok", f"The home {home} holds the state of a finished run.")


def _state(settings: PlatformSettings) -> Iterator[Finding]:
    from orchestration.state_version import STATE_VERSION, read_state_version, refuse_newer_state

    refuse_newer_state(settings.home)
    found = read_state_version(settings.home)
    if found is not None and found < STATE_VERSION:
        yield Finding(
            "warning",
            f"An older Kilowise wrote this home (state {found}, this code writes {STATE_VERSION}).",
            "Back it up, then `python -m orchestration migrate`; `make run` does the same by itself.",
        )
    elif found is not None:
        yield Finding("ok", f"The state has version {found}.")


def _disk(settings: PlatformSettings) -> Iterator[Finding]:
    place = _nearest_existing(settings.home)
    free = shutil.disk_usage(place).free
    nodes = os.statvfs(place)
    words = f"{free / 1e9:,.1f} GB are free on the disk of {settings.home}"
    if free < _LEAST_FREE_BYTES:
        yield Finding("error", f"Only {words}.", "Free space, lower what is kept (job tidy_up), or move KILOWISE_HOME.")
    elif free < _SHORT_FREE_BYTES:
        yield Finding("warning", f"Only {words}.", "A run of 2,000 customers needs 1 GB more than it keeps: make room.")
    else:
        yield Finding("ok", f"{words}.")
    if nodes.f_files and nodes.f_favail < 10_000:
        yield Finding(
            "error", f"The disk has room for {nodes.f_favail:,} more files only.", "Remove small files there."
        )


def _rights(settings: PlatformSettings) -> Iterator[Finding]:
    home = settings.home
    if not home.is_dir():
        return
    closed = [
        path
        for path in (home, *(home / name for name in _STATE_FOLDERS))
        if path.exists() and not os.access(path, os.R_OK | os.W_OK | os.X_OK)
    ]
    for path in closed:
        yield Finding(
            "error",
            f"{path} cannot be read and written by user {os.getuid()}; it belongs to {path.stat().st_uid}.",
            "Run Kilowise as its owner, or give the folder to this user with chown.",
        )
    is_open = False
    for name in _PRIVATE_FOLDERS:
        path = home / name
        if path.is_dir() and path.stat().st_mode & 0o077:
            is_open = True
            yield Finding(
                "error", f"{path} holds personal data or secrets and is open to others.", f"chmod -R go= {path}"
            )
    if not closed and not is_open:
        yield Finding("ok", "Folders are readable and writable, and personal data is closed to others.")


def _versions(settings: PlatformSettings) -> Iterator[Finding]:
    del settings
    from packaging.markers import InvalidMarker, Marker

    lock = PROJECT_ROOT / "requirements.lock"
    if not lock.exists():
        return
    differing = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        match = _LOCKED_VERSION.match(line)
        if match is None:
            continue
        name, locked, marker = match.groups()
        try:
            if marker and not Marker(marker.strip()).evaluate():
                continue
            installed = version(name)
        except InvalidMarker:
            continue
        except PackageNotFoundError:
            installed = "missing"
        if installed != locked:
            differing.append(f"{name} {installed} instead of {locked}")
    if differing:
        shown = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if len(differing) > 5 else "")
        yield Finding("error", f"The environment is not the locked one: {shown}.", "rm .venv/.ready && make env")
    else:
        yield Finding("ok", f"Python {sys.version.split()[0]} and every package are as requirements.lock says.")


def _locks(settings: PlatformSettings) -> Iterator[Finding]:
    held = False
    for name, meaning in _LOCKS.items():
        path = settings.home / name
        if path.exists() and _is_held(path):
            held = True
            holder = _holder(path)
            yield Finding("ok", f"{path} is held by {holder}: {meaning} is at work.")
    if settings.warehouse_path.exists() and (process := _opened_by(settings.warehouse_path)):
        held = True
        yield Finding(
            "warning",
            f"{process} has the warehouse open, so dbt and the publication of marts wait or fail.",
            "Wait if it is a run of ours; otherwise close that program.",
        )
    if not held:
        yield Finding("ok", "No lock is held and nobody has the warehouse open.")


def _runs(settings: PlatformSettings) -> Iterator[Finding]:
    """Runs that say they are at work, and slots of pools that ended runs still hold."""
    from orchestration.run_instance import opened_instance, split_runs_at_work

    with opened_instance(settings) as instance:
        if instance is None:
            return
        at_work, dead = split_runs_at_work(settings, instance)
        for run in dead:
            yield Finding(
                "warning",
                f"Run {run.run_id[:8]} of {run.job_name} says it is at work, but its process is gone.",
                "The next `make run` closes it and takes over; or terminate it in the UI.",
            )
        alive = {run.run_id for run in at_work}
        storage = instance.event_log_storage
        for pool in sorted(storage.get_concurrency_keys()):
            for run_id in sorted(storage.get_concurrency_info(pool).active_run_ids - alive):
                yield Finding(
                    "error",
                    f"Run {run_id[:8]} holds a slot of the pool {pool} but is not at work, so others wait for it.",
                    f"Deployment > Concurrency > {pool} > Free slots in the UI; the next `make run` frees its own.",
                )
        if not dead:
            yield Finding("ok", f"{len(alive)} runs are at work and no slot of a pool is held by a dead one.")


def _unfinished_files(settings: PlatformSettings) -> Iterator[Finding]:
    now = time.time()
    left = [
        path
        for pattern in _UNFINISHED
        for path in settings.home.glob(pattern)
        if path.name != ".lock" and now - path.stat().st_mtime > _UNFINISHED_SECONDS
    ]
    for path in sorted(left)[:10]:
        yield Finding(
            "warning",
            f"{path.relative_to(settings.home)} was left half-written by a process that ended.",
            "Nothing reads it; the next run removes or completes it.",
        )
    if not left:
        yield Finding("ok", "Nothing half-written lies about.")


def _marts(settings: PlatformSettings) -> Iterator[Finding]:
    from orchestration.marts import MartsNotPublishedError, current_marts

    for folder in (settings.marts_dir, settings.after_models_marts_dir):
        try:
            marts = current_marts(folder)
        except MartsNotPublishedError:
            yield Finding("warning", f"No marts are published in {folder}.", "`make run`, or the job refresh_data.")
            continue
        except (OSError, ValueError, KeyError) as error:
            yield Finding(
                "error",
                f"{folder / 'CURRENT'} names marts that cannot be read: {error}.",
                f"Remove {folder / 'CURRENT'} and the notes beside the warehouse (*_notes.json), then `make run`.",
            )
            continue
        missing = [mart for mart in marts.row_counts if not marts.path(mart).is_file()]
        if missing:
            yield Finding(
                "error",
                f"Files of the current marts are missing: {', '.join(missing)}.",
                f"Remove {marts.directory} and the notes beside the warehouse (*_notes.json), then `make run`.",
            )
        else:
            yield Finding("ok", f"Marts {marts.name} are whole: {sum(marts.row_counts.values()):,} rows.")


def _releases(settings: PlatformSettings) -> Iterator[Finding]:
    if not (settings.home / "releases").is_dir():
        return
    from orchestration.state_version import served_releases

    for use_case, name, refusal in served_releases(settings):
        if name is None:
            yield Finding(
                "warning",
                f"{use_case} has no release, so the API answers 503 for it.",
                f"The asset evaluations/{use_case} says what its gate refused; `make run` when it never ran.",
            )
        elif refusal:
            yield Finding(
                "error",
                f"{use_case}: release {name} cannot be served: {refusal}",
                "`make run` releases anew; rollback_release goes back to one that is whole.",
            )
        else:
            yield Finding("ok", f"{use_case}: release {name} loads.")


def _keys(settings: PlatformSettings) -> Iterator[Finding]:
    from orchestration.ingestion.pseudonym import DEVELOPMENT_PSEUDONYM_KEY
    from serving.api_keys import read_keys
    from serving.settings import ServingSettings

    if settings.pseudonym_key.get_secret_value() == DEVELOPMENT_PSEUDONYM_KEY and not settings.simulate:
        yield Finding(
            "warning",
            "Real deliveries are landed under the development pseudonym key, which everybody knows.",
            "Set KILOWISE_PSEUDONYM_KEY and land anew in an empty home.",
        )
    path = ServingSettings(home=settings.home).api_keys_path
    if not path.exists():
        if settings.environment == "production":
            yield Finding(
                "error", f"No caller has a key ({path}).", "python -m serving keys add NAME --scope credit_risk"
            )
        return
    now = datetime.now(UTC)
    usable = [key for key in read_keys(path) if key.state(now) == "active"]
    if usable:
        yield Finding("ok", f"{len(usable)} API keys work.")
    else:
        yield Finding("error", "Every API key is expired or revoked.", "python -m serving keys add or rotate NAME")


def _schedules(settings: PlatformSettings) -> Iterator[Finding]:
    from orchestration.run_instance import opened_instance

    with opened_instance(settings) as instance:
        if instance is None:
            return
        from dagster._core.scheduler.instigation import InstigatorStatus

        running = [
            state.instigator_name
            for state in instance.all_instigator_state()
            if state.status is InstigatorStatus.RUNNING
        ]
        if not running:
            yield Finding("ok", "No schedule or sensor is switched on: runs start by hand.")
            return
        statuses = instance.get_daemon_statuses()
        dead = [name for name, status in statuses.items() if status.required and not status.healthy]
        if dead:
            yield Finding(
                "error",
                f"{', '.join(sorted(running))} are switched on, but no daemon has been heard of ({', '.join(dead)}).",
                "`make dev` for trying; the daemon's unit or pod in production.",
            )
        else:
            yield Finding("ok", f"The daemon is alive; switched on: {', '.join(sorted(running))}.")


def _freshness(settings: PlatformSettings) -> Iterator[Finding]:
    if settings.simulate and settings.inbox is None:
        return
    from orchestration.pipeline_health import source_freshness

    now = datetime.now(UTC)
    late = [source for source in source_freshness(settings) if source.state(now) == "late"]
    for source in late:
        expected = f"; expected by {source.expected_by:%Y-%m-%d}" if source.expected_by else ""
        yield Finding(
            "warning",
            f"{source.entity} arrived last on {source.last_known_at:%Y-%m-%d}{expected}.",
            "Ask its supplier; what lies in the inbox unread is said by `python -m orchestration land`.",
        )
    pointer = settings.marts_dir / "CURRENT"
    if pointer.exists() and (now.timestamp() - pointer.stat().st_mtime) > _MARTS_RENEWED_DAYS * 86_400:
        yield Finding(
            "warning",
            f"The marts were renewed more than {_MARTS_RENEWED_DAYS} days ago.",
            "Switch on the schedule refresh_data_nightly, or start refresh_data.",
        )


def _clock(settings: PlatformSettings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    if now < _MIDNIGHT_OF_KILOWISE:
        yield Finding("error", f"The clock says {now:%Y-%m-%d %H:%M} UTC.", "Set it: timedatectl set-ntp true")
        return
    newest = max((path.stat().st_mtime for path in _pointers(settings.home)), default=0.0)
    ahead = newest - now.timestamp()
    if ahead > _CLOCK_TOLERANCE_SECONDS:
        yield Finding(
            "error",
            f"Files of the home are {ahead / 60:,.0f} minutes in the future: the clock of this machine, or of one that "
            "shares the home, is wrong.",
            "timedatectl set-ntp true on each of them; known_at and as_of_at depend on it.",
        )
    else:
        yield Finding("ok", f"The clock agrees with the home ({now:%Y-%m-%d %H:%M} UTC).")


def _ports(settings: PlatformSettings) -> Iterator[Finding]:
    from serving.settings import ServingSettings

    wanted = {
        "the Dagster UI": int(os.environ.get("DAGSTER_PORT", "3000")),
        "the API": ServingSettings().port,
        "the reports": urlsplit(settings.reports_url).port or 443,
    }
    for user, port in wanted.items():
        if _is_port_free(port):
            yield Finding("ok", f"Port {port} is free for {user}.")
            continue
        holder = _listener(port)
        is_ours = any(word in holder for word in ("dagster", "serving", "bentoml", "monitoring", "evidently"))
        if is_ours:
            yield Finding("ok", f"Port {port}: {holder} serves there.")
        else:
            yield Finding(
                "warning",
                f"Port {port} of {user} is taken by {holder}.",
                "End that program, or choose another port (DAGSTER_PORT, KILOWISE_PORT, REPORTS_PORT).",
            )


def _server(settings: PlatformSettings) -> Iterator[Finding]:
    """What the processes of the server form depend on: packages, PostgreSQL, Redis, clocks, rights."""
    from orchestration.forms import require_group
    from orchestration.forms.server import ServerSettings
    from orchestration.forms.server_checks import problems

    require_group(settings)
    found = False
    for problem in problems(ServerSettings.of(settings)):
        found = True
        yield Finding("error", problem, "`python -m orchestration server status` says which processes run.")
    if not found:
        yield Finding("ok", "PostgreSQL and Redis answer, and clocks and rights are as they must be.")


def _cluster(settings: PlatformSettings) -> Iterator[Finding]:
    """What dbt and training need of Spark: versions, clock, rights, and the folder that all machines share."""
    from orchestration.forms.errors import FormError
    from orchestration.forms.warehouse import warehouse

    try:
        warehouse(settings).check()
    except FormError as error:
        yield Finding("error", str(error), "Then `python -m orchestration cluster check`.")
    else:
        yield Finding("ok", "Spark answers; its versions, clock and rights and the shared folder are as they must be.")


CHECKS: tuple[Check, ...] = (
    _home,
    _state,
    _disk,
    _rights,
    _versions,
    _clock,
    _locks,
    _runs,
    _unfinished_files,
    _marts,
    _releases,
    _keys,
    _schedules,
    _freshness,
    _ports,
)
"""What is looked at in every form, in the order in which one thing explains the next."""


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _pointers(home: Path) -> Iterator[Path]:
    """Files that every run replaces, so that the newest of them tells when somebody worked here last."""
    for pattern in ("marts/CURRENT", "marts/after_models/CURRENT", "releases/*/CURRENT", "landing/deliveries/*"):
        yield from home.glob(pattern)


def _is_held(path: Path) -> bool:
    """Return whether a process holds the lock; the kernel frees that of a process that died."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _holder(path: Path) -> str:
    return _opened_by(path) or "a process of another user or machine"


def _opened_by(path: Path) -> str:
    """Return which other process has a file open, as far as this user may know."""
    import psutil

    target = str(path.resolve())
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid == os.getpid():
            continue
        try:
            if any(file.path == target for file in process.open_files()):
                return _words(process.info)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return ""


def _is_port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _listener(port: int) -> str:
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
                continue
            if connection.laddr.port == port:
                return _words(psutil.Process(connection.pid).as_dict(["pid", "cmdline"]))
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return "another program"


def _words(process: dict[str, object]) -> str:
    command = process["cmdline"]
    # The program and what it was asked for; further arguments may hold secrets.
    named = " ".join(Path(part).name for part in list(command)[:3]) if isinstance(command, list) else "?"
    return f"process {process['pid']} ({named})"
