"""Backup and restore: the same bytes, rights and times, or a sentence and nothing changed."""

import gzip
import io
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestration import backup as backups
from orchestration.backup import MANIFEST, BackupError, backup, restore
from orchestration.home_lock import MainRunBusyError, only_main_run
from orchestration.settings import PlatformSettings
from orchestration.state_version import open_state

DEFINED_AT_NS = 1_764_000_000_123_456_789


@pytest.fixture(autouse=True)
def without_a_run_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    home = tmp_path / "home"
    readings = home / "landing" / "deliveries" / "2026-10-02-a" / "meter_readings.parquet"
    readings.parent.mkdir(parents=True)
    readings.write_bytes(b"readings" * 1000)
    os.utime(readings, ns=(DEFINED_AT_NS, DEFINED_AT_NS))
    identities = home / "landing" / "identities"
    identities.mkdir(mode=0o700)
    (identities / "2026-10-02-a.parquet").write_bytes(b"names")
    (home / "landing" / ".incoming").mkdir()
    (home / "landing" / ".incoming" / "half").write_bytes(b"unfinished")
    (home / "server" / "3100").mkdir(parents=True)
    (home / "warehouse" / "dbt_target").mkdir(parents=True)
    (home / "warehouse" / "dbt_target" / "manifest.json").write_text("{}", encoding="utf-8")
    (home / "dagster" / "history").mkdir(parents=True)
    with closing(sqlite3.connect(home / "dagster" / "history" / "runs.db")) as database:
        database.execute("create table runs (id text)")
        database.execute("insert into runs values ('one')")
        database.commit()
    return PlatformSettings(home=home, _env_file=None)


def elsewhere(settings: PlatformSettings, name: str = "other") -> PlatformSettings:
    return settings.model_copy(update={"home": settings.home.with_name(name)})


def say_nothing(_sentence: str) -> None:
    """Take a sentence."""


def contents(home: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.relative_to(home).as_posix(): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in home.rglob("*")
        if path.is_file() and path.suffix == ".parquet"
    }


def leftovers(folder: Path) -> Iterator[str]:
    return (path.name for path in folder.iterdir() if path.name.startswith("."))


def test_a_restored_home_has_the_same_bytes_rights_and_times_to_the_nanosecond(settings, tmp_path: Path) -> None:
    written = backup(settings, tmp_path / "one.tar", say_nothing)
    other = elsewhere(settings)
    restore(other, written, say_nothing)

    assert contents(other.home) == contents(settings.home)
    assert (other.home / "landing" / "identities").stat().st_mode & 0o777 == 0o700
    readings = other.home / "landing" / "deliveries" / "2026-10-02-a" / "meter_readings.parquet"
    assert readings.stat().st_mtime_ns == DEFINED_AT_NS
    assert list(leftovers(tmp_path)) == []


def test_the_file_is_the_owners_only_and_a_folder_gets_a_name_by_the_time(settings, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    written = backup(settings, tmp_path / "backups", say_nothing)
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.name.startswith("kilowise-20")


def test_what_is_unfinished_or_belongs_to_running_servers_is_left_out(settings, tmp_path: Path) -> None:
    written = backup(settings, tmp_path / "one.tar", say_nothing)
    with tarfile.open(written) as archive:
        names = archive.getnames()
    assert not [name for name in names if name.startswith(("server", "landing/.incoming"))]
    # Without it a run that builds nothing could not tell how features are made.
    assert "warehouse/dbt_target/manifest.json" in names
    assert names[-1] == MANIFEST


def test_a_database_that_is_written_meanwhile_is_whole(settings, tmp_path: Path) -> None:
    path = settings.home / "dagster" / "history" / "runs.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma journal_mode = wal")
        writer.execute("insert into runs values ('two')")
        writer.commit()
        # Now in the write-ahead log only; a copy of the file alone would not have it.
        written = backup(settings, tmp_path / "one.tar", say_nothing)
    other = elsewhere(settings)
    restore(other, written, say_nothing)
    with closing(sqlite3.connect(other.home / "dagster" / "history" / "runs.db")) as database:
        assert database.execute("select id from runs order by id").fetchall() == [("one",), ("two",)]


def test_a_damaged_backup_is_refused_by_the_name_of_the_file_and_makes_nothing(settings, tmp_path: Path) -> None:
    written = backup(settings, tmp_path / "one.tar", say_nothing)
    content = written.read_bytes()
    written.write_bytes(content.replace(b"readingsreadings", b"readingsREADINGS", 1))
    other = elsewhere(settings)
    with pytest.raises(BackupError, match=r"meter_readings\.parquet is damaged"):
        restore(other, written, say_nothing)
    assert not other.home.exists()
    assert list(leftovers(tmp_path)) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_torn_backup_is_refused(settings, tmp_path: Path, share: float) -> None:
    written = backup(settings, tmp_path / "one.tar", say_nothing)
    content = written.read_bytes()
    written.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BackupError, match=r"is empty|not copied to its end|incomplete"):
        restore(elsewhere(settings), written, say_nothing)


def test_a_file_of_another_kind_is_refused_in_one_sentence(settings, tmp_path: Path) -> None:
    compressed = tmp_path / "home.tar.gz"
    compressed.write_bytes(gzip.compress(backup(settings, tmp_path / "one.tar", say_nothing).read_bytes()))
    foreign = tmp_path / "photographs.tar"
    with tarfile.open(foreign, "w") as archive:
        archive.addfile(tarfile.TarInfo("cat.jpeg"))
    named_alike = tmp_path / "alike.tar"
    with tarfile.open(named_alike, "w") as archive:
        info = tarfile.TarInfo(MANIFEST)
        info.size = 2
        archive.addfile(info, io.BytesIO(b"[]"))
    text = tmp_path / "notes.txt"
    text.write_text("where the backups are")
    for file, said in (
        (compressed, "is no backup of Kilowise: give the file"),
        (text, "is no backup of Kilowise: give the file"),
        (foreign, "has no BACKUP.json"),
        (named_alike, "has no BACKUP.json"),
    ):
        with pytest.raises(BackupError, match=said) as refusal:
            restore(elsewhere(settings), file, say_nothing)
        assert "\n" not in str(refusal.value)
        assert "Error" not in str(refusal.value)


def test_an_archive_that_leads_out_of_the_home_is_refused(settings, tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as archive:
        info = tarfile.TarInfo("../outside")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(BackupError):
        restore(elsewhere(settings), evil, say_nothing)
    assert not (tmp_path / "outside").exists()


def test_a_home_with_state_is_never_replaced(settings, tmp_path: Path) -> None:
    written = backup(settings, tmp_path / "one.tar", say_nothing)
    before = contents(settings.home)
    with pytest.raises(BackupError, match="is not empty"):
        restore(settings, written, say_nothing)
    assert contents(settings.home) == before


def test_a_home_in_which_only_servers_run_is_filled_and_they_stay(settings, tmp_path: Path) -> None:
    written = backup(settings, tmp_path / "one.tar", say_nothing)
    other = elsewhere(settings)
    socket = other.home / "server" / "form" / "run" / "pid"
    socket.parent.mkdir(parents=True)
    socket.write_text("1", encoding="utf-8")
    open_state(other, say_nothing)
    restore(other, written, say_nothing)
    assert contents(other.home) == contents(settings.home)
    assert socket.exists()
    assert list(leftovers(tmp_path)) == []


def test_another_pseudonym_key_is_refused_because_nobody_would_be_found(settings, tmp_path: Path) -> None:
    written = backup(settings, tmp_path / "one.tar", say_nothing)
    other = PlatformSettings(
        home=tmp_path / "other", pseudonym_key="another-secret-of-32-characters-or-so", _env_file=None
    )
    with pytest.raises(BackupError, match="another pseudonym key"):
        restore(other, written, say_nothing)


def test_a_backup_waits_for_no_main_job_and_says_so(settings, tmp_path: Path) -> None:
    with only_main_run(settings.home), pytest.raises(MainRunBusyError):
        backup(settings, tmp_path / "one.tar", say_nothing)
    assert not (tmp_path / "one.tar").exists()


def test_a_run_that_gets_to_work_meanwhile_ends_the_backup(settings, tmp_path: Path, monkeypatch) -> None:
    looks = iter([None, BackupError("Run 1234 of refresh_data is at work")])

    def look(_settings: PlatformSettings) -> None:
        found = next(looks)
        if found is not None:
            raise found

    monkeypatch.setattr(backups, "_refuse_runs", look)
    with pytest.raises(BackupError, match="at work"):
        backup(settings, tmp_path / "one.tar", say_nothing)
    assert not (tmp_path / "one.tar").exists()
    assert list(leftovers(tmp_path)) == []


@pytest.mark.parametrize("target", ["home/inside.tar", "nowhere/one.tar"])
def test_a_target_that_cannot_be_is_refused_before_any_work(settings, tmp_path: Path, target: str) -> None:
    with pytest.raises(BackupError):
        backup(settings, tmp_path / target, say_nothing)


def test_an_empty_home_has_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no state yet"):
        backup(PlatformSettings(home=tmp_path / "none", _env_file=None), tmp_path / "one.tar", say_nothing)
