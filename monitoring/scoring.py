"""Compares every column of a month with the reference, by the policy, and ranks the columns by consequence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from ml.columns import Column, by_name
from monitoring.consequences import Stakes, strain_of
from monitoring.datasets import CurrentRows, ReferenceRows, schema_columns
from monitoring.drift import (
    Bins,
    Effect,
    chance_level,
    common_shift_level,
    effect_on_prediction,
    psi_of_shares,
    reference_bins,
    unseen_chance_level,
    usable_values,
)
from monitoring.explained_inputs import AskAgain, spread_as_now
from monitoring.history import like_history
from monitoring.policy import CategoricalMethod, DriftPolicy, NumericMethod
from monitoring.season import Form, Sides
from monitoring.verdicts import ColumnScore, Comparison, HistoryShift, MonthWeather
from monitoring.weather import Weather

Role = Literal["feature", "prediction"]

# Above this share of reference rows without a full history, the months since customers came tell when the data began.
_YOUNG_REFERENCE_PCT = 50.0
# The model is asked anew in batches of other sizes, which moves the last digits of its answers.
_SAME_ANSWER = 1e-4
_UNTOLD = (
    "they moved with columns that follow the weather, and the reference has seen too little of such weather",
    "其变化来自随天气变化的字段，而参考样本中此类天气过少",
)


@dataclass(frozen=True)
class Compared:
    """A month held against the reference.

    Attributes:
        scores: Columns that strain a limit times their effect first, columns that were not judged last; empty if too
            few rows could be compared.
        reference: Reference rows with the values that the month was compared with, for pages that draw them.
        current: Rows of the month that were compared.
        history: Lengths of history of both sides.
        weather: Weather of the month, where it is known.
    """

    scores: tuple[ColumnScore, ...]
    reference: pd.DataFrame
    current: pd.DataFrame
    history: HistoryShift
    weather: MonthWeather | None


def compare(
    current: CurrentRows,
    reference: ReferenceRows,
    month: date,
    policy: DriftPolicy,
    *,
    daily_temperatures: pd.DataFrame | None = None,
    data_since: date | None = None,
    ask: AskAgain | None = None,
) -> Compared:
    """Compare all columns of the use case that the policy does not ignore.

    Args:
        current: Rows of the month, or of several months on demand.
        reference: Reference sample of the release.
        month: Month under review, of several the last.
        policy: Methods and limits.
        daily_temperatures: Rows of ``monitoring.weather.DAILY_COLUMNS``; without them the same season decides for
            columns that follow the weather.
        data_since: First month of the platform's data, which bounds what any row can know.
        ask: Asks the released model about rows of the reference with other inputs; None where that is not possible.
    """
    like = like_history(
        reference.frame,
        current.frame,
        month,
        policy.history,
        data_since=data_since,
        minimum_rows=policy.minimum.column_rows,
    )
    weather = Weather.of(daily_temperatures, policy.weather) if daily_temperatures is not None else None
    rows_then, rows_now = reference.frame[like.reference_rows], current.frame[like.current_rows]
    sides = Sides.of(rows_then, rows_now, month, policy, weather, data_since)
    compared = Compared(
        scores=(),
        reference=sides.reference,
        current=sides.current,
        history=like.shift,
        weather=weather.of_month(month, list(rows_now["district"])) if weather else None,
    )
    if min(len(rows_then), len(rows_now)) < policy.minimum.rows:
        return compared
    features, predictions = schema_columns(policy.use_case)
    key = by_name(predictions)[policy.prediction.column]
    matched_by = policy.history.column if like.shift.short_reference_pct > _YOUNG_REFERENCE_PCT else None
    stakes = Stakes.of(sides.reference, policy.consequences)
    inputs = [
        _score_column(
            column, "feature", _judge_against_forms(column, sides), current, reference, sides, key, stakes, matched_by
        )
        for column in features
        if column.name not in policy.ignored_columns
    ]
    answers = _Answers.of([score for score, _ in inputs], rows_then, rows_now, features, ask)
    outputs = [
        _score_column(
            column, "prediction", answers.judge(column, sides), current, reference, sides, key, stakes, matched_by
        )
        for column in predictions
        if column.name not in policy.ignored_columns
    ]
    scored = [*outputs, *inputs]
    scores = tuple(
        sorted(
            (score.model_copy(update={"is_like_tenure": like.is_thinned}) for score, _ in scored),
            key=lambda score: _rank(score, policy),
        )
    )
    drawn = {score.column: values.reindex(sides.reference.index) for score, values in scored}
    return replace(compared, scores=scores, reference=sides.reference.assign(**drawn))


def _rank(score: ColumnScore, policy: DriftPolicy) -> tuple[bool, float, float, str]:
    relative = (score.score or 0.0) / score.limit_watch
    return score.status != "judged", -strain_of(score, policy), -relative, score.column


@dataclass(frozen=True)
class _Judged:
    """A form of the reference held against the month; without bins if it could not be."""

    form: Form
    comparison: Comparison
    bins: Bins | None = None
    shares_then: "np.ndarray[Any, np.dtype[np.float64]] | None" = None
    shares_now: "np.ndarray[Any, np.dtype[np.float64]] | None" = None


def _judge(form: Form, usable_now: "pd.Series[Any]", column: Column, sides: Sides) -> _Judged:
    policy = sides.policy
    usable_then = usable_values(form.values, column.kind)
    if why := _why_not_judged(form, usable_now, usable_then, policy.minimum.column_rows):
        comparison = Comparison(basis=form.basis, rows_reference=len(usable_then), why_en=why[0], why_zh=why[1])
        return _Judged(form, comparison)
    bins = reference_bins(
        usable_then, column.kind, bins=policy.numeric.bins, rare_share_pct=policy.categorical.rare_share_pct
    )
    shares_then, shares_now = bins.shares(usable_then), bins.shares(usable_now)
    score = psi_of_shares(shares_then, shares_now)
    customers_then = _customers_count(sides.customers_then, usable_then)
    customers_now = _customers_count(sides.customers_now, usable_now)
    noise = chance_level(bins.count, customers_then, customers_now) + form.uncertainty
    if policy.economy is not None and column.name in policy.economy.payment_columns:
        noise += common_shift_level(shares_then, policy.economy.shift_sd)
    comparison = Comparison(
        basis=form.basis,
        score=score,
        chance_level=noise,
        level=level_of(score, noise, policy.method_for(column)),
        rows_reference=len(usable_then),
    )
    return _Judged(form, comparison, bins, shares_then, shares_now)


def _customers_count(customers: "pd.Series[int]", usable: "pd.Series[Any]") -> int:
    """Return how many customers the values are of: months of one customer are no independent witnesses."""
    return int(np.count_nonzero(np.bincount(customers.loc[usable.index].to_numpy())))


def _decide(judged: Sequence[_Judged], column: Column, policy: DriftPolicy) -> _Judged:
    """Return the form that decides by the policy.

    A move that exceeds even the uncertainty of the adjustment is drift. An adjustment that is quiet only because it is
    less certain than the limit decides nothing: if the same season is quiet then, it was quiet in spite of the weather;
    if it is not, the weather may be the reason, and nobody can tell.
    """
    by_basis = {each.form.basis: each for each in judged}
    if column.season != "same_season":
        return by_basis["whole_reference"]
    adjusted, season = by_basis["weather_adjusted"], by_basis["same_season"]
    limit = policy.method_for(column).act
    is_unsure = adjusted.comparison.level == "quiet" and adjusted.form.uncertainty >= limit
    if is_unsure and season.comparison.level != "quiet":
        why_en, why_zh = "the reference has seen too little of such weather", "参考样本中此类天气过少"
        comparison = adjusted.comparison.model_copy(update={"level": None, "why_en": why_en, "why_zh": why_zh})
        return _Judged(adjusted.form, comparison)
    for basis in policy.season.decides:
        if by_basis[basis].bins is not None and not (basis == "weather_adjusted" and is_unsure):
            return by_basis[basis]
    return by_basis[policy.season.decides[-1]]


def _judge_against_forms(column: Column, sides: Sides) -> "_Trial":
    usable_now = usable_values(sides.current[column.name], column.kind)
    judged = [_judge(form, usable_now, column, sides) for form in sides.forms(column)]
    return _Trial(judged, _decide(judged, column, sides.policy))


@dataclass(frozen=True)
class _Trial:
    """Every form of the reference that a column was held against, and the one that decides."""

    judged: Sequence[_Judged]
    decided: _Judged


@dataclass(frozen=True)
class _Answers:
    """What the released model says of its reference if inputs that follow weather and age are spread as in the month.

    Attributes:
        reference: Reference rows as the model read them.
        current: Rows of the month.
        explained: Inputs that are within their limits once season, weather and age are taken out.
        untold: Inputs of which nobody can tell.
        ask: Asks the released model; None if it cannot be asked.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    explained: Sequence[Column]
    untold: Sequence[Column]
    ask: AskAgain | None

    @classmethod
    def of(
        cls,
        scores: Sequence[ColumnScore],
        reference: pd.DataFrame,
        current: pd.DataFrame,
        features: Sequence[Column],
        ask: AskAgain | None,
    ) -> "_Answers":
        columns = by_name(features)
        seasonal = [score for score in scores if score.is_seasonal]
        explained = [columns[score.column] for score in seasonal if score.level == "quiet"]
        explained += [columns[score.column] for score in scores if _has_only_aged(score, columns[score.column])]
        untold = [columns[score.column] for score in seasonal if score.status == "not_judged"]
        return cls(reference, current, explained, untold, ask)

    def judge(self, column: Column, sides: Sides) -> _Trial:
        """Hold a prediction against what was said, and if it moved, against what the model says now.

        Predictions that moved with inputs of which nobody can tell whether the weather moved them are not judged.
        """
        trial = _judge_against_forms(column, sides)
        whole = trial.decided
        # A prediction with a season of its own has forms of its own.
        if len(trial.judged) > 1 or whole.comparison.level in (None, "quiet") or not self._gives(column):
            return trial
        usable_now = usable_values(sides.current[column.name], column.kind)
        adjusted = _judge(Form("weather_adjusted", self._with_explained[column.name]), usable_now, column, sides)
        if adjusted.comparison.level != "quiet" and self.untold:
            further = _judge(Form("weather_adjusted", self._with_untold[column.name]), usable_now, column, sides)
            if further.comparison.level == "quiet":
                comparison = adjusted.comparison.model_copy(
                    update={"level": None, "why_en": _UNTOLD[0], "why_zh": _UNTOLD[1]}
                )
                return _Trial([whole, _Judged(adjusted.form, comparison)], _Judged(adjusted.form, comparison))
        return _Trial([whole, adjusted], adjusted)

    def _gives(self, column: Column) -> bool:
        """Tell whether the model can be asked and says of the unchanged reference what is stored with it."""
        if self._unchanged is None or column.name not in self._unchanged or not (self.explained or self.untold):
            return False
        said, stored = self._unchanged[column.name], self.reference[column.name]
        if column.kind != "numeric":
            return bool((said == stored).all())
        return bool(np.allclose(said, stored.astype(np.float64), rtol=_SAME_ANSWER, atol=_SAME_ANSWER))

    @cached_property
    def _unchanged(self) -> pd.DataFrame | None:
        return None if self.ask is None else self.ask(self.reference)

    @cached_property
    def _with_explained(self) -> pd.DataFrame:
        return self._asked(self.explained)

    @cached_property
    def _with_untold(self) -> pd.DataFrame:
        return self._asked([*self.explained, *self.untold])

    def _asked(self, columns: Sequence[Column]) -> pd.DataFrame:
        if self.ask is None:
            raise ValueError("there is no model to ask")
        return self.ask(spread_as_now(self.reference, self.current, columns))


def _has_only_aged(score: ColumnScore, column: Column) -> bool:
    """Tell whether a column is an age that has drifted by nothing but the time since the reference.

    One that is not judged because customers are matched by it can only have grown.
    """
    return column.clock == "age" and score.level in (None, "quiet")


def _score_column(
    column: Column,
    role: Role,
    trial: _Trial,
    current: CurrentRows,
    reference: ReferenceRows,
    sides: Sides,
    key: Column,
    stakes: Stakes,
    matched_by: str | None,
) -> tuple[ColumnScore, "pd.Series[Any]"]:
    """Return the score of a column, and the values of the reference that decided it.

    ``matched_by`` is the column that a young reference is matched by: beyond that match it can only grow.
    """
    name, policy = column.name, sides.policy
    method = policy.method_for(column)
    values_now = sides.current[name]
    usable_now = usable_values(values_now, column.kind)
    judged, decided = trial.judged, trial.decided
    values_then = decided.form.values
    usable_then = usable_values(values_then, column.kind)
    # A handful of rows of the season has no missing share to speak of.
    all_then = values_then if len(values_then) >= policy.minimum.column_rows else sides.reference[name]
    missing_alike_pct = sides.missing_like_now_pct(column)
    infinite_now = len(values_now) - int(values_now.isna().sum()) - len(usable_now)
    is_seasonal = column.season == "same_season"
    facts: dict[str, Any] = {
        "column": name,
        "role": role,
        "kind": column.kind,
        "limit_watch": method.watch,
        "limit_act": method.act,
        "is_important": name in policy.important_columns or name == key.name,
        "is_seasonal": is_seasonal,
        "decided_by": decided.form.basis,
        "comparisons": tuple(each.comparison for each in judged) if len(judged) > 1 else (),
        "rows_reference": len(usable_then),
        "rows_current": len(usable_now),
        "missing_reference_pct": _percentage(int(all_then.isna().sum()), len(all_then))
        if missing_alike_pct is None
        else missing_alike_pct,
        "missing_current_pct": _percentage(int(values_now.isna().sum()), len(values_now)),
        "infinite_current_pct": _percentage(infinite_now, len(values_now)),
    }
    why = (
        _why_absent(name, current, reference)
        or _why_matched(name, matched_by)
        or (decided.comparison.why_en, decided.comparison.why_zh)
    )
    if decided.bins is None or decided.shares_then is None or decided.shares_now is None or any(why):
        return ColumnScore(**facts, status="not_judged", why_en=why[0], why_zh=why[1]), values_then
    bins, shares_then, shares_now = decided.bins, decided.shares_then, decided.shares_now
    effect = consequence = None
    if name != key.name:
        present_then, present_now = len(usable_then) / len(values_then), len(usable_now) / len(values_now)
        change = np.append(shares_now * present_now - shares_then * present_then, present_then - present_now)
        bin_of_row = _bin_of_rows(bins, usable_then, values_then.index)
        effect = _effect(bin_of_row, change, sides.reference[key.name], key)
        if role == "feature" and decided.comparison.level != "quiet":
            consequence = stakes.consequence(bin_of_row, change)
    expected = _expected(judged, decided)
    score = ColumnScore(
        **facts,
        status="judged",
        score=decided.comparison.score,
        chance_level=decided.comparison.chance_level,
        level=decided.comparison.level,
        expected_en=expected[0],
        expected_zh=expected[1],
        effect=effect.size if effect else None,
        effect_shift=effect.shift if effect else None,
        consequence=consequence,
        unseen_current_pct=0.0 if bins.edges is not None else 100 * float(shares_now[-1]),
        unseen_chance_pct=0.0 if bins.edges is not None else 100 * unseen_chance_level(usable_then, len(usable_now)),
        bin_labels=tuple(bins.labels),
        bin_shares_reference=tuple(float(share) for share in shares_then),
        bin_shares_current=tuple(float(share) for share in shares_now),
    )
    return score, values_then


def _expected(judged: Sequence[_Judged], decided: _Judged) -> tuple[str, str]:
    """Return what the weather explains: a move against season or year that is gone once the weather is taken out."""
    if decided.form.basis != "weather_adjusted" or decided.comparison.level != "quiet":
        return "", ""
    scores = {each.form.basis: each.comparison for each in judged if each.comparison.score is not None}
    before = scores.get("same_season", scores.get("whole_reference"))
    if before is None or before.level == "quiet":
        return "", ""
    named_en, named_zh = (
        ("its season", "同季节") if before.basis == "same_season" else ("the whole reference", "全部参考样本")
    )
    return (
        f"scores {before.score:.2f} against {named_en}, {decided.comparison.score:.2f} with the weather taken out",
        f"与{named_zh}相比得分 {before.score:.2f}，剔除天气影响后为 {decided.comparison.score:.2f}",
    )


def level_of(
    score: float, noise: float, method: NumericMethod | CategoricalMethod
) -> Literal["quiet", "drifted", "strong"]:
    """Return how far a score is beyond its limits; what chance alone could produce is always quiet."""
    if score < max(method.watch, noise):
        return "quiet"
    return "strong" if score >= method.act else "drifted"


def _bin_of_rows(bins: Bins, usable_then: "pd.Series[Any]", rows_then: "pd.Index[Any]") -> "pd.Series[int]":
    """Return the bin of each row; rows without a value are a last bin, or rare columns would look decisive."""
    bin_of_row = pd.Series(len(bins.labels), index=rows_then)
    bin_of_row.loc[usable_then.index] = bins.indices(usable_then)
    return bin_of_row


def _effect(
    bin_of_row: "pd.Series[int]",
    change_of_share: "np.ndarray[Any, np.dtype[np.float64]]",
    prediction: "pd.Series[Any]",
    key: Column,
) -> Effect | None:
    """Return the effect on the predictions of all customers."""
    known = usable_values(prediction.loc[bin_of_row.index], key.kind)
    if known.empty:
        return None
    bins_of_known = np.asarray(bin_of_row.loc[known.index], dtype=np.intp)
    return effect_on_prediction(bins_of_known, change_of_share, known, key.kind)


def _why_absent(name: str, current: CurrentRows, reference: ReferenceRows) -> tuple[str, str] | None:
    if name in current.columns_absent:
        return "no prediction row has this column", "预测记录中没有该字段"
    if name in reference.columns_absent:
        return "the reference was written before this column existed", "参考样本生成时尚无该字段"
    return None


def _why_matched(name: str, matched_by: str | None) -> tuple[str, str] | None:
    if name != matched_by:
        return None
    return (
        "most of the reference has a short history: customers are matched by it, and beyond that it can only grow",
        "参考样本多数客户历史较短：已按其匹配客户，此外该值只会增长",
    )


def _why_not_judged(
    form: Form, usable_now: "pd.Series[Any]", usable_then: "pd.Series[Any]", minimum: int
) -> tuple[str, str] | None:
    if form.why_en:
        return form.why_en, form.why_zh
    if usable_then.empty and usable_now.empty:
        return "neither the reference nor the month has a value", "参考样本与本月均没有有效值"
    if usable_then.empty:
        return "the reference has no value", "参考样本中没有有效值"
    if usable_now.empty:
        return "the month has no value", "本月没有有效值"
    if len(usable_then) < minimum:
        return (
            f"the reference has {len(usable_then)} values, {minimum} are needed",
            f"参考样本仅有 {len(usable_then)} 个有效值，至少需要 {minimum} 个",
        )
    if len(usable_now) < minimum:
        return (
            f"the month has {len(usable_now)} values, {minimum} are needed",
            f"本月仅有 {len(usable_now)} 个有效值，至少需要 {minimum} 个",
        )
    return None


def _percentage(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
