"""January is not drift for being cold, and a broken meter batch in a cold January is."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from monitoring.column_words import ColumnWords
from monitoring.datasets import CurrentRows, ReferenceRows, schema_columns
from monitoring.explained_inputs import AskAgain
from monitoring.policy import load_policy
from monitoring.scoring import Compared, compare
from monitoring.season_findings import history_reasons, weather_reasons
from monitoring.verdicts import ColumnScore
from tests.unit.monitoring.factories import prediction_frame

POLICY = load_policy("credit_risk", date(2026, 11, 1))
LOAD = "load_factor_3m"
JANUARY, JULY = date(2026, 1, 1), date(2026, 7, 1)


def celsius(day: pd.Timestamp, colder: dict[str, float]) -> float:
    return 13 - 15 * np.cos(2 * np.pi * (day.dayofyear - 20) / 365.25) - colder.get(f"{day:%Y-%m}", 0.0)


def temperatures(**colder: float) -> pd.DataFrame:
    """Return three years of a climate, some months of which were colder (or hotter, if negative)."""
    days = pd.date_range("2024-01-01", "2026-12-31")
    by_month = {name.removeprefix("m").replace("_", "-"): value for name, value in colder.items()}
    return pd.DataFrame(
        {"district": "east", "local_date": days.date, "mean_temperature_c": [celsius(day, by_month) for day in days]}
    )


def degrees(weather: pd.DataFrame, month: date) -> float:
    """Return the degrees of heating and cooling per day, of the month and the two before it."""
    months = pd.to_datetime(weather["local_date"]).dt.to_period("M")
    window = weather[(months <= pd.Period(month, "M")) & (months > pd.Period(month, "M") - 3)]
    means = window["mean_temperature_c"]
    return float(((18 - means).clip(lower=0) + (means - 22).clip(lower=0)).mean())


def customers(weather: pd.DataFrame, month: date, rows: int, seed: int) -> pd.DataFrame:
    """Return customers whose load column rises with the degrees behind it."""
    frame = prediction_frame("credit_risk", month, rows, seed=seed).assign(district="east")
    own = np.random.default_rng([seed, month.month]).normal(0, 0.7, rows)
    return frame.assign(**{LOAD: 1 / (1 + np.exp(1.5 - own - 0.08 * degrees(weather, month)))})


def rows_of(frame: pd.DataFrame) -> CurrentRows:
    """Return rows of which nothing was odd when they were read."""
    counts = ("rows_of_other_releases", "rows_duplicated", "rows_superseded", "rows_undated", "rows_zone_assumed")
    nothing = ("files_unreadable", "batch_files_unreadable", "columns_absent", "columns_unknown")
    return CurrentRows(
        frame=frame,
        rows_available=len(frame),
        rows_drawn=len(frame),
        files_read=1,
        columns_retyped={},
        **dict.fromkeys(counts, 0),
        **dict.fromkeys(nothing, ()),
    )


def compared(
    weather: pd.DataFrame | None,
    month: date,
    *,
    known: pd.DataFrame,
    months: int = 12,
    change=lambda frame: frame,
    ask: AskAgain | None = None,
) -> Compared:
    """Compare a month with a reference of the months until November 2025."""
    ends = pd.period_range(end="2025-11", periods=months, freq="M")
    reference = pd.concat(
        [customers(known, end.start_time.date(), 900, seed=number) for number, end in enumerate(ends)],
        ignore_index=True,
    )
    current = change(customers(known, month, 1_200, seed=99))
    if ask is not None:
        reference, current = (frame.assign(**ask(frame)) for frame in (reference, current))
    rows = rows_of(current)
    return compare(rows, ReferenceRows(reference, ()), month, POLICY, daily_temperatures=weather, ask=ask)


def score_of(result: Compared, column: str = LOAD) -> ColumnScore:
    return next(score for score in result.scores if score.column == column)


def by_basis(score: ColumnScore) -> dict:
    return {comparison.basis: comparison for comparison in score.comparisons}


COLD = temperatures(m2025_12=3, m2026_01=6)
HOT = temperatures(m2025_08=-6, m2026_06=-6, m2026_07=-8)
UNSEEN_HEAT = temperatures(m2026_06=-6, m2026_07=-8)


@pytest.mark.parametrize(("weather", "month"), [(COLD, JANUARY), (HOT, JULY)], ids=["cold January", "heat wave"])
def test_extreme_weather_is_quiet_and_explained(weather, month) -> None:
    result = compared(weather, month, known=weather)
    score = score_of(result)
    forms = by_basis(score)
    assert (score.level, score.decided_by) == ("quiet", "weather_adjusted")
    assert forms["same_season"].level != "quiet"
    assert forms["weather_adjusted"].score < forms["same_season"].score / 2
    assert result.weather is not None
    (reason,) = (each for each in weather_reasons(result.scores, ColumnWords("credit_risk"), result.weather))
    assert (reason.code, reason.severity) == ("weather_expected", "info")
    assert f"as expected for {result.weather.mean_temperature_c:.1f} °C" in reason.sentence_en
    assert ("colder" if month == JANUARY else "warmer") in reason.sentence_en


def test_heat_that_the_reference_has_not_seen_the_like_of_is_not_judged() -> None:
    score = score_of(compared(UNSEEN_HEAT, JULY, known=UNSEEN_HEAT))
    assert (score.status, score.why_en) == ("not_judged", "the reference has seen too little of such weather")


def test_a_broken_meter_batch_in_a_cold_january_is_loud() -> None:
    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{LOAD: frame[LOAD].where(frame.index % 4 != 0, 0.3 * frame[LOAD])})

    score = score_of(compared(COLD, JANUARY, known=COLD, change=broken))
    assert (score.level, score.decided_by, score.expected_en) == ("strong", "weather_adjusted", "")


KEY = "default_probability"


def told_by_load(frame: pd.DataFrame) -> pd.DataFrame:
    """Answer as a model that reads the load column and the late bills."""
    return pd.DataFrame({KEY: frame[LOAD] * 0.5 + 0.4 * frame["recovery_rate_due_3m_pct"].fillna(0) / 100})


def test_predictions_that_follow_an_explained_input_are_explained() -> None:
    alone = score_of(compared(COLD, JANUARY, known=COLD, ask=lambda frame: pd.DataFrame({KEY: frame[LOAD]})), KEY)
    forms = by_basis(alone)
    assert forms["whole_reference"].level != "quiet"
    assert (alone.level, alone.decided_by) == ("quiet", "weather_adjusted")
    assert "with the weather taken out" in alone.expected_en


def test_predictions_with_a_season_of_their_own_are_compared_with_it() -> None:
    policy = load_policy("segmentation", date(2026, 11, 1))
    ends = [end.start_time.date() for end in pd.period_range(end="2025-11", periods=12, freq="M")]
    frames = [prediction_frame("segmentation", end, 300, seed=number) for number, end in enumerate(ends)]
    current = rows_of(prediction_frame("segmentation", JULY, 600, seed=99))
    reference = ReferenceRows(pd.concat(frames, ignore_index=True), ())
    result = compare(current, reference, JULY, policy, daily_temperatures=temperatures())
    _, predictions = schema_columns("segmentation")
    seasonal = [column.name for column in predictions if column.season == "same_season"]
    assert seasonal
    assert all(len(score_of(result, name).comparisons) == 3 for name in seasonal)


def test_predictions_that_move_for_another_reason_as_well_stay_loud_in_a_cold_january() -> None:
    def unpaid(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(recovery_rate_due_3m_pct=0.3 * frame["recovery_rate_due_3m_pct"])

    score = score_of(compared(COLD, JANUARY, known=COLD, change=unpaid, ask=told_by_load), KEY)
    assert (score.level, score.decided_by) == ("strong", "weather_adjusted")


def test_predictions_that_follow_a_broken_meter_batch_stay_loud() -> None:
    def broken(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{LOAD: frame[LOAD].where(frame.index % 4 != 0, 0.3 * frame[LOAD])})

    score = score_of(compared(COLD, JANUARY, known=COLD, change=broken, ask=told_by_load), KEY)
    assert score.level in ("drifted", "strong")


def test_predictions_that_follow_an_input_of_which_nobody_can_tell_are_not_judged() -> None:
    score = score_of(
        compared(COLD, JANUARY, known=COLD, months=3, ask=lambda frame: pd.DataFrame({KEY: frame[LOAD]})), KEY
    )
    assert score.status == "not_judged"
    assert "follow the weather" in score.why_en


def test_a_model_that_answers_otherwise_than_at_release_explains_nothing() -> None:
    factors = iter([1.0, 1.0])

    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({KEY: next(factors, 1.2) * frame[LOAD]})

    score = score_of(compared(COLD, JANUARY, known=COLD, ask=changed), KEY)
    assert (score.decided_by, score.comparisons) == ("whole_reference", ())


def test_without_weather_the_same_season_decides_and_it_is_said() -> None:
    result = compared(None, JANUARY, known=COLD)
    score = score_of(result)
    assert (score.decided_by, score.level != "quiet") == ("same_season", True)
    assert by_basis(score)["weather_adjusted"].why_en == "no weather is known"
    codes = [reason.code for reason in weather_reasons(result.scores, ColumnWords("credit_risk"), None)]
    assert codes == ["weather_unknown"]


def test_weather_stands_in_for_a_season_that_the_reference_lacks() -> None:
    """A reference from March to November has no January, but it knows what cold does."""
    usual = temperatures()
    score = score_of(compared(usual, JANUARY, known=usual, months=9))
    forms = by_basis(score)
    assert forms["same_season"].why_en == "no same season in the reference"
    assert (score.status, score.decided_by) == ("judged", "weather_adjusted")


def test_a_reference_of_few_months_cannot_tell_weather_from_drift() -> None:
    score = score_of(compared(COLD, JANUARY, known=COLD, months=3))
    assert (score.status, score.why_en) == ("not_judged", "the reference has seen too little of such weather")


def test_ages_that_ran_on_and_events_that_could_not_be_known_are_no_drift() -> None:
    def older(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(months_since_late_bill_months=np.tile([1.0, 2.0, 30.0], 200))

    usual = temperatures()
    ends = pd.period_range(end="2025-11", periods=12, freq="M")
    reference = pd.concat(
        [
            customers(usual, end.start_time.date(), 300, seed=1).assign(
                months_since_late_bill_months=np.tile([1.0, 2.0, np.nan], 100),
                tenure_months=np.arange(300.0) / 3 + 40 + number,
            )
            for number, end in enumerate(ends)
        ],
        ignore_index=True,
    )
    current = older(customers(usual, JULY, 600, seed=2)).assign(tenure_months=np.arange(600.0) / 6 + 40 + 19)
    rows = rows_of(current)
    result = compare(rows, ReferenceRows(reference, ()), JULY, POLICY, data_since=date(2023, 6, 1))
    event = score_of(result, "months_since_late_bill_months")
    assert event.missing_current_pct == pytest.approx(event.missing_reference_pct, abs=1)
    assert (event.level, score_of(result, "tenure_months").level) == ("quiet", "quiet")


def test_predictions_that_moved_only_because_everybody_grew_older_are_explained() -> None:
    """The customers of the reference are asked about again at the age of the month's; what else moved stays loud."""

    def ask(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"default_probability": 2 / rows["tenure_months"]}, index=rows.index)

    def answered(rows: pd.DataFrame, factor: float = 1.0) -> pd.DataFrame:
        return rows.assign(default_probability=factor * ask(rows)["default_probability"])

    usual = temperatures()
    ends = pd.period_range(end="2025-11", periods=12, freq="M")
    reference = pd.concat(
        [
            customers(usual, end.start_time.date(), 300, seed=1).assign(
                tenure_months=np.arange(300.0) / 10 + 20 + number
            )
            for number, end in enumerate(ends)
        ],
        ignore_index=True,
    )
    current = customers(usual, JULY, 600, seed=2).assign(tenure_months=np.arange(600.0) / 20 + 20 + 19)
    levels = {}
    for name, factor in {"older": 1.0, "riskier": 1.5}.items():
        month = rows_of(answered(current, factor))
        result = compare(month, ReferenceRows(answered(reference), ()), JULY, POLICY, ask=ask)
        score = score_of(result, "default_probability")
        levels[name] = score.level, by_basis(score)["whole_reference"].level
    assert levels == {"older": ("quiet", "strong"), "riskier": ("strong", "strong")}


def test_who_has_no_summer_behind_is_no_fault_where_customers_of_that_season_and_history_had_none_either() -> None:
    """Customers of eight months have a summer behind them in January and none in May."""

    def joined(frame: pd.DataFrame, month: date, share_missing: float) -> pd.DataFrame:
        months = np.where(np.arange(len(frame)) % 5 == 0, 8.0, 60.0)
        has_summer = (months > 12) | (month.month in (1, 2, 3, 9, 10, 11, 12))
        has_summer &= np.arange(len(frame)) % 100 >= share_missing
        return frame.assign(tenure_months=months, **{LOAD: frame[LOAD].where(has_summer)})

    usual = temperatures()
    may = date(2026, 5, 1)
    ends = [end.start_time.date() for end in pd.period_range(end="2025-11", periods=12, freq="M")]
    reference = ReferenceRows(
        pd.concat(
            [joined(customers(usual, end, 300, seed=number), end, 0) for number, end in enumerate(ends)],
            ignore_index=True,
        ),
        (),
    )
    quiet, fault = (
        score_of(
            compare(
                rows_of(joined(customers(usual, may, 900, seed=99), may, share)),
                reference,
                may,
                POLICY,
                daily_temperatures=usual,
                data_since=date(2020, 1, 1),
            )
        )
        for share in (0, 30)
    )
    assert quiet.missing_current_pct == pytest.approx(20)
    assert quiet.missing_reference_pct == pytest.approx(20, abs=1)
    assert fault.missing_current_pct - fault.missing_reference_pct == pytest.approx(24, abs=2)


def test_how_long_customers_are_known_is_not_judged_where_the_reference_is_as_young_as_its_data() -> None:
    """Of a reference of the first fifteen months nobody can have been known for as long as anybody is later."""
    usual = temperatures()
    ends = pd.period_range(end="2025-11", periods=12, freq="M")
    reference = pd.concat(
        [
            customers(usual, end.start_time.date(), 900, seed=number).assign(tenure_months=4.0 + number)
            for number, end in enumerate(ends)
        ],
        ignore_index=True,
    )
    later = rows_of(customers(usual, JULY, 600, seed=2).assign(tenure_months=np.arange(600.0) % 9 + 15))
    result = compare(later, ReferenceRows(reference, ()), JULY, POLICY, data_since=date(2024, 9, 1))
    young = score_of(result, "tenure_months")
    assert young.status == "not_judged"
    assert "it can only grow" in young.why_en


def test_a_new_estate_is_told_and_compared_with_customers_of_as_short_a_history() -> None:
    def with_estate(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(tenure_months=frame["tenure_months"].where(frame.index % 6 != 0, 1.0))

    usual = temperatures()
    result = compared(usual, JANUARY, known=usual, change=with_estate)
    (reason,) = history_reasons(result.history, POLICY)
    assert (reason.code, reason.severity) == ("history_shift", "watch")
    assert "17 % of the customers have less than 14 months of history" in reason.sentence_en
    assert result.history.rows_set_aside == 200
    assert all(score.is_like_tenure for score in result.scores)


def test_a_month_whose_histories_the_reference_lacks_is_not_judged() -> None:
    usual = temperatures()
    result = compared(usual, JANUARY, known=usual, change=lambda frame: frame.assign(tenure_months=2.0))
    assert result.scores == ()
    codes = {reason.code: reason.severity for reason in history_reasons(result.history, POLICY)}
    assert codes == {"history_shift": "act", "history_unmatched": "unknown"}
