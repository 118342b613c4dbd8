"""Backup and restore of the whole state: one file, checked byte by byte, from which a run goes on as if nothing was.

A backup is a tar archive of the home. Its last member says of every file the size, SHA-256, rights and time, which a
restore checks and gives back: the next run then takes everything for what it is, unchanged. Nothing may change what
belongs together while the archive is made, so the locks of the house are held, and a run that is or gets to work ends
the backup with a sentence. The API may go on serving. No Dagster in here but its run history.
"""

import fcntl
import hashlib
import hmac
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ml.errors import KilowiseError
from orchestration.files import DiskFullError, disk_full_sentence, is_disk_full
from orchestration.home_lock import LOCK_FILE, only_main_run
from orchestration.ingestion.locking import INCOMING, locked
from orchestration.run_instance import MAIN_RUN_TAG, opened_instance, split_runs_at_work
from orchestration.settings import PlatformSettings
from orchestration.state_version import STATE_FILE, STATE_VERSION, read_state_version, refuse_newer_state

Say = Callable[[str], None]

MANIFEST = "BACKUP.json"
INSTANCE_DUMP = "instance.dump"
"""Dagster's database of the forms that keep it in PostgreSQL, as ``pg_dump`` writes it."""

# Sockets, process files, secrets and databases of running servers: what of them is state is dumped by their own tools,
# and the tables of a cluster are made anew from the landing.
_SERVERS = ("server", "cluster")
_LEFT_OUT = (
    *_SERVERS,
    f"landing/{INCOMING}",
    "warehouse/dbt_target_spark",
    "warehouse/compiled_for_duckdb",
    MANIFEST,
    INSTANCE_DUMP,
)
# SQLite files that processes write while the backup reads; the others are immutable and copied as they are.
_LIVE_DATABASES = ("dagster", "idempotency", "limits")
# Registers, releases and the prediction log: each is written under the lock in its folder.
_LOCKED_FOLDERS = ("policy", "campaigns", "releases", "predictions/log")
_JOURNALS = ("-wal", "-shm", "-journal")
_CHUNK_BYTES = 1 << 20
_NS_PER_SECOND = 1_000_000_000


class BackupError(KilowiseError):
    """A backup cannot be made, or one cannot be restored; nothing was changed."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a restore must find again of one file or folder."""

    mode: int
    modified_ns: int
    size: int = 0
    sha256: str | None = None


def backup(settings: PlatformSettings, target: Path, say: Say) -> Path:
    """Write the whole state into one file.

    Args:
        settings: Settings of the platform.
        target: File to write; a folder gets a file named by the time.
        say: Receives a sentence per step.

    Returns:
        The file. It holds personal data and is readable for its owner only.

    Raises:
        BackupError: There is nothing to back up, a run is at work, or the target cannot be used.
        MainRunBusyError: The main job is at work.
    """
    home = settings.home
    if read_state_version(home) is None:
        raise BackupError(f"{home} holds no state yet, so there is nothing to back up. Is KILOWISE_HOME set?")
    now = datetime.now(UTC)
    path = target / f"kilowise-{now:%Y%m%dT%H%M%SZ}.tar" if target.is_dir() else target
    path = path.expanduser().resolve()
    if path.exists():
        raise BackupError(f"{path} exists; name a file that does not.")
    if not path.parent.is_dir():
        raise BackupError(f"The folder {path.parent} does not exist; make it, or name another.")
    if path.is_relative_to(home):
        raise BackupError(f"{path} lies in the home itself: name a place on another disk.")
    with ExitStack() as stack:
        _hold(settings, stack)
        needed = sum(file.stat().st_size for file in _files(home))
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise BackupError(
                f"{path.parent} has {free / 1e9:,.1f} GB free and the backup takes {needed / 1e9:,.1f} GB: name "
                "another disk."
            )
        incoming = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            incoming.touch(mode=0o600)
            count = _write_archive(settings, incoming, now)
            _refuse_runs(settings)
            incoming.rename(path)
        except OSError as error:
            raise DiskFullError(f"{path} could not be written ({error.strerror}): name another disk.") from error
        finally:
            incoming.unlink(missing_ok=True)
    say(f"{count:,} files, {path.stat().st_size / 1e6:,.0f} MB in {path}.")
    say("It holds personal data: keep it where the home may be kept, and the pseudonym key somewhere else.")
    return path


def restore(settings: PlatformSettings, source: Path, say: Say) -> None:
    """Make the home from a backup; every byte is checked before anything is visible.

    Args:
        settings: Settings of the platform; the home must not exist, or be empty but for servers that run there.
        source: File that ``backup`` wrote.
        say: Receives a sentence per step.

    Raises:
        BackupError: The home is in use, or the file is damaged, of a newer Kilowise or of another pseudonym key.
    """
    home = settings.home
    # The servers of `make server-up` and `cluster-up` live in the home and must run: the run history goes back into
    # their database.
    if home.exists() and any(path.name not in (LOCK_FILE, STATE_FILE, *_SERVERS) for path in home.iterdir()):
        raise BackupError(
            f"{home} is not empty, and a restore replaces nothing: move it away, or set KILOWISE_HOME to a new folder."
        )
    if not source.is_file():
        raise BackupError(f"{source} is no file; give the one that `python -m orchestration backup` wrote.")
    incoming = home.with_name(f".{home.name}.restoring-{uuid.uuid4().hex}")
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home.parent).free
        if free < source.stat().st_size:
            raise BackupError(f"{home.parent} has {free / 1e9:,.1f} GB free, which is less than the backup holds.")
        incoming.mkdir(mode=0o700)
        manifest, entries = _extract(source, incoming)
        _refuse_other_key(settings, manifest)
        _verify(incoming, entries, source)
        refuse_newer_state(incoming)
        _give_back(incoming, entries)
        dump = incoming / INSTANCE_DUMP
        if dump.exists():
            _restore_instance(settings, dump)
            dump.unlink()
        if any((home / name).exists() for name in _SERVERS):
            for path in sorted(incoming.iterdir()):
                path.rename(home / path.name)
        else:
            if home.exists():
                shutil.rmtree(home)
            incoming.rename(home)
    except OSError as error:
        if is_disk_full(str(error)):
            raise DiskFullError(disk_full_sentence(home)) from error
        raise BackupError(f"{home} cannot be made from {source}: {error}.") from error
    finally:
        if incoming.exists():
            shutil.rmtree(incoming)
    say(f"{len(entries):,} files and folders of {manifest['made_at']} are back in {home}, and each was checked.")
    say("`make run` goes on from there; `make doctor` looks it over.")


def _hold(settings: PlatformSettings, stack: ExitStack) -> None:
    """Hold what writers hold, for as long as the stack is open."""
    home = settings.home
    _refuse_runs(settings)
    stack.enter_context(only_main_run(home))
    if settings.landing_dir.is_dir():
        stack.enter_context(locked(settings.landing_dir))
    for name in _LOCKED_FOLDERS:
        if (home / name).is_dir():
            lock = stack.enter_context((home / name / ".lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)


def _refuse_runs(settings: PlatformSettings) -> None:
    """Refuse while a run is at work; of those that this process's own lock stands for there can be none."""
    with opened_instance(settings) as instance:
        if instance is None:
            return
        at_work, _dead = split_runs_at_work(settings, instance)
    others = [run for run in at_work if not MAIN_RUN_TAG.items() <= run.tags.items()]
    if others:
        named = ", ".join(f"{run.run_id[:8]} of {run.job_name}" for run in others)
        raise BackupError(
            f"Run {named} is at work, and a backup of half a run would be of no use: wait until it has finished, or "
            "end it in the Dagster UI."
        )


def _files(home: Path) -> Iterator[Path]:
    for path in _below(home):
        if path.is_file() and not path.is_symlink():
            yield path


def _below(home: Path) -> Iterator[Path]:
    """Yield every folder and file that belongs to the state, parents first, in a fixed order."""
    for path in sorted(home.iterdir()):
        yield from _walk(path, home)


def _walk(path: Path, home: Path) -> Iterator[Path]:
    name = path.relative_to(home).as_posix()
    if name in _LEFT_OUT or path.name.endswith(".lock") or path.name == ".lock" or path.name.endswith(_JOURNALS):
        return
    yield path
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _walk(child, home)


def _write_archive(settings: PlatformSettings, target: Path, now: datetime) -> int:
    home = settings.home
    entries: dict[str, dict[str, Any]] = {}
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive, tempfile.TemporaryDirectory() as scratch:
        for path in _below(home):
            name = path.relative_to(home).as_posix()
            state = path.lstat()
            if path.is_symlink():
                raise BackupError(f"{path} is a link: put what it points to in its place, or move it out of the home.")
            if path.is_dir():
                archive.addfile(archive.gettarinfo(path, name))
                entries[name] = asdict(_Entry(state.st_mode & 0o7777, state.st_mtime_ns))
            elif path.is_file():
                source = _still(path, home, Path(scratch))
                size, digest = _add(archive, source, name)
                entries[name] = asdict(_Entry(state.st_mode & 0o7777, state.st_mtime_ns, size, digest))
        if settings.profile != "embedded":
            dump = Path(scratch) / INSTANCE_DUMP
            _dump_instance(settings, dump)
            size, digest = _add(archive, dump, INSTANCE_DUMP)
            entries[INSTANCE_DUMP] = asdict(_Entry(0o600, int(now.timestamp()) * _NS_PER_SECOND, size, digest))
        manifest = Path(scratch) / MANIFEST
        document = {
            "made_at": now.isoformat(timespec="seconds"),
            "state_version": read_state_version(home),
            "pseudonym_key_mark": _key_mark(settings),
            "entries": entries,
        }
        manifest.write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
        _add(archive, manifest, MANIFEST)
    return sum(entry["sha256"] is not None for entry in entries.values())


def _still(path: Path, home: Path, scratch: Path) -> Path:
    """Return a file that nobody writes: a copy by SQLite's own backup where a process may be at it."""
    if path.relative_to(home).parts[0] not in _LIVE_DATABASES or path.suffix not in (".db", ".sqlite"):
        return path
    copy = scratch / "database"
    copy.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(copy)) as still,
    ):
        live.backup(still)
    return copy


class _Hashing:
    """A file that is read through a hash, and not beyond the size it had when it was opened."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = _CHUNK_BYTES) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _add(archive: tarfile.TarFile, path: Path, name: str) -> tuple[int, str]:
    with path.open("rb") as file:
        info = archive.gettarinfo(arcname=name, fileobj=file)
        info.type = tarfile.REGTYPE  # files that share their bytes on the disk are files of their own
        info.linkname = ""
        info.size = os.fstat(file.fileno()).st_size
        hashing = _Hashing(file)
        archive.addfile(info, hashing)
    return info.size, hashing.digest.hexdigest()


def _extract(source: Path, folder: Path) -> tuple[dict[str, Any], dict[str, _Entry]]:
    """Unpack a backup; return what it says of itself, and of each of its files."""
    try:
        # Uncompressed, as a backup is written: what is compressed was not written by us.
        with source.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            archive.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise BackupError(f"{source} is no backup: {error}. Take another one.") from error
    except (tarfile.TarError, EOFError) as error:
        if next(folder.iterdir(), None) is None:
            what = "is empty" if source.stat().st_size == 0 else "is no backup of Kilowise"
            raise BackupError(f"{source} {what}: give the file that `python -m orchestration backup` wrote.") from error
        raise BackupError(f"{source} is damaged, or was not copied to its end: take another backup.") from error
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        found = int(manifest["state_version"])
        entries = {name: _Entry(**entry) for name, entry in manifest["entries"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{source} has no {MANIFEST}: it is incomplete or no backup of Kilowise.") from error
    if found > STATE_VERSION:
        raise BackupError(
            f"{source} was made by a newer Kilowise (state {found}, this code knows {STATE_VERSION}): install that one."
        )
    path.unlink()
    return manifest, entries


def _verify(folder: Path, entries: dict[str, _Entry], source: Path) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if found != set(entries):
        differing = sorted(found ^ set(entries))
        raise BackupError(f"{source} does not hold what it says: {', '.join(differing[:5])}. Take another one.")
    for name, entry in entries.items():
        path = folder / PurePosixPath(name)
        if entry.sha256 is not None and _sha256(path) != entry.sha256:
            raise BackupError(f"{source}: {name} is damaged. Take another backup.")


def _give_back(folder: Path, entries: dict[str, _Entry]) -> None:
    """Give rights and times back, children first: a folder's time changes with what is made in it."""
    for name in sorted(entries, reverse=True):
        path = folder / PurePosixPath(name)
        path.chmod(entries[name].mode)
        os.utime(path, ns=(entries[name].modified_ns, entries[name].modified_ns))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key_mark(settings: PlatformSettings) -> str:
    """Return a mark that tells two pseudonym keys apart and says nothing about either."""
    key = settings.pseudonym_key.get_secret_value().encode()
    return hmac.new(key, b"kilowise backup", hashlib.sha256).hexdigest()[:16]


def _refuse_other_key(settings: PlatformSettings, manifest: dict[str, Any]) -> None:
    if manifest.get("pseudonym_key_mark") != _key_mark(settings):
        raise BackupError(
            "The backup was made under another pseudonym key, so no customer would be found again: set "
            "KILOWISE_PSEUDONYM_KEY to the key of that time."
        )


def _dump_instance(settings: PlatformSettings, target: Path) -> None:
    """Write Dagster's database with PostgreSQL's own tool."""
    _postgres_tool(settings, "pg_dump", ["--format=custom", "--no-owner", f"--file={target}"])


def _restore_instance(settings: PlatformSettings, dump: Path) -> None:
    """Put Dagster's database back into the one that the settings name."""
    if settings.profile == "embedded":
        return
    _postgres_tool(settings, "pg_restore", ["--clean", "--if-exists", "--no-owner", "--single-transaction", str(dump)])


def _postgres_tool(settings: PlatformSettings, program: str, arguments: list[str]) -> None:
    """Run one of PostgreSQL's own programs as the owner of Dagster's tables."""
    from urllib.parse import unquote, urlsplit

    from orchestration.forms.server import ServerSettings

    if shutil.which(program) is None:
        raise BackupError(f"{program} is missing; install the client of PostgreSQL (postgresql-client).")
    url = urlsplit(ServerSettings.of(settings).postgres_owner().get_secret_value())
    # The password by the environment: the arguments of a process can be read by everybody on the machine.
    host = f"{url.username}@{url.hostname}:{url.port or 5432}"
    place = url._replace(scheme="postgresql", netloc=host).geturl()
    environment = {**os.environ, "PGPASSWORD": unquote(url.password or "")}
    command = [program, f"--dbname={place}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise BackupError(f"{program} did not do its work: {reason[-1]}")
