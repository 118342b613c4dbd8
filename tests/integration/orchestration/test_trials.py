"""A trial of a credit challenger on a finished home: begun, observed, reported, demanded by the gate, ended."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml.gate import GateDecision
from ml.trials import TrialSummary
from orchestration.__main__ import main
from orchestration.definitions import build_definitions
from orchestration.lifecycle import decision_dir, judge_challenger, read_challenger
from orchestration.marts import current_marts
from orchestration.settings import PlatformSettings
from orchestration.trials import TrialError, evidence_of, settle_trial, start_trial, use_case_of
from serving.model_store import ModelStore, ReleaseError
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.integration.platform_home import PlatformHome
from tests.unit.serving.builders import approval, write_small_bundle
from tests.unit.serving.conftest import client_of

USE_CASE = "credit_risk"
REQUESTS_COUNT = 40


@pytest.fixture(scope="module")
def home(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home that serves credit risk and whose last training made another, approved model."""
    path = tmp_path_factory.mktemp("trials") / "home"
    for folder in ("marts", f"releases/{USE_CASE}", f"models/models/{USE_CASE}"):
        shutil.copytree(finished_home.path / folder, path / folder)
    home = PlatformHome(path, finished_home.choices)
    bundle = write_small_bundle(path.parent / "bundle", USE_CASE, variant=1)
    home.store.store_bundle(path.parent / "bundle")
    (path / "releases" / USE_CASE / "CHALLENGER").write_text(bundle.version)
    approve(home, bundle.version)
    return home


def approve(home: PlatformHome, bundle_version: str) -> None:
    """Put an approval of the gate on record."""
    decision = decision_dir(home.settings, USE_CASE, bundle_version) / "decision.json"
    decision.parent.mkdir(parents=True, exist_ok=True)
    decision.write_text(approval(USE_CASE).model_dump_json())


@pytest.fixture(scope="module")
def tried(home: PlatformHome) -> tuple[PlatformHome, dict[str, object]]:
    """The home after some traffic in shadow, with the trial still on, and what the job that began it said."""
    result = run_job(home.settings, "start_trial", "put_on_trial", use_case=USE_CASE, started_by="Wang Fang")
    assert result.success
    runtime = Runtime(ServingSettings(home=home.path, release_poll_seconds=60, _env_file=None))
    runtime.start()
    client = client_of(runtime)
    for number in range(1, REQUESTS_COUNT + 1):
        client.post("/v1/credit_risk/score", json={"customer_id": f"C{number:07d}"})
    while runtime.trials._queued_count:
        runtime.trials.score_waiting()
    runtime.stop()
    return home, {name: value.value for name, value in metadata_of(result).items()}


def run_job(settings: PlatformSettings, job: str, op: str = "", **config: object) -> dg.ExecuteInProcessResult:
    run_config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if op:
        run_config["ops"] = {op: {"config": config}}
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            build_definitions(settings)
            .resolve_job_def(job)
            .execute_in_process(instance=instance, raise_on_error=False, run_config=run_config)
        )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.MetadataValue]:
    [output] = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return dict(output.step_output_data.metadata)


def judged(home: PlatformHome, **limits: float) -> GateDecision:
    """Return the gate's decision when a trial with these limits is demanded."""
    settings = home.choose(trial_requirements={USE_CASE: limits} if limits else {}).settings
    challenger = read_challenger(USE_CASE, settings)
    assert challenger is not None
    marts = current_marts(settings.marts_dir)
    return judge_challenger(use_case_of(USE_CASE), challenger, marts, settings, decided_on=datetime.now(UTC).date())


def criterion_of(decision: GateDecision) -> bool | None:
    return next(one.passed for one in decision.criteria if one.name == "trial")


def test_job_puts_the_challenger_on_trial_and_the_served_release_stays(
    tried: tuple[PlatformHome, dict[str, object]],
) -> None:
    home, said = tried

    trial = home.store.current_trial(USE_CASE)
    champion = home.store.current_release(USE_CASE)

    assert trial is not None
    assert champion is not None
    assert (said["trial"], said["release"]) == (trial.trial_id, trial.release)
    assert said["champion"] == champion.bundle_version
    assert champion.bundle_version != trial.bundle_version
    assert home.store.read_release(USE_CASE, trial.release).marts_version == champion.marts_version


def test_summary_counts_the_traffic_of_both(tried: tuple[PlatformHome, dict[str, object]]) -> None:
    home, _ = tried
    trial = home.store.current_trial(USE_CASE)
    assert trial is not None

    summary = evidence_of(home.settings, USE_CASE, trial.bundle_version)

    assert summary is not None
    assert REQUESTS_COUNT * 0.8 < summary.compared_count <= REQUESTS_COUNT
    assert summary.champion.decisions_count == summary.challenger.decisions_count == summary.compared_count
    assert summary.challenger.errors_count == 0
    assert summary.agreement is not None
    assert evidence_of(home.settings, USE_CASE, "202601-0000000000") is None


def test_report_is_an_asset_with_a_check(tried: tuple[PlatformHome, dict[str, object]]) -> None:
    home, _ = tried

    result = run_job(home.settings, "review_trials")

    assert result.success
    evaluations = {one.asset_key.path[-1]: one for one in result.get_asset_check_evaluations()}
    assert evaluations["segmentation"].passed
    assert not evaluations[USE_CASE].passed
    assert "is too short" in str(evaluations[USE_CASE].description)
    [path] = (home.settings.reports_dir / USE_CASE / "trials").glob("*.json")
    assert TrialSummary.model_validate_json(path.read_text()).compared_count > 0


def test_gate_demands_a_trial_only_where_the_operator_does_and_fails_closed(
    tried: tuple[PlatformHome, dict[str, object]],
) -> None:
    home, _ = tried
    lenient = {"minimum_agreement": 0.0, "maximum_p95_ms": 1e6}

    assert all(one.name != "trial" for one in judged(home).criteria)
    assert criterion_of(judged(home, decisions=10, **lenient)) is True
    assert criterion_of(judged(home, decisions=1_000, **lenient)) is None
    broken = judged(home, decisions=10, minimum_agreement=0.0, maximum_p95_ms=1e-6)
    assert criterion_of(broken) is False
    assert not broken.approved
    assert "On live traffic 5 % of the decisions take more than" in broken.reason
    missing = judged_without_log(home, decisions=10, **lenient)
    assert criterion_of(missing) is None
    assert "is too short: 0 of 10 decisions" in missing.reason


def judged_without_log(home: PlatformHome, **limits: float) -> GateDecision:
    log, aside = home.path / "predictions", home.path / "aside"
    log.rename(aside)
    try:
        return judged(home, **limits)
    finally:
        aside.rename(log)


def test_trial_follows_the_marts_and_ends_with_its_champion(
    tried: tuple[PlatformHome, dict[str, object]], tmp_path: Path
) -> None:
    home, _ = tried
    copy = PlatformHome(shutil.copytree(home.path, tmp_path / "home"), home.choices)
    settings, use_case = copy.settings, use_case_of(USE_CASE)
    before = copy.store.current_trial(USE_CASE)
    assert before is not None
    marts = current_marts(settings.marts_dir)
    assert settle_trial(use_case, marts, settings) == before
    renewed_dir = marts.directory.with_name("renewed")
    shutil.copytree(marts.directory, renewed_dir)
    (settings.marts_dir / "CURRENT").write_text("renewed")

    renewed = settle_trial(use_case, current_marts(settings.marts_dir), settings)

    assert renewed is not None
    assert (renewed.trial_id, renewed.started_at) == (before.trial_id, before.started_at)
    assert renewed.release != before.release
    (settings.home / "releases" / USE_CASE / "CURRENT").write_text(renewed.release)
    assert settle_trial(use_case, current_marts(settings.marts_dir), settings) is None
    assert copy.store.current_trial(USE_CASE) is None


def test_commands_say_what_a_trial_showed_and_end_it(
    tried: tuple[PlatformHome, dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home, _ = tried
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(home.path))

    assert main(["trial", "status"]) == 0
    said = capsys.readouterr().out
    assert "segmentation: no challenger was tried." in said
    assert "credit_risk: a trial is on." in said
    assert main(["trial", "stop", USE_CASE, "--by", "Wang Fang"]) == 0
    assert "Challenger: " in capsys.readouterr().out
    assert main(["trial", "stop", USE_CASE, "--by", "Wang Fang"]) == 1
    assert "no trial of credit_risk is on" in capsys.readouterr().err
    share = ["trial", "start", USE_CASE, "--mode", "share", "--share", "0.2", "--by", "Wang Fang"]
    challenger = read_challenger(USE_CASE, home.settings)
    assert challenger is not None
    judged(home)
    assert main(share) == 1
    assert "may answer nobody" in capsys.readouterr().err
    approve(home, challenger.manifest.version)
    assert main(share) == 0
    assert "share, 20.0% of the traffic" in capsys.readouterr().out
    result = run_job(home.settings, "stop_trial", "take_off_trial", use_case=USE_CASE, stopped_by="Wang Fang")
    assert result.success
    assert home.store.current_trial(USE_CASE) is None


def test_what_hinders_a_trial_is_said(home: PlatformHome, tmp_path: Path) -> None:
    settings = PlatformHome(tmp_path).settings
    with pytest.raises(TrialError, match="There is no use case 'credit'"):
        start_trial(settings, "credit", mode="shadow", share=1.0, by="Wang Fang")
    with pytest.raises(TrialError, match="credit_risk has no challenger"):
        start_trial(settings, USE_CASE, mode="shadow", share=1.0, by="Wang Fang")
    with pytest.raises(TrialError, match="The share 2 is not"):
        start_trial(home.settings, USE_CASE, mode="shadow", share=2.0, by="Wang Fang")
    with pytest.raises(ReleaseError, match="no trial"):
        ModelStore(tmp_path).stop_trial(USE_CASE, by="Wang Fang")
    result = run_job(home.settings, "start_trial", "put_on_trial", use_case=USE_CASE, started_by="x", mode="loud")
    assert not result.success
