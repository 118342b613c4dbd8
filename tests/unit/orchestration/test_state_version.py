"""The version of a home's state: numbered at the first run, migrated from older, refused from newer."""

import json
import tarfile
from pathlib import Path

import pytest

from orchestration import doctor
from orchestration.__main__ import main
from orchestration.home_lock import MainRunBusyError, only_main_run
from orchestration.settings import PlatformSettings
from orchestration.state_version import (
    MIGRATIONS,
    STATE_FILE,
    STATE_VERSION,
    StateVersionError,
    migrate,
    open_state,
    read_state_version,
    refuse_newer_state,
)


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path / "home", _env_file=None)


def old_home(settings: PlatformSettings) -> Path:
    """A home from before the number was kept."""
    target = settings.home / "warehouse" / "dbt_target"
    target.mkdir(parents=True)
    (settings.home / "landing").mkdir()
    (settings.home / "warehouse" / "first_stage_notes.json").write_text("{}", encoding="utf-8")
    return target


def say_nothing(_sentence: str) -> None:
    """Take a sentence."""


def test_a_new_home_is_numbered_and_stays_so(settings: PlatformSettings) -> None:
    assert read_state_version(settings.home) is None
    open_state(settings, say_nothing)
    assert read_state_version(settings.home) == STATE_VERSION
    written = (settings.home / STATE_FILE).read_bytes()
    open_state(settings, say_nothing)
    assert (settings.home / STATE_FILE).read_bytes() == written


def test_an_older_home_is_migrated_step_by_step_and_says_so(settings: PlatformSettings) -> None:
    target = old_home(settings)
    said: list[str] = []
    open_state(settings, said.append)
    assert len(said) == len(MIGRATIONS)
    assert said[0].startswith("State 1: ")
    assert not target.exists()
    assert not (settings.home / "warehouse" / "first_stage_notes.json").exists()
    assert read_state_version(settings.home) == STATE_VERSION


def test_a_newer_home_is_refused_by_every_command(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings.home.mkdir()
    (settings.home / STATE_FILE).write_text(json.dumps({"version": STATE_VERSION + 1}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(settings.home))
    for command in (["run"], ["land"], ["migrate"], ["erase", "C1"]):
        assert main(command) == 1
        assert "was written by a newer Kilowise" in capsys.readouterr().err
    assert sorted(path.name for path in settings.home.iterdir()) == [STATE_FILE]


def test_a_damaged_number_is_refused_with_the_remedy(settings: PlatformSettings) -> None:
    settings.home.mkdir()
    (settings.home / STATE_FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(StateVersionError, match="restore it from a backup"):
        refuse_newer_state(settings.home)


def test_nothing_is_migrated_while_the_main_job_is_at_work(settings: PlatformSettings) -> None:
    target = old_home(settings)
    with only_main_run(settings.home), pytest.raises(MainRunBusyError):
        open_state(settings, say_nothing)
    assert target.exists()


def test_migrating_an_empty_folder_makes_nothing(settings: PlatformSettings) -> None:
    said: list[str] = []
    assert migrate(settings, said.append) == 0
    assert "no state yet" in said[0]
    assert not settings.home.exists()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.makes for migration in MIGRATIONS] == list(range(1, STATE_VERSION + 1))


@pytest.fixture
def state_0(settings: PlatformSettings) -> PlatformSettings:
    """What the main job of commit 51952a4 left: a release whose features an older snapshot holds, and dbt's memory."""
    settings.home.mkdir()
    with tarfile.open(Path(__file__).parent / "states" / "state_0.tar.xz") as archive:
        archive.extractall(settings.home, filter="data")
    return settings


def test_the_oldest_state_is_migrated_and_its_release_refused_with_a_sentence(state_0: PlatformSettings) -> None:
    releases = {path: path.read_bytes() for path in (state_0.home / "releases").rglob("*") if path.is_file()}
    said: list[str] = []

    assert migrate(state_0, said.append) == 1

    assert read_state_version(state_0.home) == STATE_VERSION
    [refusal] = [sentence for sentence in said if "is refused by this version" in sentence]
    assert refusal.startswith("credit_risk: release 0001-")
    assert "snapshot format 1, this version reads 2" in refusal
    assert "`make run` trains anew" in said[-1]
    assert not (state_0.home / "warehouse" / "dbt_target").exists()
    assert {path: path.read_bytes() for path in releases} == releases

    said.clear()
    migrate(state_0, said.append)
    assert "already" in said[0]


def test_the_doctor_names_an_older_home_and_a_release_that_cannot_be_served(state_0: PlatformSettings) -> None:
    findings = [finding for check in (doctor._state, doctor._releases) for finding in check(state_0)]
    levels = {finding.what.split(" ")[0]: finding.level for finding in findings}
    assert levels["An"] == "warning"
    assert levels["credit_risk:"] == "error"
    assert all(finding.remedy for finding in findings)
