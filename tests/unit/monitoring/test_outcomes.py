from datetime import UTC, date, datetime

import pytest

from monitoring.outcomes import (
    Estimated,
    EstimateEntry,
    EstimateRecord,
    Outcomes,
    OutcomesError,
    PerformanceEstimate,
    RealisedPerformance,
    TariffCohort,
    VintagePoint,
    VintageResult,
    read_outcomes,
)

MONTH = date(2026, 1, 1)


def entry(realised_rate: float | None, realised_auc: float | None = 0.8) -> EstimateEntry:
    realised = None
    if realised_rate is not None:
        realised = RealisedPerformance(
            rows=1_000, events=50, default_rate=realised_rate, auc=realised_auc, brier=0.05, shift=0, slope=1
        )
    return EstimateEntry(
        month=MONTH,
        release="0001",
        estimate=PerformanceEstimate(
            rows=1_000,
            coverage_pct=90,
            default_rate=Estimated(value=0.05, lower=0.04, upper=0.06),
            auc=Estimated(value=0.8, lower=0.75, upper=0.85),
            brier=Estimated(value=0.05, lower=0.04, upper=0.06),
            independent_windows=0,
        ),
        realised=realised,
    )


def cohort(**changes: object) -> TariffCohort:
    values: dict[str, object] = {
        "month": MONTH,
        "release": "0001",
        "months_since": 12,
        "customers_advised": 120,
        "customers_judged": 100,
        "customers_followed": 20,
        "customers_saving": 90,
        "customers_inside": 80,
        "expected_saving_amount": 1_000.0,
        "realised_saving_amount": 900.0,
        "stayed_amount": 10_000.0,
        "coverage_pct": 80.0,
    }
    return TariffCohort.model_validate({**values, **changes})


def test_the_record_counts_months_whose_outcome_lay_inside() -> None:
    record = EstimateRecord.of((entry(0.05), entry(0.06), entry(0.061), entry(None)))
    assert record is not None
    assert (record.months, record.stated_pct) == (3, 90)
    assert (record.default_rate_inside, record.auc_inside, record.brier_inside) == (2, 3, 3)


def test_there_is_no_record_before_an_outcome_is_known() -> None:
    assert EstimateRecord.of((entry(None),)) is None


def test_an_auc_that_could_not_be_told_is_neither_inside_nor_outside() -> None:
    assert entry(0.05, realised_auc=None).is_inside("auc") is None


def test_shares_of_a_cohort_are_of_the_customers_that_could_be_judged() -> None:
    told = cohort()
    assert (told.inside_pct, told.worse_off_pct, told.realised_share_pct) == (80, pytest.approx(10), 90)
    assert told.is_complete
    assert not cohort(months_since=11).is_complete


def test_a_cohort_without_judged_customers_has_no_shares() -> None:
    told = cohort(customers_judged=0, customers_saving=0, customers_inside=0, expected_saving_amount=0.0)
    assert (told.inside_pct, told.worse_off_pct, told.realised_share_pct) == (None, None, None)


def test_shares_of_a_vintage_are_of_customers_and_of_the_amount_due() -> None:
    point = VintagePoint(
        month=MONTH,
        months_since=3,
        customers=200,
        past_due_30d_customers=10,
        past_due_60d_customers=4,
        past_due_90d_customers=0,
        due_amount=1_000.0,
        past_due_30d_amount=50.0,
        past_due_60d_amount=10.0,
        past_due_90d_amount=0.0,
    )
    assert (point.customers_pct(), point.customers_pct(60), point.amount_pct(30)) == (5, 2, 5)
    assert VintageResult(point=point, usual_pct=2.5, upper_pct=4, vintages=6).ratio == 2
    assert VintageResult(point=point, usual_pct=0, upper_pct=4, vintages=6).ratio is None


def test_a_use_case_without_a_record_has_none(tmp_path) -> None:
    assert read_outcomes(tmp_path, "credit_risk") is None


def test_a_stored_record_comes_back_equal(tmp_path) -> None:
    told = Outcomes(use_case="credit_risk", updated_at=datetime(2026, 1, 1, tzinfo=UTC), estimates=(entry(0.05),))
    (tmp_path / "credit_risk").mkdir()
    (tmp_path / "credit_risk" / "outcomes.json").write_text(told.model_dump_json())
    assert read_outcomes(tmp_path, "credit_risk") == told


def test_a_torn_record_is_named_with_its_remedy(tmp_path) -> None:
    (tmp_path / "credit_risk").mkdir()
    (tmp_path / "credit_risk" / "outcomes.json").write_text('{"use_case": "credit_')
    with pytest.raises(OutcomesError, match=r"outcomes\.json: not readable; delete it and review credit_risk again"):
        read_outcomes(tmp_path, "credit_risk")
