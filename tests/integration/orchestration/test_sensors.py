"""What the sensors and conditions do on a home that is finished."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from monitoring import alerts
from monitoring.incidents import read_incidents
from monitoring.retrainings import read_retraining_lines
from orchestration import retraining
from orchestration.definitions import build_definitions
from orchestration.sensors import alert_sensor, drift_verdict_sensor, inbox_sensor
from tests.integration.platform_home import PlatformHome

SITE = dg.AssetKey(["monitoring", "model_owner_site"])


def evaluate(home: PlatformHome, sensor: dg.SensorDefinition) -> SensorExecutionData:
    with home.instance() as instance:
        context = dg.build_sensor_context(
            instance=instance,
            definitions=build_definitions(home.settings),
            resources={"settings": home.settings},
        )
        return sensor.evaluate_tick(context)


def test_finished_inbox_starts_nothing(finished_home: PlatformHome) -> None:
    assert evaluate(finished_home, inbox_sensor).run_requests == []


@pytest.fixture(scope="module")
def drifted(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home in which the consumption of one month is a hundred times what the models know."""
    home = finished_home.copy_to(tmp_path_factory.mktemp("drifted") / "home")
    [predictions] = (home.path / "predictions" / "batch" / "segmentation").glob("*/predictions.parquet")
    frame = pd.read_parquet(predictions)
    frame["segment_id"] = frame["segment_id"].iloc[0]
    numbers = frame.select_dtypes("float").columns
    frame[numbers] = frame[numbers] * 100
    predictions.unlink()
    frame.to_parquet(predictions)
    month = predictions.parent.name.removeprefix("as_of_month=")
    assert home.execute("review_drift", [month], ["monitoring/segmentation_drift"]).success
    return home


def test_verdict_act_is_left_to_a_person_by_default_and_recorded_once(drifted: PlatformHome) -> None:
    first, second = (evaluate(drifted, drift_verdict_sensor) for _ in range(2))

    assert first.run_requests == second.run_requests == []
    assert first.skip_message is not None
    assert "segmentation: the verdict says act. The training is left to a person" in first.skip_message
    [line] = read_retraining_lines(drifted.settings.reports_dir, "segmentation")
    assert (line.status, [refusal.code for refusal in line.refusals]) == ("refused", ["left_to_a_person"])


def test_verdict_act_opens_no_training_on_data_that_the_model_knows(drifted: PlatformHome) -> None:
    """The predictions of the home were changed and the marts were not, so a training would give the same model."""
    tick = evaluate(drifted.choose(retrain_on_act=True), drift_verdict_sensor)

    assert tick.run_requests == []
    assert tick.skip_message is not None
    assert "There is no newer data" in tick.skip_message


def test_verdict_act_trains_that_use_case_once_when_the_data_is_new(
    drifted: PlatformHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "has_new_training_data", lambda *_arguments: True)
    first, second = (evaluate(drifted.choose(retrain_on_act=True), drift_verdict_sensor) for _ in range(2))

    [request] = first.run_requests
    assert request.asset_selection is not None
    assert {key.to_user_string() for key in request.asset_selection} == {
        "sufficiency/segmentation",
        "models/segmentation",
        "evaluations/segmentation",
        "releases/segmentation",
        "predictions/customer_segments",
        "monitoring/segmentation_drift",
    }
    assert [again.run_key for again in second.run_requests] == [request.run_key]


def test_stable_verdicts_start_nothing(finished_home: PlatformHome) -> None:
    tick = evaluate(finished_home.choose(retrain_on_act=True), drift_verdict_sensor)

    assert tick.run_requests == []
    assert tick.skip_message == "No verdict says act."


def test_alerts_that_did_not_arrive_are_sent_when_they_are_due_again(
    drifted: PlatformHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review told the log; a webhook that is set afterwards has heard nothing yet."""
    assert evaluate(drifted, alert_sensor).run_requests == []
    with_webhook = drifted.choose(alert_webhook_url="http://127.0.0.1:9/hook")
    assert len(evaluate(with_webhook, alert_sensor).run_requests) == 1

    monkeypatch.setattr(alerts, "_ATTEMPTS", 1)
    assert with_webhook.execute("deliver_alerts").success

    assert evaluate(with_webhook, alert_sensor).run_requests == []
    incidents = read_incidents(drifted.settings.reports_dir)
    assert {incident.delivery("webhook").failed_count for incident in incidents} == {1}


# Dagster's own tester uses a beta parameter.
@pytest.mark.filterwarnings("ignore:Parameter `include_sources`")
def test_site_is_renewed_after_a_review(drifted: PlatformHome, tmp_path: Path) -> None:
    home = drifted.copy_to(tmp_path / "home")
    definitions = build_definitions(home.settings)
    with home.instance() as instance:
        before = dg.evaluate_automation_conditions(defs=definitions, instance=instance)
        instance.report_runless_asset_event(
            dg.AssetMaterialization(dg.AssetKey(["monitoring", "credit_risk_drift"]), partition="2026-09-01")
        )
        after = dg.evaluate_automation_conditions(defs=definitions, instance=instance, cursor=before.cursor)

    assert after.get_num_requested(SITE) == 1
