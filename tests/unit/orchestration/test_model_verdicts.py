"""What the API reads of a review: the latest month of the served release, and what is told of it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from monitoring.__main__ import main
from monitoring.acknowledgements import read_acknowledgements
from monitoring.verdicts import Verdict, record_verdict, verdict_directory, write_atomically
from orchestration.jobs import acknowledge_findings
from orchestration.model_verdicts import publish_verdicts
from orchestration.sensors import alert_sensor
from orchestration.settings import PlatformSettings
from serving.model_verdicts import read_model_verdict
from tests.unit.orchestration.test_checks import verdict

USE_CASE = "credit_risk"
TODAY = datetime.now(UTC).date()


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    """State folder with a served release, two months of verdicts on it, and a later one on another release."""
    settings = PlatformSettings(home=tmp_path, _env_file=None)
    folder = settings.home / "releases" / USE_CASE
    folder.mkdir(parents=True)
    (folder / "CURRENT").write_text("0001\n")
    act = verdict("act")
    for found in (
        act.model_copy(update={"month": date(2026, 7, 1), "outcome": "stable"}),
        act,
        act.model_copy(update={"month": date(2026, 9, 1), "release": "0000"}),
    ):
        _record(found, settings.reports_dir)
    return settings


def _record(found: Verdict, reports_dir: Path) -> None:
    folder = verdict_directory(reports_dir, found.use_case, found.month, found.release)
    write_atomically(folder / "verdict.json", found.model_dump_json().encode())
    record_verdict(found, reports_dir)


def run(settings: PlatformSettings, **config: str) -> bool:
    return acknowledge_findings.execute_in_process(
        run_config={"ops": {"record_acknowledgement": {"config": config}}},
        resources={"settings": settings},
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
    ).success


def test_the_latest_month_of_the_served_release_is_published(settings: PlatformSettings) -> None:
    publish_verdicts(settings)
    found = read_model_verdict(settings.home, USE_CASE, "0001")
    assert found is not None
    assert (found.month, found.outcome, found.told_outcome) == (date(2026, 8, 1), "act", "act")
    assert found.sentence == "Credit risk, 2026-08: Act. It moved."
    assert found.sentence_zh == "信用风险 2026-08：需处理。偏移。"


def test_the_job_silences_tells_the_api_and_ends_again(settings: PlatformSettings) -> None:
    person = {"by": "A. Owner", "reason": "The source repairs it."}
    until = TODAY + timedelta(days=5)
    silence = {"action": "silence", "use_case": USE_CASE, "code": "column_drift", "until": str(until)}
    assert run(settings, **silence, **person)
    silenced = read_model_verdict(settings.home, USE_CASE, "0001")
    (record,) = read_acknowledgements(settings.reports_dir)
    assert run(settings, action="end", identifier=record.identifier, **person)
    ended = read_model_verdict(settings.home, USE_CASE, "0001")

    assert silenced is not None
    assert (silenced.outcome, silenced.told_outcome, silenced.silenced_until) == ("act", "stable", until)
    assert silenced.is_silenced(TODAY)
    assert ended is not None
    assert (ended.told_outcome, ended.silenced_until) == ("act", None)
    assert (settings.reports_dir / "site" / "index.html").exists()


def test_what_the_terminal_silences_reaches_the_api_with_the_next_look_of_the_sensor(settings, capsys) -> None:
    publish_verdicts(settings)
    command = ["--home", str(settings.home), "silence", USE_CASE, "--code", "column_drift", "--by", "A. Owner"]
    main([*command, "--reason", "The source repairs it.", "--until", str(TODAY)])
    assert "The API follows within five minutes" in capsys.readouterr().out
    before = read_model_verdict(settings.home, USE_CASE, "0001")
    alert_sensor(dg.build_sensor_context(resources={"settings": settings}))
    after = read_model_verdict(settings.home, USE_CASE, "0001")

    assert before is not None
    assert after is not None
    assert (before.told_outcome, after.told_outcome, after.silenced_until) == ("act", "stable", TODAY)


def test_a_record_that_cannot_be_made_fails_the_run_and_is_not_kept(settings: PlatformSettings) -> None:
    assert not run(settings, action="silence", use_case=USE_CASE, code="column_drift", by="A. Owner", reason="Because.")
    assert read_acknowledgements(settings.reports_dir) == ()
