"""What the sensors and conditions do on a home that is finished."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from orchestration.definitions import build_definitions
from orchestration.sensors import drift_verdict_sensor, inbox_sensor
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


def test_verdict_act_is_left_to_a_person_by_default(drifted: PlatformHome) -> None:
    tick = evaluate(drifted, drift_verdict_sensor)

    assert tick.run_requests == []
    assert tick.skip_message is not None
    assert "segmentation: the verdict says act, but the policy leaves the training to a person" in tick.skip_message


def test_verdict_act_trains_that_use_case_once_when_the_policy_says_so(drifted: PlatformHome) -> None:
    first, second = (evaluate(drifted.choose(retrain_on_act=True), drift_verdict_sensor) for _ in range(2))

    [request] = first.run_requests
    assert request.asset_selection == [
        dg.AssetKey([layer, "segmentation"]) for layer in ("sufficiency", "models", "evaluations")
    ]
    assert [again.run_key for again in second.run_requests] == [request.run_key]


def test_stable_verdicts_start_nothing(finished_home: PlatformHome) -> None:
    tick = evaluate(finished_home.choose(retrain_on_act=True), drift_verdict_sensor)

    assert tick.run_requests == []
    assert tick.skip_message == "No verdict says act."


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
