"""The credit policy's dry run, the dunning list, the replay and a review on demand, as an operator starts them."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from ml.columns import names
from ml.credit_risk.rating import HISTORY_COLUMNS
from ml.credit_risk.schema import PREDICTIONS
from monitoring.slices import read_slices
from orchestration.definitions import build_definitions
from orchestration.replay import replay
from serving.model_store import ModelStore
from tests.integration.platform_home import PlatformHome


@pytest.fixture(scope="module")
def home(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home with what the credit jobs read, and nothing else."""
    path = tmp_path_factory.mktemp("credit") / "home"
    for folder in ("marts", "releases/credit_risk", "models/models/credit_risk", "predictions/batch/credit_risk"):
        shutil.copytree(finished_home.path / folder, path / folder)
    return PlatformHome(path, finished_home.choices)


def outcome(home: PlatformHome, job: str, op: str, **config: Any) -> tuple[dg.ExecuteInProcessResult, Any]:
    """Run a job and return its result with the metadata of its only step."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            build_definitions(home.settings)
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    "ops": {op: {"config": config}},
                },
            )
        )
    outputs = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return result, outputs[0].step_output_data.metadata if outputs else {}


def report_folder(home: PlatformHome, metadata: Any) -> Path:
    """Return the folder of the report to which a run links."""
    address: str = metadata["report"].value
    return (home.settings.reports_dir / address.removeprefix(f"{home.settings.reports_url}/")).parent


def test_dry_run_reports_who_would_have_been_affected(home: PlatformHome) -> None:
    result, metadata = outcome(
        home, "rehearse_credit_policy", "decide_past_months", policy_id="us_oklahoma", months_count=4
    )

    assert result.success
    folder = report_folder(home, metadata)
    measures = pd.read_csv(folder / "measures.csv")
    rows = pd.read_parquet(folder / "rows.parquet")
    assert metadata["in words"].value.startswith("us_oklahoma@2024-01-01: ")
    assert list(measures["kind"]) == ["deposit"]
    assert rows["is_new"].sum() == measures["new_count"].sum()
    assert rows["as_of_month"].nunique() == 4
    assert "Two late payments in 12 months" in (folder / "index.html").read_text(encoding="utf-8")


def test_unknown_policy_is_one_sentence(home: PlatformHome) -> None:
    result, _ = outcome(home, "rehearse_credit_policy", "decide_past_months", policy_id="mine")

    [failure] = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data.description.startswith("No credit policy 'mine' applies on ")


def test_dunning_list_is_ranked_and_tested_on_past_months(home: PlatformHome) -> None:
    result, metadata = outcome(home, "rank_dunning", "rank_overdue_customers", daily_capacity=1)

    assert result.success
    folder = report_folder(home, metadata)
    listed = pd.read_parquet(folder / "customers.parquet")
    tested = pd.read_csv(folder / "back_test.csv")
    assert listed["expected_loss_amount"].is_monotonic_decreasing
    assert listed["working_day"].max() <= 21
    assert (listed["overdue_amount"] > 0).all()
    shares = tested[tested["working_days"] == 5].set_index("ranking")["reached_share"]
    assert shares["perfect"] >= shares["expected_loss"] >= 0


def test_service_answers_what_stands_in_the_batch_of_the_month_rating_in_force_included(home: PlatformHome) -> None:
    [file] = (home.settings.predictions_dir / "batch" / "credit_risk").rglob("*.parquet")
    scored = pd.read_parquet(file, partitioning=None).set_index("customer_key")
    store = ModelStore(home.path)
    release = store.current_release("credit_risk")
    assert release is not None
    model = store.load(release)

    inputs = model.many_from_snapshot(list(scored.index))
    answers = dict(zip(inputs, model.predict(list(inputs.values())), strict=True))

    assert set(answers) == set(scored.index)
    for key, answer in answers.items():
        said = {**answer.prediction, **answer.details}
        assert said["rating_basis"] == "months"
        for name in (*names(PREDICTIONS), *HISTORY_COLUMNS):
            stood = scored.at[key, name]
            assert said[name] == (None if pd.isna(stood) else stood)


def test_every_score_of_a_batch_is_replayed_to_the_identical_number(home: PlatformHome) -> None:
    [file] = (home.settings.predictions_dir / "batch" / "credit_risk").rglob("*.parquet")
    scored = pd.read_parquet(file, partitioning=None)

    result = replay(home.settings, scored["request_id"].iloc[0])

    assert result.is_identical
    assert result.decisions == len(scored)


def test_a_part_of_the_customers_is_reviewed_on_demand(home: PlatformHome) -> None:
    month = max(path.name.partition("=")[2] for path in home.path.glob("predictions/batch/credit_risk/as_of_month=*"))
    scored = pd.read_parquet(home.path / f"predictions/batch/credit_risk/as_of_month={month}/predictions.parquet")
    district = scored["district"].value_counts().idxmin()
    asked = {"use_case": "credit_risk", "month": month[:7]}

    done, metadata = outcome(home, "review_slice", "review_part_of_customers", **asked, district=district)
    refused, _ = outcome(home, "review_slice", "review_part_of_customers", **asked, district="Atlantis")

    assert done.success
    assert metadata["verdict"].value == "not_enough_data"
    (stored,) = read_slices(home.settings.reports_dir)
    assert stored.verdict.part is not None
    assert stored.verdict.part.district == district
    assert stored.verdict.rows_current == sum(scored["district"] == district)
    [failure] = refused.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data.description.startswith(
        "district 'Atlantis' is unknown to the release; known are "
    )
