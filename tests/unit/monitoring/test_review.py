"""What a month's review concludes, fault by fault; Evidently's page is left out here and tested in test_reports."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml.columns import USE_CASES
from ml.wording import plural
from monitoring.datasets import schema_columns
from monitoring.review import ReviewError, review_month
from monitoring.verdicts import Verdict
from tests.unit.monitoring.factories import MONTH, Platform, prediction_frame, reference_frame


def judge(platform: Platform, month: date = MONTH, **further) -> Verdict:
    return review_month(platform.use_case, month, with_report=False, **platform.folders, **further)


def codes(verdict: Verdict, severity: str) -> dict[str, str | None]:
    return {reason.code: reason.column for reason in verdict.reasons if reason.severity == severity}


def judge_changed(make_platform, change: Callable[[pd.DataFrame], pd.DataFrame], rows: int = 1_000) -> Verdict:
    platform = make_platform(rows=0)
    platform.write_batch(change(prediction_frame("credit_risk", MONTH, rows, seed=1)))
    return judge(platform)


@pytest.mark.parametrize("use_case", USE_CASES)
def test_a_month_from_the_same_distribution_is_stable(make_platform, use_case) -> None:
    verdict = judge(make_platform(use_case))
    assert verdict.outcome == "stable"
    assert verdict.columns_drifted == 0
    assert verdict.reasons[0].code == "within_limits"


def test_a_quiet_score_beyond_its_limit_is_said_to_be_what_chance_explains(make_platform) -> None:
    """Of 300 customers chance alone reaches more than the limit: nobody may read that 0.11 is within a limit of 0.1."""
    verdict = judge_changed(make_platform, lambda f: f, rows=300)
    top = max((c for c in verdict.columns if c.score is not None), key=lambda c: c.score / max(c.chance_level, 0.1))
    sentence = verdict.reasons[0].sentence_en
    assert top.chance_level > 0.1
    assert f"with a score of {top.score:.2f}, where chance alone explains up to {top.chance_level:.2f}." in sentence


@pytest.mark.parametrize("seed", range(4))
def test_quiet_months_stay_quiet(make_platform, seed) -> None:
    platform = make_platform(rows=0)
    platform.write_batch(prediction_frame("credit_risk", MONTH, 600, seed=50 + seed))
    verdict = judge(platform)
    assert (verdict.outcome, verdict.columns_drifted) == ("stable", 0)


def test_predictions_that_moved_far_are_a_case_to_act(make_platform) -> None:
    verdict = judge_changed(make_platform, lambda f: f.assign(default_probability=f["default_probability"] * 2))
    assert verdict.outcome == "act"
    assert codes(verdict, "act")["prediction_drift"] == "default_probability"
    assert verdict.columns[0].column == "default_probability"


def test_a_column_with_an_effect_is_told_with_its_effect(make_platform) -> None:
    verdict = judge_changed(make_platform, lambda f: f.assign(late_bills_3m_count=f["late_bills_3m_count"] + 1))
    reason = next(reason for reason in verdict.reasons if reason.code == "column_drift")
    assert (verdict.outcome, reason.column, reason.severity) == ("act", "late_bills_3m_count", "act")
    assert "“Bills due in 3 months and not fully paid by the due date” (late_bills_3m_count)" in reason.sentence_en
    assert "by itself this moves the mean prediction by +" in reason.sentence_en
    assert "百分点" in reason.sentence_zh


def test_a_column_is_told_with_what_it_does_to_decisions_and_money(make_platform) -> None:
    """Ratings follow from late bills here, and bills are the larger the later they are paid."""

    def with_ratings(frame: pd.DataFrame) -> pd.DataFrame:
        late = frame["late_bills_3m_count"]
        return frame.assign(credit_rating=np.where(late > 1, "C", "A"), mean_bill_12m_amount=100 * (1 + late))

    platform = make_platform(rows=0)
    platform.write_reference(with_ratings(reference_frame("credit_risk")))
    month = prediction_frame("credit_risk", MONTH, 1_000, seed=1)
    platform.write_batch(with_ratings(month).assign(late_bills_3m_count=month["late_bills_3m_count"] + 1))
    verdict = judge(platform)
    score = next(score for score in verdict.columns if score.column == "late_bills_3m_count")
    assert score.consequence is not None
    # A Poisson variable of mean 1 exceeds 1 in 26.4 % and 0 in 63.2 % of the cases.
    assert score.consequence.decisions_changed_pct == pytest.approx(63.2 - 26.4, abs=5)
    assert score.consequence.money_change_pct > 50
    assert verdict.leading_columns == ("late_bills_3m_count",)
    reason = next(reason for reason in verdict.reasons if reason.code == "column_drift")
    share = f"{score.consequence.decisions_changed_pct:.1f} %"
    assert f"changes the rating of {share} of the customers and changes the expected loss by +" in reason.sentence_en
    assert f"改变 {share} 客户的信用等级，使预期损失变动 +" in reason.sentence_zh


def test_a_watch_holds_until_two_months_in_a_row_are_stable(make_platform) -> None:
    platform = make_platform()
    months = [date(2026, number, 1) for number in (6, 7, 8)]
    for number, month in enumerate(months):
        frame = prediction_frame("credit_risk", month, 600, seed=80 + number)
        platform.write_batch(frame.assign(tenure_months=15.0) if month == months[0] else frame, month)
    verdicts = [judge(platform, month) for month in months]
    assert [verdict.outcome for verdict in verdicts] == ["watch", "watch", "stable"]
    assert [verdict.finding_outcome for verdict in verdicts] == ["watch", "stable", "stable"]
    assert verdicts[1].held_since == months[0]
    assert verdicts[1].reasons[0].code == "held_watch"


def test_categories_that_a_small_reference_lacks_by_chance_are_no_finding(make_platform) -> None:
    """Of many rare codes, a reference of 300 rows misses some; the same share in a large one is a new code."""

    def with_rare_codes(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        codes = np.where(rng.random(len(frame)) < 0.9, "usual", rng.integers(0, 60, len(frame)).astype(str))
        return frame.assign(customer_class=codes)

    found = {}
    for rows in (300, 250 * 40):
        platform = make_platform(rows=0)
        reference = reference_frame("credit_risk", months=1, rows=rows)
        platform.write_reference(with_rare_codes(reference, seed=1))
        month = with_rare_codes(prediction_frame("credit_risk", MONTH, 400, seed=2), seed=2)
        if rows > 300:
            month.loc[:11, "customer_class"] = "new"
        platform.write_batch(month)
        verdict = judge(platform)
        score = next(score for score in verdict.columns if score.column == "customer_class")
        assert score.unseen_current_pct > 1
        found[rows] = [reason.column for reason in verdict.reasons if reason.code == "unseen_categories"]
    assert found == {300: [], 10_000: ["customer_class"]}


def test_a_column_without_consequence_does_not_raise_an_alarm(make_platform) -> None:
    verdict = judge_changed(make_platform, lambda f: f.assign(mean_satisfaction_12m=f["mean_satisfaction_12m"] * 1.5))
    assert verdict.outcome == "stable"
    assert verdict.columns_drifted == 1
    assert "moved without consequence" in verdict.reasons[0].sentence_en


def test_a_column_that_few_customers_have_counts_by_what_it_does_to_all(make_platform) -> None:
    """A strong move among a twentieth of the customers does not decide about everybody."""
    platform = make_platform(rows=0)

    def with_rare_column(frame: pd.DataFrame, scale: float) -> pd.DataFrame:
        has_value = np.random.default_rng(0).random(len(frame)) < 0.2
        months = frame["months_since_overdue_30d_months"].rank(pct=True) * scale
        risky = frame["default_probability"].where(~has_value, 0.5 - 0.4 * months / scale)
        return frame.assign(months_since_overdue_30d_months=months.where(has_value), default_probability=risky)

    platform.write_reference(with_rare_column(reference_frame("credit_risk"), 12.0))
    moved = with_rare_column(prediction_frame("credit_risk", MONTH, 1_500, seed=1), 12.0)
    platform.write_batch(moved.assign(months_since_overdue_30d_months=moved["months_since_overdue_30d_months"] / 3))
    score = next(s for s in judge(platform).columns if s.column == "months_since_overdue_30d_months")
    assert score.level == "strong"
    among_those_with_a_value = 0.4 * (1 / 2 - 1 / 6)
    assert score.effect_shift == pytest.approx(0.2 * among_those_with_a_value, rel=0.2)


def test_a_good_year_explains_payments_and_nothing_else(make_platform) -> None:
    def good_year(frame: pd.DataFrame) -> pd.DataFrame:
        fewer = np.random.default_rng(1).poisson(0.66, len(frame)).astype(float)
        return frame.assign(late_bills_6m_count=fewer, contacts_6m_count=fewer)

    levels = {score.column: score.level for score in judge_changed(make_platform, good_year).columns}
    assert (levels["late_bills_6m_count"], levels["contacts_6m_count"]) == ("quiet", "drifted")


def test_a_handful_of_rows_of_the_season_do_not_say_how_many_values_are_missing(make_platform) -> None:
    """Few customers have a contracted capacity; five reference rows of the season may all have one."""

    def with_few_values(frame: pd.DataFrame) -> pd.DataFrame:
        column = "capacity_utilisation_3m_pct"
        return frame.assign(**{column: frame[column].where(np.arange(len(frame)) % 10 == 0)})

    platform = make_platform(rows=0)
    of_season = prediction_frame("credit_risk", date(MONTH.year - 1, MONTH.month, 1), 5, seed=3)
    others = reference_frame("credit_risk", last_month=date(2026, 4, 1), months=3)
    platform.write_reference(pd.concat([with_few_values(others), of_season], ignore_index=True))
    platform.write_batch(with_few_values(prediction_frame("credit_risk", MONTH, 1_000, seed=1)))
    verdict = judge(platform)
    assert "missing_rise" not in codes(verdict, "watch") | codes(verdict, "act")


def test_an_important_column_is_watched_even_without_effect(make_platform) -> None:
    verdict = judge_changed(
        make_platform, lambda f: f.assign(overdue_30d_bills_12m_count=f["overdue_30d_bills_12m_count"] + 1)
    )
    assert verdict.outcome == "watch"
    assert codes(verdict, "watch") == {"column_drift": "overdue_30d_bills_12m_count"}


def test_a_column_that_moves_money_is_a_case_to_act_even_if_predictions_stay(make_platform) -> None:
    verdict = judge_changed(make_platform, lambda f: f.assign(unpaid_balance_ratio=f["unpaid_balance_ratio"] * 2))
    assert verdict.outcome == "act"
    assert codes(verdict, "act") == {"column_drift": "unpaid_balance_ratio"}


def test_many_moved_columns_are_a_new_population(make_platform) -> None:
    features, _ = schema_columns("credit_risk")
    moved = [column.name for column in features if column.kind == "numeric"][: 2 * len(features) // 3]
    verdict = judge_changed(make_platform, lambda f: f.assign(**{name: f[name] * 3 for name in moved}))
    assert verdict.outcome == "act"
    assert "drifted_share" in codes(verdict, "act")


def test_a_rare_column_that_has_no_value_any_more_is_a_case_to_act(make_platform) -> None:
    """Twelve points of missing values are no large rise, but the source has stopped."""

    def with_rare_values(frame: pd.DataFrame) -> pd.DataFrame:
        return without(frame, 0.88, "mean_satisfaction_12m", np.nan)

    platform = make_platform(rows=0)
    platform.write_reference(with_rare_values(reference_frame("credit_risk")))
    month = with_rare_values(prediction_frame("credit_risk", MONTH, 1_000, seed=1))
    platform.write_batch(month.assign(mean_satisfaction_12m=np.nan))
    reason = next(reason for reason in judge(platform).reasons if reason.code == "missing_rise")
    assert (reason.severity, reason.column) == ("act", "mean_satisfaction_12m")
    assert "is missing in 100 % of the rows; 88 % in the reference" in reason.sentence_en


def without(frame: pd.DataFrame, share: float, column: str, value: object = None) -> pd.DataFrame:
    keep = np.random.default_rng(0).random(len(frame)) >= share
    return frame.assign(**{column: frame[column].where(keep, value)})


@pytest.mark.parametrize(
    ("change", "outcome", "code"),
    [
        (lambda f: f.drop(columns="tenure_months"), "act", "column_vanished"),
        (lambda f: f.assign(tenure_months=None), "act", "missing_rise"),
        (lambda f: without(f, 0.001, "tenure_months", np.inf), "watch", "infinite_values"),
        (lambda f: without(f, 0.4, "tenure_months"), "act", "missing_rise"),
        (lambda f: without(f, 0.15, "tenure_months"), "watch", "missing_rise"),
        (lambda f: without(f, 0.005, "tenure_months", np.inf), "watch", "infinite_values"),
        (lambda f: without(f, 0.05, "tenure_months", np.inf), "act", "infinite_values"),
        (lambda f: f.assign(tenure_months=15.0), "watch", "column_constant"),
        (lambda f: f.assign(tenure_months="twelve"), "act", "column_retyped"),
        (lambda f: without(f, 0.03, "customer_class", "moon_base"), "watch", "unseen_categories"),
        (lambda f: without(f, 0.3, "customer_class", "moon_base"), "act", "unseen_categories"),
    ],
)
def test_a_broken_column_is_named(make_platform, change, outcome, code) -> None:
    verdict = judge_changed(make_platform, change)
    column = "customer_class" if code == "unseen_categories" else "tenure_months"
    assert verdict.outcome == outcome
    assert codes(verdict, outcome)[code] == column


@pytest.mark.parametrize("rows", [0, 1, 299])
def test_too_few_rows_are_not_enough_data_and_never_stable(make_platform, rows) -> None:
    verdict = judge(make_platform(rows=rows))
    assert verdict.outcome == "not_enough_data"
    assert codes(verdict, "unknown") == {"too_few_rows": None}
    assert plural(rows, "customer") in verdict.reasons[0].sentence_en
    assert verdict.rows_current == rows


def test_rows_of_another_release_are_mentioned(make_platform) -> None:
    platform = make_platform(rows=500)
    platform.release = "0002-new"
    verdict = judge(platform)
    assert verdict.outcome == "not_enough_data"
    assert "Another 500 rows were predicted by other releases" in verdict.reasons[0].sentence_en


def test_an_unreadable_month_is_not_enough_data(make_platform) -> None:
    platform = make_platform(rows=0)
    path = platform.write_batch(prediction_frame("credit_risk", MONTH, 500, seed=1))
    path.write_bytes(b"not a Parquet file")
    verdict = judge(platform)
    assert verdict.outcome == "not_enough_data"
    assert "predictions.parquet" in verdict.reasons[0].sentence_en


def test_predictions_without_any_value_are_never_stable(make_platform) -> None:
    verdict = judge_changed(make_platform, lambda f: f.assign(default_probability=None))
    assert verdict.outcome == "act"
    assert codes(verdict, "unknown") == {"prediction_not_judged": "default_probability"}


def test_seasonal_columns_wait_for_a_reference_of_their_season(make_platform) -> None:
    platform = make_platform(rows=0)
    platform.write_reference(reference_frame("credit_risk", last_month=date(2026, 4, 1), months=3))
    platform.write_batch(prediction_frame("credit_risk", MONTH, 1_000, seed=1))
    verdict = judge(platform)
    unjudged = {score.column: score.why_en for score in verdict.columns if score.status == "not_judged"}
    features, _ = schema_columns("credit_risk")
    assert set(unjudged) == {column.name for column in features if column.season == "same_season"}
    assert set(unjudged.values()) == {"no same season in the reference"}
    assert verdict.outcome == "stable"
    assert "no same season" in " ".join(reason.sentence_en for reason in verdict.reasons)


def test_segments_are_not_called_stable_while_their_shapes_could_not_be_judged(make_platform) -> None:
    platform = make_platform("segmentation", rows=0)
    platform.write_reference(reference_frame("segmentation", last_month=date(2026, 4, 1), months=3))
    platform.write_batch(prediction_frame("segmentation", MONTH, 1_000, seed=1))
    verdict = judge(platform)
    assert verdict.outcome == "not_enough_data"
    assert codes(verdict, "unknown") == {"too_few_columns": None}


HOURS = ("weekday_shape_", "weekend_shape_", "summer_shift_", "winter_shift_")


def daily_readings(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a supplier whose meters report whole days and who delivers no contracts: no hours, no terms."""
    empty = [name for name in frame if name.startswith((*HOURS, "contract_"))]
    return frame.assign(**dict.fromkeys(empty))


def test_what_a_supplier_never_delivers_does_not_make_its_months_unknown(make_platform) -> None:
    platform = make_platform("segmentation", rows=0)
    platform.write_reference(daily_readings(reference_frame("segmentation", rows=100)))
    platform.write_batch(daily_readings(prediction_frame("segmentation", MONTH, 500, seed=1)))

    verdict = judge(platform)

    assert verdict.outcome == "stable"
    assert any("64 columns were not judged: neither the reference nor" in r.sentence_en for r in verdict.reasons)


def test_columns_that_fall_silent_are_broken_and_columns_that_begin_are_unknown(make_platform) -> None:
    platform = make_platform("segmentation", rows=0)
    month = prediction_frame("segmentation", MONTH, 500, seed=1)
    platform.write_batch(daily_readings(month))
    assert judge(platform).outcome == "act"

    platform.write_reference(daily_readings(reference_frame("segmentation", rows=100)))
    platform.write_batch(month)
    assert judge(platform).outcome == "not_enough_data"


def winter_load(frame: pd.DataFrame) -> pd.DataFrame:
    """Load factors that are twice as high from December to February."""
    is_winter = pd.to_datetime(frame["as_of_month"]).dt.month.isin([12, 1, 2])
    return frame.assign(load_factor_3m=frame["load_factor_3m"] * np.where(is_winter, 2, 1))


def test_january_is_compared_with_winter_and_not_with_the_year(make_platform) -> None:
    platform = make_platform(rows=0)
    platform.write_reference(winter_load(reference_frame("credit_risk", rows=400)))
    january = date(2027, 1, 1)
    platform.write_batch(winter_load(prediction_frame("credit_risk", january, 1_000, seed=1)), january)
    assert judge(platform, january).columns_drifted == 0
    platform.write_batch(prediction_frame("credit_risk", january, 1_000, seed=1), january)
    broken = judge(platform, january)
    assert [score.column for score in broken.columns if score.level == "strong"] == ["load_factor_3m"]


def test_an_older_reference_leaves_the_new_column_unjudged(make_platform) -> None:
    platform = make_platform()
    platform.write_reference(reference_frame("credit_risk").drop(columns=["tenure_months"]))
    verdict = judge(platform)
    score = next(score for score in verdict.columns if score.column == "tenure_months")
    assert score.why_en == "the reference was written before this column existed"
    assert verdict.outcome == "stable"


def test_a_small_reference_is_not_enough_data(make_platform) -> None:
    platform = make_platform()
    platform.write_reference(prediction_frame("credit_risk", MONTH, 50, seed=2))
    assert codes(judge(platform), "unknown") == {"too_small_reference": None}


def logged(rows: int, seed: int = 2) -> pd.DataFrame:
    """Answers of the API about customers that the batch does not hold."""
    frame = prediction_frame("credit_risk", MONTH, rows, seed=seed).assign(source="online")
    return frame.assign(customer_key="online-" + frame["customer_key"], request_id="online-" + frame["request_id"])


def severity(verdict: Verdict, code: str) -> str:
    return next(reason.severity for reason in verdict.reasons if reason.code == code)


def test_a_torn_batch_is_never_stable_whatever_the_log_still_holds(make_platform) -> None:
    platform = make_platform()
    platform.write_log(logged(600), date(2026, 9, 3), "a")
    batch = next(platform.predictions_dir.rglob("*.parquet"))
    batch.write_bytes(batch.read_bytes()[:5_000])
    verdict = judge(platform)
    assert (verdict.outcome, severity(verdict, "files_unreadable")) == ("not_enough_data", "unknown")
    assert "what is left is not the month" in verdict.reasons[0].sentence_en
    assert (verdict.rows_current, verdict.quality.batch_files_unreadable) == (600, 1)


@pytest.mark.parametrize(
    ("torn", "whole", "outcome"), [(1, 2, "stable"), (2, 45, "stable"), (2, 10, "not_enough_data")]
)
def test_one_torn_log_file_is_told_and_many_torn_files_are_ignorance(make_platform, torn, whole, outcome) -> None:
    platform = make_platform()
    rows = logged(10 * whole)
    for number in range(whole):
        platform.write_log(rows.iloc[10 * number : 10 * number + 10], date(2026, 9, 3), f"{number:02d}")
    for number in range(torn):
        platform.write_log(rows, date(2026, 9, 4), f"last_{number}").write_bytes(b"PAR1 torn")
    verdict = judge(platform)
    assert (verdict.outcome, len(verdict.quality.files_unreadable)) == (outcome, torn)


@pytest.mark.parametrize(("repeated", "outcome"), [(20, "stable"), (100, "watch")])
def test_rows_that_were_written_twice_count_once_and_many_of_them_are_watched(make_platform, repeated, outcome) -> None:
    platform = make_platform()
    rows = logged(400)
    platform.write_log(rows, date(2026, 9, 3), "a")
    platform.write_log(rows.head(repeated), date(2026, 9, 3), "again")
    verdict = judge(platform)
    assert (verdict.outcome, verdict.rows_current) == (outcome, 1_400)
    assert verdict.quality.duplicated_pct == pytest.approx(100 * repeated / (1_400 + repeated))


def test_rows_that_belong_to_no_month_are_ignorance_once_they_are_many(make_platform) -> None:
    platform = make_platform()
    midnight_in_shanghai = pd.Timestamp("2026-07-31 16:00", tz="UTC")
    platform.write_log(logged(200).assign(as_of_month=midnight_in_shanghai), date(2026, 9, 3), "a")
    verdict = judge(platform)
    assert (verdict.outcome, verdict.quality.rows_undated) == ("not_enough_data", 200)
    assert "200 rows of no month were left out (16.7 %; limit 5 %)" in verdict.reasons[0].sentence_en


def test_times_of_mixed_zones_meet_in_utc_and_a_missing_zone_is_told(make_platform) -> None:
    platform = make_platform()
    undated = logged(60).assign(as_of_month=None)
    shanghai = pd.Timestamp("2026-08-31 20:00", tz="Asia/Shanghai")
    platform.write_log(undated.head(30).assign(decided_at=shanghai), date(2026, 8, 31), "zoned")
    platform.write_log(undated.tail(30).assign(decided_at=pd.Timestamp("2026-08-31 12:00")), date(2026, 8, 31), "naive")
    verdict = judge(platform)
    assert (verdict.outcome, verdict.rows_current, verdict.quality.rows_zone_assumed) == ("stable", 1_060, 30)
    assert severity(verdict, "times_without_zone") == "info"


def test_a_column_that_appears_is_told_and_not_compared(make_platform) -> None:
    verdict = judge_changed(make_platform, lambda f: f.assign(brand_new=1.0))
    assert (verdict.outcome, severity(verdict, "columns_unknown")) == ("stable", "info")
    assert verdict.quality.columns_appeared == ("brand_new",)


def test_an_important_column_that_the_reference_does_not_know_is_never_stable(make_platform) -> None:
    platform = make_platform()
    platform.write_reference(reference_frame("credit_risk").drop(columns="late_bills_3m_count"))
    verdict = judge(platform)
    assert verdict.outcome == "not_enough_data"
    assert "important could not be judged: “Bills due in 3 months" in verdict.reasons[0].sentence_en


@pytest.mark.parametrize("kind", ["empty", "one row", "no columns"])
def test_a_month_of_next_to_nothing_is_not_enough_data(make_platform, kind) -> None:
    platform = make_platform(rows=0)
    frame = prediction_frame("credit_risk", MONTH, 1, seed=1)
    platform.write_batch({"empty": frame.head(0), "one row": frame, "no columns": pd.DataFrame(index=[0, 1])}[kind])
    verdict = judge(platform)
    assert verdict.outcome == "not_enough_data"
    assert verdict.quality.files_unreadable == ()


@pytest.mark.parametrize("value", [[1.0], pd.Timestamp("2026-08-01")])
def test_a_column_of_any_other_type_is_a_case_to_act(make_platform, value) -> None:
    verdict = judge_changed(make_platform, lambda f: f.assign(tenure_months=[value] * len(f)))
    assert codes(verdict, "act")["column_retyped"] == "tenure_months"


def test_other_columns_that_drive_the_predictions_are_watched(make_platform) -> None:
    def follows_punctuality(frame: pd.DataFrame) -> pd.DataFrame:
        place = frame["on_time_share_12m_pct"].rank(ascending=False, method="first").astype(int) - 1
        return frame.assign(default_probability=np.sort(frame["default_probability"])[place])

    verdict = judge_changed(make_platform, follows_punctuality)
    (found,) = (reason for reason in verdict.reasons if reason.code == "importance_shift")
    assert (verdict.outcome, found.severity, found.column) == ("watch", "watch", "on_time_share_12m_pct")
    assert verdict.importance.columns[0].column == "on_time_share_12m_pct"
    assert "影响预测的字段与发布时不同" in found.sentence_zh


def test_reviewing_again_replaces_the_verdict(make_platform) -> None:
    from monitoring.verdicts import read_verdict, read_verdicts

    platform = make_platform()
    first = judge(platform)
    platform.write_batch(prediction_frame("credit_risk", MONTH, 10, seed=1))
    second = judge(platform)
    table = read_verdicts(platform.reports_dir)
    assert (first.outcome, second.outcome) == ("stable", "not_enough_data")
    assert table["outcome"].to_list() == ["not_enough_data"]
    assert read_verdict(platform.reports_dir, "credit_risk", MONTH, platform.release) == second


def test_a_day_within_the_month_is_refused(make_platform) -> None:
    with pytest.raises(ReviewError, match="first day of a month, such as 2026-08-01"):
        judge(make_platform(rows=0), date(2026, 8, 15))
