"""Scoring and reviewing by month: several months in one run, and months without data."""

import dagster as dg
import pytest

from tests.integration.platform_home import USE_CASES, PlatformHome

THREE_MONTHS = [f"2026-{month:02d}-01" for month in range(7, 10)]
MONTH_WITHOUT_DATA = "2026-10-01"


@pytest.fixture(scope="module")
def home(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    return finished_home.copy_to(tmp_path_factory.mktemp("months") / "home")


def test_backfill_scores_several_months_in_one_run(home: PlatformHome) -> None:
    with home.instance() as instance:
        runs_before = instance.get_runs_count()

    result = home.execute("score_customers", THREE_MONTHS)

    assert result.success
    with home.instance() as instance:
        assert instance.get_runs_count() == runs_before + 1
        stored = instance.get_materialized_partitions(dg.AssetKey(["predictions", "credit_scores"]))
    assert set(THREE_MONTHS) <= stored
    for use_case in USE_CASES:
        months = {name.split("as_of_month=")[1][:10] for name in home.predictions() if name.startswith(use_case)}
        assert set(THREE_MONTHS) <= months


def test_month_without_data_is_named_and_does_not_fail_the_run(home: PlatformHome) -> None:
    result = home.execute("score_customers", [MONTH_WITHOUT_DATA], ["predictions/credit_scores"])

    [check] = result.get_asset_check_evaluations()
    assert result.success
    assert not check.passed
    assert check.description == "Not scored: 2026-10 (no customer has features for this month)"


def test_review_of_a_month_without_data_says_so(home: PlatformHome) -> None:
    result = home.execute("review_drift", [MONTH_WITHOUT_DATA])

    checks = result.get_asset_check_evaluations()
    assert result.success
    assert len(checks) == len(USE_CASES)
    for check in checks:
        assert check.description is not None
        assert "Not enough data" in check.description
        assert check.severity is dg.AssetCheckSeverity.WARN
