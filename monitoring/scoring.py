"""Compares every column of a month with the reference, by the policy, and ranks the columns by consequence."""

from datetime import date
from typing import Any, Literal

import numpy as np
import pandas as pd

from ml.columns import Column, by_name
from monitoring.consequences import Stakes, strain_of
from monitoring.datasets import CurrentRows, ReferenceRows, same_season, schema_columns
from monitoring.drift import (
    Bins,
    Effect,
    chance_level,
    effect_on_prediction,
    psi_of_shares,
    reference_bins,
    unseen_chance_level,
    usable_values,
)
from monitoring.policy import CategoricalMethod, DriftPolicy, NumericMethod
from monitoring.verdicts import ColumnScore

Role = Literal["feature", "prediction"]


def comparable_reference(reference: ReferenceRows, month: date, policy: DriftPolicy) -> pd.DataFrame:
    """Return the reference with the values blanked that must not be compared with this month.

    Args:
        reference: Reference sample of the release.
        month: Month under review.
        policy: Policy with the season rule.

    Returns:
        The rows; columns that follow the season keep their values only in rows of the same season.
    """
    features, predictions = schema_columns(policy.use_case)
    seasonal = [column for column in (*features, *predictions) if column.season == "same_season"]
    elsewhere = ~same_season(reference.frame, month, policy.season)
    blanked: dict[str, Any] = {
        column.name: reference.frame[column.name].mask(elsewhere, np.nan if column.kind == "numeric" else None)
        for column in seasonal
    }
    return reference.frame.assign(**blanked)


def score_columns(
    current: CurrentRows, reference: ReferenceRows, month: date, policy: DriftPolicy
) -> tuple[ColumnScore, ...]:
    """Score all columns of the use case that the policy does not ignore.

    Args:
        current: Rows of the month.
        reference: Reference sample of the release.
        month: Month under review.
        policy: Methods and limits.

    Returns:
        The scores: columns that strain a limit times their effect first, columns that were not judged last.
    """
    features, predictions = schema_columns(policy.use_case)
    key = by_name(predictions)[policy.prediction.column]
    comparable = comparable_reference(reference, month, policy)
    in_season = same_season(reference.frame, month, policy.season)
    stakes = Stakes.of(reference.frame, policy.consequences)
    roles: list[tuple[Column, Role]] = [(column, "prediction") for column in predictions]
    roles += [(column, "feature") for column in features]
    scores = [
        _score_column(column, role, current, reference, comparable, in_season, key, stakes, policy)
        for column, role in roles
        if column.name not in policy.ignored_columns
    ]
    return tuple(sorted(scores, key=lambda score: _rank(score, policy)))


def _rank(score: ColumnScore, policy: DriftPolicy) -> tuple[bool, float, float, str]:
    relative = (score.score or 0.0) / score.limit_watch
    return score.status != "judged", -strain_of(score, policy), -relative, score.column


def _score_column(
    column: Column,
    role: Role,
    current: CurrentRows,
    reference: ReferenceRows,
    comparable: pd.DataFrame,
    in_season: "pd.Series[bool]",
    key: Column,
    stakes: Stakes,
    policy: DriftPolicy,
) -> ColumnScore:
    name = column.name
    method = policy.method_for(column)
    values_now = current.frame[name]
    is_seasonal = column.season == "same_season"
    values_then = reference.frame.loc[in_season, name] if is_seasonal else reference.frame[name]
    usable_now = usable_values(values_now, column.kind)
    usable_then = usable_values(comparable[name], column.kind)
    infinite_now = len(values_now) - int(values_now.isna().sum()) - len(usable_now)
    facts: dict[str, Any] = {
        "column": name,
        "role": role,
        "kind": column.kind,
        "limit_watch": method.watch,
        "limit_act": method.act,
        "is_important": name in policy.important_columns or name == key.name,
        "is_seasonal": is_seasonal,
        "rows_reference": len(usable_then),
        "rows_current": len(usable_now),
        "missing_reference_pct": _percentage(int(values_then.isna().sum()), len(values_then)),
        "missing_current_pct": _percentage(int(values_now.isna().sum()), len(values_now)),
        "infinite_current_pct": _percentage(infinite_now, len(values_now)),
    }
    if why := _why_not_judged(column, current, reference, usable_now, usable_then, in_season, policy):
        return ColumnScore(**facts, status="not_judged", why_en=why[0], why_zh=why[1])
    bins = reference_bins(
        usable_then, column.kind, bins=policy.numeric.bins, rare_share_pct=policy.categorical.rare_share_pct
    )
    shares_then, shares_now = bins.shares(usable_then), bins.shares(usable_now)
    score = psi_of_shares(shares_then, shares_now)
    noise = chance_level(bins.count, len(usable_then), len(usable_now))
    level = level_of(score, noise, method)
    effect = consequence = None
    if name != key.name:
        present_then, present_now = len(usable_then) / len(values_then), len(usable_now) / len(values_now)
        change = np.append(shares_now * present_now - shares_then * present_then, present_then - present_now)
        bin_of_row = _bin_of_rows(bins, usable_then, values_then.index)
        effect = _effect(bin_of_row, change, comparable[key.name], key)
        if role == "feature" and level != "quiet":
            consequence = stakes.consequence(bin_of_row, change)
    return ColumnScore(
        **facts,
        status="judged",
        score=score,
        chance_level=noise,
        level=level,
        effect=effect.size if effect else None,
        effect_shift=effect.shift if effect else None,
        consequence=consequence,
        unseen_current_pct=0.0 if bins.edges is not None else 100 * float(shares_now[-1]),
        unseen_chance_pct=0.0 if bins.edges is not None else 100 * unseen_chance_level(usable_then, len(usable_now)),
        bin_labels=tuple(bins.labels),
        bin_shares_reference=tuple(float(share) for share in shares_then),
        bin_shares_current=tuple(float(share) for share in shares_now),
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


def _why_not_judged(
    column: Column,
    current: CurrentRows,
    reference: ReferenceRows,
    usable_now: "pd.Series[Any]",
    usable_then: "pd.Series[Any]",
    in_season: "pd.Series[bool]",
    policy: DriftPolicy,
) -> tuple[str, str] | None:
    name = column.name
    if name in current.columns_absent:
        return "no prediction row has this column", "预测记录中没有该字段"
    if name in reference.columns_absent:
        return "the reference was written before this column existed", "参考样本生成时尚无该字段"
    if column.season == "same_season" and not in_season.any():
        return "no same season in the reference", "参考样本中没有同季节数据"
    if usable_then.empty and usable_now.empty:
        return "neither the reference nor the month has a value", "参考样本与本月均没有有效值"
    if usable_then.empty:
        return "the reference has no value", "参考样本中没有有效值"
    if usable_now.empty:
        return "the month has no value", "本月没有有效值"
    minimum = policy.minimum.column_rows
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
