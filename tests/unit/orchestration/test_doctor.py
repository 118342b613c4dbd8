"""The doctor: what it names, what it advises, and that it changes nothing."""

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ml.errors import KilowiseError
from orchestration import doctor
from orchestration.doctor import Finding
from orchestration.settings import PlatformSettings
from orchestration.state_version import STATE_FILE


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    for name in ("DAGSTER_HOME", "KILOWISE_HOME", "KILOWISE_PORT", "DAGSTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    for name in ("landing/identities", "landing/deliveries", "marts", "releases"):
        (home / name).mkdir(parents=True)
    (home / "landing" / "identities").chmod(0o700)
    (home / STATE_FILE).write_text('{"version": 1}', encoding="utf-8")
    return PlatformSettings(home=home, _env_file=None)


def examine(settings: PlatformSettings, check: doctor.Check) -> Sequence[Finding]:
    return [finding for finding in check(settings) if finding.level != "ok"]


def test_every_finding_that_is_not_well_says_what_to_do(settings: PlatformSettings) -> None:
    findings = list(doctor.examine(settings))
    assert [finding for finding in findings if finding.level != "ok" and not finding.remedy] == []
    assert {finding.level for finding in findings} <= {"ok", "warning", "error"}


def test_a_home_that_is_not_there_is_no_fault_and_none_is_made(tmp_path: Path) -> None:
    settings = PlatformSettings(home=tmp_path / "nowhere", _env_file=None)
    said: list[str] = []
    assert doctor.run_command(settings, said.append) in (0, 1)
    assert any("does not exist yet" in line for line in said)
    assert not settings.home.exists()


def test_personal_data_that_others_can_read_is_an_error(settings: PlatformSettings) -> None:
    (settings.landing_dir / "identities").chmod(0o755)
    [finding] = examine(settings, doctor._rights)
    assert finding.level == "error"
    assert finding.remedy == f"chmod -R go= {settings.landing_dir / 'identities'}"


def test_a_disk_that_is_nearly_full_is_an_error(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**10, 10**10 - 10**8, 10**8))
    assert [finding.level for finding in examine(settings, doctor._disk)] == ["error"]


def test_a_newer_home_is_named_as_such(settings: PlatformSettings) -> None:
    (settings.home / STATE_FILE).write_text('{"version": 99}', encoding="utf-8")
    wrong = [finding for finding in doctor.examine(settings) if "newer Kilowise" in finding.what]
    assert [finding.level for finding in wrong] == ["error"]


def test_files_of_a_writer_that_was_killed_are_named_once_they_are_old(settings: PlatformSettings) -> None:
    left = settings.marts_dir / "versions" / ".incoming-1"
    left.mkdir(parents=True)
    assert examine(settings, doctor._unfinished_files) == []
    past = time.time() - 3600
    os.utime(left, (past, past))
    [finding] = examine(settings, doctor._unfinished_files)
    assert "marts/versions/.incoming-1" in finding.what


def test_a_lock_that_is_held_is_told_and_one_that_is_only_a_file_is_not(settings: PlatformSettings) -> None:
    lock = settings.landing_dir / ".lock"
    lock.touch()
    assert not any("held by" in finding.what for finding in doctor._locks(settings))
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert any("a landing is at work" in finding.what for finding in doctor._locks(settings))


def test_a_home_from_the_future_means_a_wrong_clock(settings: PlatformSettings) -> None:
    pointer = settings.marts_dir / "CURRENT"
    pointer.write_text("x", encoding="utf-8")
    ahead = time.time() + 7200
    os.utime(pointer, (ahead, ahead))
    [finding] = examine(settings, doctor._clock)
    assert (finding.level, "120 minutes in the future" in finding.what) == ("error", True)


def test_marts_whose_files_are_gone_are_an_error(settings: PlatformSettings) -> None:
    version = settings.marts_dir / "versions" / "abc"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text('{"customer_load_cube": {"rows": 1, "sha256": "0"}}', encoding="utf-8")
    (settings.marts_dir / "CURRENT").write_text("abc", encoding="utf-8")
    first, _second_stage = examine(settings, doctor._marts)
    assert (first.level, "customer_load_cube" in first.what) == ("error", True)


def test_a_port_that_somebody_else_has_is_named_with_the_program(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("DAGSTER_PORT", str(port))
        [finding] = [one for one in examine(settings, doctor._ports) if str(port) in one.what]
    assert finding.level == "warning"
    assert "Dagster UI" in finding.what


def test_a_check_that_cannot_look_does_not_end_the_others(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_settings: PlatformSettings) -> list[Finding]:
        raise KilowiseError("the register is damaged")

    monkeypatch.setattr(doctor, "checks_of", lambda _settings: (broken, doctor._home))
    first, second = doctor.examine(settings)
    assert (first.level, first.what) == ("error", "broken: the register is damaged")
    assert second.level == "ok"


def test_the_exit_code_is_1_only_for_errors(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("warning", "late", "ask")]
    monkeypatch.setattr(doctor, "checks_of", lambda _settings: (lambda _s: found,))
    said: list[str] = []
    assert doctor.run_command(settings, said.append) == 0
    found.append(Finding("error", "broken", "mend"))
    assert doctor.run_command(settings, said.append) == 1
    assert said[-5:-1] == ["WRONG broken", "      -> mend", "LOOK  late", "      -> ask"]


@pytest.mark.parametrize("profile", ["server", "cluster"])
def test_each_form_is_asked_first_for_what_it_depends_on(settings: PlatformSettings, profile: str) -> None:
    chosen = doctor.checks_of(settings.model_copy(update={"profile": profile}))
    assert chosen[: -len(doctor.CHECKS)]
    assert doctor.checks_of(settings) == doctor.CHECKS


def test_one_cause_that_stops_several_checks_is_told_once(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_settings: PlatformSettings) -> list[Finding]:
        raise KilowiseError("the database does not answer")

    monkeypatch.setattr(doctor, "checks_of", lambda _settings: (broken, broken))
    assert len(list(doctor.examine(settings))) == 1
