"""What the main job says at its end."""

from pathlib import Path

import pytest

from orchestration.main_run import RunOutcome
from orchestration.settings import PlatformSettings
from orchestration.summary import render_summary


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path)


def headline(settings: PlatformSettings, outcome: RunOutcome) -> str:
    return render_summary(settings, outcome).splitlines()[1]


def test_a_run_without_faults_is_done(settings: PlatformSettings) -> None:
    assert headline(settings, RunOutcome()) == "Kilowise: everything is done."


def test_a_refusal_is_a_decision_and_no_failure(settings: PlatformSettings) -> None:
    outcome = RunOutcome(refused_use_cases=("segmentation", "tariff_matching"))

    assert outcome.succeeded
    assert headline(settings, outcome) == (
        "Kilowise: everything is done; the gate refused the new model of segmentation and of tariff_matching, so what "
        "is served stays as it was."
    )


def test_a_failure_names_its_steps_even_when_a_gate_refused_as_well(settings: PlatformSettings) -> None:
    outcome = RunOutcome(failed_steps=("models__credit_risk",), refused_use_cases=("segmentation",))

    assert not outcome.succeeded
    assert headline(settings, outcome) == "Kilowise: the run did not finish, models/credit_risk failed; see above."


def test_the_ui_is_the_one_of_the_form(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILOWISE_SERVER_WEBSERVER_URL", "http://127.0.0.1:3005")
    on_workers = settings.model_copy(update={"profile": "server"})

    assert "  make dev       the asset graph in the Dagster UI     http://127.0.0.1:3000\n" in render_summary(
        settings, RunOutcome()
    )
    assert "  (it runs)      the asset graph in the Dagster UI     http://127.0.0.1:3005\n" in render_summary(
        on_workers, RunOutcome()
    )
