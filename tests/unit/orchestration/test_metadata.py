"""Figures and links as the UI shows them."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from ml.evaluation import BaselineComparison, Criterion, Evaluation, Metric
from ml.gate import GateDecision
from orchestration.column_lineage import SourceColumn
from orchestration.metadata import (
    column_lineage_metadata,
    evaluation_metadata,
    figure_with_interval,
    key_figure_sentence,
    report_link,
    table_value,
)
from orchestration.settings import PlatformSettings

AUC = Metric(name="roc_auc", value=0.8312, lower=0.8124, upper=0.8491)


def baseline(name: str, value: float | None, difference: float | None) -> BaselineComparison:
    return BaselineComparison(
        name=name, metric=Metric(name="roc_auc", value=value), difference=Metric(name="difference", value=difference)
    )


def evaluation(*baselines: BaselineComparison) -> Evaluation:
    return Evaluation(
        use_case="credit_risk", holdout_description="later", key_metric=AUC, metrics=(AUC,), baselines=baselines
    )


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (AUC, "0.831 (0.812 to 0.849)"),
        (Metric(name="saving", value=1234.5, unit="CNY"), "1,234 CNY"),
        (Metric(name="roc_auc", value=None), "not available"),
    ],
)
def test_figure_is_written_with_what_is_known(metric: Metric, text: str) -> None:
    assert figure_with_interval(metric) == text


def test_key_figure_stands_beside_the_nearest_baseline() -> None:
    sentence = key_figure_sentence(
        evaluation(
            baseline("last_status", 0.7, 0.13), baseline("logistic", 0.82, 0.01), baseline("unknown", None, None)
        )
    )

    assert sentence == "AUC 0.831 (0.812 to 0.849), best baseline logistic 0.820"


def test_missing_criterion_is_not_shown_as_passed() -> None:
    criteria = (
        Criterion(name="accuracy", passed=True, reason=""),
        Criterion(name="calibration", passed=None, reason="missing"),
        Criterion(name="fairness", passed=False, reason="too far apart"),
    )
    decision = GateDecision(
        use_case="credit_risk",
        approved=False,
        decided_on=date(2026, 11, 22),
        policy_valid_from=date(2026, 1, 1),
        criteria=criteria,
        reason="Refused.",
    )

    metadata = evaluation_metadata(evaluation(), decision)

    gate = metadata["gate"]
    assert isinstance(gate, dg.TableMetadataValue)
    assert [record.data["passed"] for record in gate.records] == ["yes", "missing", "no"]
    assert metadata["baselines"] == dg.MetadataValue.text("none")


def test_table_without_rows_is_a_word() -> None:
    assert table_value([]) == dg.MetadataValue.text("none")


def test_columns_are_shown_with_what_they_are_computed_from() -> None:
    lineage = {
        "unpaid_amount": [
            SourceColumn("landing", "bills", "amount"),
            SourceColumn("landing", "bills", "due_date"),
            SourceColumn("landing", "payments", "amount"),
        ],
        "bills_count": [],
    }

    metadata = column_lineage_metadata(lineage)

    assert [record.data for record in metadata["column_lineage"].records] == [
        {"column": "unpaid_amount", "computed_from": "landing/bills: amount, due_date; landing/payments: amount"},
        {"column": "bills_count", "computed_from": ""},
    ]
    assert metadata["dagster/column_lineage"].deps_by_column["unpaid_amount"][2] == dg.TableColumnDep(
        asset_key=dg.AssetKey(["landing", "payments"]), column_name="amount"
    )


def test_column_of_many_sources_is_shown_with_their_number() -> None:
    hours = [SourceColumn("marts", "shape", f"hour_{hour:02d}") for hour in range(24)]

    metadata = column_lineage_metadata({"night_share": hours})

    [record] = metadata["column_lineage"].records
    assert str(record.data["computed_from"]).endswith("hour_10, hour_11 and 12 more")
    assert len(metadata["dagster/column_lineage"].deps_by_column["night_share"]) == 24


def test_report_is_linked_where_the_site_serves_it(tmp_path: Path) -> None:
    settings = PlatformSettings(home=tmp_path, reports_url="http://127.0.0.1:3200")

    link = report_link(settings, settings.reports_dir / "site" / "credit_risk" / "index.html")

    assert link.value == "http://127.0.0.1:3200/site/credit_risk/index.html"
