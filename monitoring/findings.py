"""Turns scores into findings: what was seen, what it means for decisions, in sentences of two languages.

The order of the findings is the order in which a model owner should read them. A finding says which limit of the
policy it met; nothing is called stable here that could not be judged.
"""

from collections.abc import Iterator, Sequence

from ml.columns import Column
from ml.wording import plural
from monitoring.column_words import NAMED_COLUMNS, ColumnWords, was
from monitoring.consequences import leading_columns
from monitoring.datasets import CurrentRows, ReferenceRows
from monitoring.late_findings import late_label_reasons
from monitoring.late_labels import LateLabels
from monitoring.policy import DriftPolicy, Limit
from monitoring.season_findings import history_reasons, weather_reasons
from monitoring.section_findings import concept_reasons, importance_reasons, quality_reasons
from monitoring.sections import ConceptDrift, DataQuality, ImportanceShift
from monitoring.verdicts import (
    DECISION_WORDS,
    MONEY_WORDS,
    ColumnScore,
    HistoryShift,
    MonthWeather,
    PerformanceResult,
    Reason,
    Severity,
)

_READING_ORDER: dict[Severity, int] = {"act": 0, "watch": 1, "unknown": 2, "info": 3}


def find_reasons(
    current: CurrentRows,
    reference: ReferenceRows,
    scores: Sequence[ColumnScore],
    performance: PerformanceResult | None,
    policy: DriftPolicy,
    *,
    quality: DataQuality,
    importance: ImportanceShift | None = None,
    concept: ConceptDrift | None = None,
    late: LateLabels | None = None,
    weather: MonthWeather | None = None,
    history: HistoryShift | None = None,
) -> tuple[Reason, ...]:
    """Collect all findings of a month, the most urgent first.

    Args:
        current: Rows of the month.
        reference: Reference sample.
        scores: Scores of all columns; empty if there were too few rows to compare.
        performance: Comparison with outcomes, if some have become known.
        policy: Limits.
        quality: What the reading of the rows found.
        importance: Which columns drive the predictions, if there were enough rows.
        concept: Residuals by group, if outcomes have become known.
        late: What became of earlier predictions, and what is estimated of this month's.
        weather: Weather of the month, where it is known.
        history: Lengths of history of both sides, if there were enough rows.
    """
    found = [*quality_reasons(quality, policy.quality), *_rows(current, reference, policy)]
    if history is not None:
        found += history_reasons(history, policy)
    if late is not None:
        found += late_label_reasons(late, policy)
    words = ColumnWords(policy.use_case)
    if scores:
        found += [
            *_prediction(scores, words, policy),
            *_performance(performance, policy),
            *concept_reasons(concept, policy.concept),
            *_inputs(quality, scores, words, policy),
            *_columns(scores, words, policy),
            *importance_reasons(importance, words, policy.importance),
            *_drifted_share(scores, policy),
            *weather_reasons(scores, words, weather),
            *_not_judged(scores, words, policy),
        ]
    ordered = sorted(found, key=lambda reason: _READING_ORDER[reason.severity])
    if scores and all(reason.severity == "info" for reason in ordered):
        ordered.insert(0, _all_quiet(scores, words, policy))
    return tuple(ordered)


def severity_of(value: float, limit: Limit) -> Severity:
    """Return what a value leads to under a limit."""
    if value >= limit.act:
        return "act"
    return "watch" if value >= limit.watch else "info"


def _rows(current: CurrentRows, reference: ReferenceRows, policy: DriftPolicy) -> Iterator[Reason]:
    needed = policy.minimum.rows
    found = len(current.frame)
    if found < needed:
        elsewhere_en = elsewhere_zh = ""
        if current.rows_of_other_releases:
            elsewhere_en = (
                f" Another {plural(current.rows_of_other_releases, 'row')} "
                f"{was(current.rows_of_other_releases)} predicted by other releases."
            )
            elsewhere_zh = f"另有 {current.rows_of_other_releases:,} 条由其他发布版本预测。"
        yield Reason(
            code="too_few_rows",
            severity="unknown",
            sentence_en=f"The month has {plural(found, 'customer')} predicted by this release; {needed:,} are needed "
            f"to judge it.{elsewhere_en}",
            sentence_zh=f"本月由该版本预测的客户仅 {found:,} 个，至少需要 {needed:,} 个才能判断。{elsewhere_zh}",
        )
    if len(reference.frame) < needed:
        yield Reason(
            code="too_small_reference",
            severity="unknown",
            sentence_en=f"The reference of the release has {plural(len(reference.frame), 'row')}; {needed:,} are "
            "needed.",
            sentence_zh=f"该版本的参考样本仅 {len(reference.frame):,} 行，至少需要 {needed:,} 行。",
        )


def _prediction(scores: Sequence[ColumnScore], words: ColumnWords, policy: DriftPolicy) -> Iterator[Reason]:
    key = next(score for score in scores if score.column == policy.prediction.column)
    if key.score is None:
        yield Reason(
            code="prediction_not_judged",
            severity="unknown",
            sentence_en=f"The predictions could not be compared: {words.en(key.column)}: {key.why_en}.",
            sentence_zh=f"无法比较预测结果：{words.zh(key.column)}：{key.why_zh}。",
            column=key.column,
        )
        return
    if key.level == "quiet":
        return
    severity = severity_of(key.score, policy.prediction)
    limit = policy.prediction.act if severity == "act" else policy.prediction.watch
    moved_en, moved_zh = _largest_move(key)
    leading_en = leading_zh = ""
    if leading := leading_columns(scores, policy):
        names_en, names_zh = words.listed(leading)
        leading_en = f" Of what the model reads, these matter most for decisions and money: {names_en}."
        leading_zh = f"模型输入中对决策与金额影响最大的是：{names_zh}。"
    yield Reason(
        code="prediction_drift",
        severity=severity,
        sentence_en=f"The predictions have moved: {words.en(key.column)} scores {key.score:.2f} (limit {limit:g}); "
        f"{moved_en}.{leading_en}",
        sentence_zh=f"预测结果发生偏移：{words.zh(key.column)}得分 {key.score:.2f}（阈值 {limit:g}）；{moved_zh}。"
        f"{leading_zh}",
        column=key.column,
    )


def _performance(performance: PerformanceResult | None, policy: DriftPolicy) -> Iterator[Reason]:
    rule = policy.performance
    if rule is None:
        return
    if performance is None:
        yield Reason(
            code="performance_unknown",
            severity="info",
            sentence_en="How well the predictions came true is not judged: too few outcomes are known of months that "
            "the model had not seen.",
            sentence_zh="预测准确性未作判断：模型未见过的月份中，已知结果太少。",
        )
        return
    first, last = f"{performance.months[0]:%Y-%m}", f"{performance.months[-1]:%Y-%m}"
    known = f"{performance.rows:,} outcomes of {first if first == last else f'{first} to {last}'}"
    known_zh = f"{first if first == last else f'{first} 至 {last}'} 的 {performance.rows:,} 个结果"
    promised, drop = performance.auc_at_release, performance.auc_drop
    if promised is not None and drop is not None:
        # A drop that the errors of both figures allow is not evidence.
        severity = severity_of(drop, rule.auc_drop) if drop > performance.auc_drop_chance else "info"
        interval = ""
        if performance.auc_release_lower is not None and performance.auc_release_upper is not None:
            interval = f"{performance.auc_release_lower:.3f} to {performance.auc_release_upper:.3f}"
        interval_en, interval_zh = (
            (f" ({interval})", f"（{interval.replace(' to ', ' 至 ')}）") if interval else ("", "")
        )
        yield Reason(
            code="performance",
            severity=severity,
            sentence_en=f"On {known} the AUC is {performance.auc:.3f} "
            f"({performance.auc_lower:.3f} to {performance.auc_upper:.3f}); {promised:.3f}{interval_en} at release.",
            sentence_zh=f"按{known_zh}，AUC 为 {performance.auc:.3f}"
            f"（{performance.auc_lower:.3f} 至 {performance.auc_upper:.3f}），发布时为 {promised:.3f}{interval_zh}。",
        )
    by_chance = performance.calibration_chance or 0.0
    yield Reason(
        code="calibration",
        # What right probabilities would give as well, with as few outcomes, is not evidence.
        severity=severity_of(performance.calibration_error, rule.calibration_error)
        if performance.calibration_error > by_chance
        else "info",
        sentence_en=f"Predicted {100 * performance.mean_predicted:.1f} %, observed "
        f"{100 * performance.mean_observed:.1f} % on {known}; calibration error {performance.calibration_error:.3f} "
        f"(limit {rule.calibration_error.watch:g}).",
        sentence_zh=f"按{known_zh}，预测违约率 {100 * performance.mean_predicted:.1f} %，实际 "
        f"{100 * performance.mean_observed:.1f} %，校准误差 {performance.calibration_error:.3f}"
        f"（阈值 {rule.calibration_error.watch:g}）。",
    )


def _inputs(
    quality: DataQuality, scores: Sequence[ColumnScore], words: ColumnWords, policy: DriftPolicy
) -> Iterator[Reason]:
    """Findings about broken columns, which are more urgent than moved ones."""
    for score in scores:
        name = score.column
        name_en, name_zh = words.en(name), words.zh(name)
        if name in quality.columns_vanished:
            yield Reason(
                code="column_vanished",
                severity="act",
                sentence_en=f"{name_en} has vanished: no prediction row of the month has this column.",
                sentence_zh=f"{name_zh}字段消失：本月预测记录中均无该字段。",
                column=name,
            )
            continue
        if name in quality.columns_retyped:
            yield Reason(
                code="column_retyped",
                severity="act",
                sentence_en=f"{name_en} has changed its type: {quality.columns_retyped[name]} where a "
                f"{'number' if score.kind == 'numeric' else 'category'} is expected.",
                sentence_zh=f"{name_zh}类型改变：应为{'数值' if score.kind == 'numeric' else '类别'}，"
                f"实为 {quality.columns_retyped[name]}。",
                column=name,
            )
        rise = score.missing_current_pct - score.missing_reference_pct
        severity = "act" if _was_emptied(score, policy) else severity_of(rise, policy.missing_rise_pct)
        if severity != "info":
            yield Reason(
                code="missing_rise",
                severity=severity,
                sentence_en=f"{name_en} is missing in {score.missing_current_pct:.0f} % of the rows; "
                f"{score.missing_reference_pct:.0f} % in the reference.",
                sentence_zh=f"{name_zh}缺失率 {score.missing_current_pct:.0f} %，参考样本为 "
                f"{score.missing_reference_pct:.0f} %。",
                column=name,
            )
        if (severity := severity_of(score.infinite_current_pct, policy.infinite_pct)) != "info":
            infinite = score.infinite_current_pct
            share = f"{infinite:.0f}" if infinite >= 10 else f"{infinite:.2g}"
            yield Reason(
                code="infinite_values",
                severity=severity,
                sentence_en=f"{name_en} is infinite in {share} % of the rows, which points to a division by zero.",
                sentence_zh=f"{name_zh}有 {share} % 为无穷大，可能存在除零错误。",
                column=name,
            )
        severity = severity_of(score.unseen_current_pct, policy.unseen_pct)
        # A small reference lacks categories by chance alone.
        if severity != "info" and score.unseen_current_pct > score.unseen_chance_pct:
            yield Reason(
                code="unseen_categories",
                severity=severity,
                sentence_en=f"{name_en} has categories that the reference lacks, in {score.unseen_current_pct:.1f} % "
                "of the rows.",
                sentence_zh=f"{name_zh}出现参考样本中没有的类别，占 {score.unseen_current_pct:.1f} %。",
                column=name,
            )
        if name in quality.columns_constant:
            yield Reason(
                code="column_constant",
                severity="watch",
                sentence_en=f"{name_en} has the same value in every row; it varied in the reference.",
                sentence_zh=f"{name_zh}所有记录取值相同，而参考样本中并非如此。",
                column=name,
            )


def _was_emptied(score: ColumnScore, policy: DriftPolicy) -> bool:
    """Tell whether a column that had enough values to be judged has none left, however few rows had one before."""
    return score.rows_reference >= policy.minimum.column_rows and score.missing_current_pct == 100


def _columns(scores: Sequence[ColumnScore], words: ColumnWords, policy: DriftPolicy) -> Iterator[Reason]:
    """Findings about columns whose move matters: named as important, or with an effect on the prediction."""
    key = words.columns[policy.prediction.column]
    matters = [
        (score, _consequence(score, policy))
        for score in scores
        if score.level in ("drifted", "strong") and score.role == "feature"
    ]
    named = [(score, severity) for score, severity in matters if severity != "info"]
    for score, severity in named[:NAMED_COLUMNS]:
        moved_en, moved_zh = _largest_move(score)
        effect_en, effect_zh = _effect_words(score, key, policy.use_case)
        yield Reason(
            code="column_drift",
            severity=severity,
            sentence_en=f"{words.en(score.column)} scores {score.score:.2f} "
            f"(limit {score.limit_watch:g}); {moved_en}{effect_en}.",
            sentence_zh=f"{words.zh(score.column)}得分 {score.score:.2f}"
            f"（阈值 {score.limit_watch:g}）；{moved_zh}{effect_zh}。",
            column=score.column,
        )
    for score, severity in named[NAMED_COLUMNS:]:
        yield Reason(
            code="column_drift",
            severity=severity,
            sentence_en=f"{words.en(score.column)} has drifted too, with a score of {score.score:.2f}.",
            sentence_zh=f"{words.zh(score.column)}也有偏移，得分 {score.score:.2f}。",
            column=score.column,
        )


def _consequence(score: ColumnScore, policy: DriftPolicy) -> Severity:
    """Return what a move leads to: the worst of its effect on predictions, decisions and money.

    Only a column that moved strongly can lead to act.
    """
    found = {severity_of(score.effect or 0.0, policy.effect)}
    if score.consequence is not None:
        rule = policy.consequences
        found.add(severity_of(score.consequence.decisions_evidence_pct, rule.decisions_changed_pct))
        found.add(severity_of(score.consequence.money_evidence_pct, rule.money_change_pct))
    if "act" in found and score.level == "strong":
        return "act"
    return "watch" if score.is_important or found != {"info"} else "info"


def _drifted_share(scores: Sequence[ColumnScore], policy: DriftPolicy) -> Iterator[Reason]:
    judged = [score for score in scores if score.level is not None]
    drifted = [score for score in judged if score.level != "quiet"]
    if not drifted:
        return
    share = 100 * len(drifted) / len(judged)
    severity = severity_of(share, policy.drifted_share_pct)
    limit = policy.drifted_share_pct.act if severity == "act" else policy.drifted_share_pct.watch
    yield Reason(
        code="drifted_share",
        severity=severity,
        sentence_en=f"{len(drifted)} of {len(judged)} judged columns {'has' if len(drifted) == 1 else 'have'} drifted "
        f"({share:.0f} %; limit {limit:g} %).",
        sentence_zh=f"{len(judged)} 个已判断字段中有 {len(drifted)} 个偏移（{share:.0f} %，阈值 {limit:g} %）。",
    )


def _not_judged(scores: Sequence[ColumnScore], words: ColumnWords, policy: DriftPolicy) -> Iterator[Reason]:
    unjudged = [score for score in scores if score.status == "not_judged"]
    if not unjudged:
        return
    # What this supplier never delivers is no ignorance about the month.
    comparable_count = sum(not score.is_empty_as_before for score in scores)
    unknown_count = sum(not score.is_empty_as_before for score in unjudged)
    judged_share = 100 * (1 - unknown_count / comparable_count) if comparable_count else 0
    by_reason: dict[tuple[str, str], list[str]] = {}
    for score in unjudged:
        by_reason.setdefault((score.why_en, score.why_zh), []).append(score.column)
    for (why_en, why_zh), members in by_reason.items():
        listed_en, listed_zh = words.listed(members)
        yield Reason(
            code="columns_not_judged",
            severity="info",
            sentence_en=f"{plural(len(members), 'column')} {was(len(members))} not judged: {why_en} ({listed_en}).",
            sentence_zh=f"{len(members)} 个字段未作判断：{why_zh}（{listed_zh}）。",
        )
    important = [
        score.column
        for score in unjudged
        if score.column in policy.important_columns and not (score.is_empty_as_before or score.is_seasonal)
    ]
    if important:
        listed_en, listed_zh = words.listed(important)
        yield Reason(
            code="important_not_judged",
            severity="unknown",
            sentence_en=f"What the policy calls important could not be judged: {listed_en}.",
            sentence_zh=f"规则列为重要的字段未能判断：{listed_zh}。",
        )
    if judged_share < policy.minimum.judged_share_pct:
        yield Reason(
            code="too_few_columns",
            severity="unknown",
            sentence_en=f"Only {judged_share:.0f} % of the columns could be judged; "
            f"{policy.minimum.judged_share_pct:g} % are needed to call a month stable.",
            sentence_zh=f"仅 {judged_share:.0f} % 的字段可以判断，"
            f"至少需要 {policy.minimum.judged_share_pct:g} % 才能判为稳定。",
        )


def _all_quiet(scores: Sequence[ColumnScore], words: ColumnWords, policy: DriftPolicy) -> Reason:
    judged = [score for score in scores if score.score is not None]
    top = max(judged, key=lambda score: (score.score or 0.0) / _counts_from(score))
    key = next(score for score in scores if score.column == policy.prediction.column)
    drifted = sum(score.level != "quiet" for score in judged)
    if drifted:
        limit_en, limit_zh = _limit_words(key)
        return Reason(
            code="within_limits",
            severity="info",
            sentence_en=f"Predictions and important columns are within their limits: {words.only_en(key.column)} "
            f"scores {key.score:.2f}, {limit_en}; {drifted} of {len(judged)} columns moved without consequence.",
            sentence_zh=f"预测结果与重要字段均在阈值以内：{words.only_zh(key.column)}得分 {key.score:.2f}，"
            f"{limit_zh}；{len(judged)} 个字段中有 {drifted} 个偏移，但无明显影响。",
        )
    limit_en, limit_zh = _limit_words(top)
    return Reason(
        code="within_limits",
        severity="info",
        sentence_en=f"All {len(judged)} judged columns are within their limits; nearest to its own is "
        f"{words.only_en(top.column)} with a score of {top.score:.2f}, {limit_en}.",
        sentence_zh=f"{len(judged)} 个已判断字段均在阈值以内；最接近阈值的是{words.only_zh(top.column)}，"
        f"得分 {top.score:.2f}，{limit_zh}。",
    )


def _counts_from(score: ColumnScore) -> float:
    """Return the score from which a column counts as drifted: the limit, or what chance reaches if that is more."""
    return max(score.limit_watch, score.chance_level or 0.0)


def _limit_words(score: ColumnScore) -> tuple[str, str]:
    if _counts_from(score) > score.limit_watch:
        return (
            f"where chance alone explains up to {_counts_from(score):.2f}",
            f"{_counts_from(score):.2f} 以内可由偶然解释",
        )
    return f"limit {score.limit_watch:g}", f"阈值 {score.limit_watch:g}"


def _largest_move(score: ColumnScore) -> tuple[str, str]:
    changes = [now - then for now, then in zip(score.bin_shares_current, score.bin_shares_reference, strict=True)]
    place = max(range(len(changes)), key=lambda number: abs(changes[number]))
    label = score.bin_labels[place]
    then, now = 100 * score.bin_shares_reference[place], 100 * score.bin_shares_current[place]
    return (
        f"the share of “{label}” went from {then:.1f} % to {now:.1f} %",
        f"“{label}”的占比由 {then:.1f} % 变为 {now:.1f} %",
    )


def _effect_words(score: ColumnScore, key: Column, use_case: str) -> tuple[str, str]:
    """Return what the move by itself does to prediction, decisions and money."""
    parts = [*_shift_words(score, key), *_consequence_words(score, use_case)]
    if not parts:
        return "", ""
    english = [en for en, _ in parts]
    listed = ", ".join(english[:-1]) + " and " + english[-1] if len(english) > 1 else english[0]
    return f"; by itself this {listed}", "；仅此一项会" + "，".join(zh for _, zh in parts)


def _shift_words(score: ColumnScore, key: Column) -> Iterator[tuple[str, str]]:
    if score.effect_shift is None:
        return
    if key.maximum == 1:
        shift = f"{100 * score.effect_shift:+.2f}"
        yield f"moves the mean prediction by {shift} percentage points", f"使预测均值变动 {shift} 个百分点"
    else:
        shift = f"{score.effect_shift:+,.4g}"
        yield f"moves the mean prediction by {shift}", f"使预测均值变动 {shift}"


def _consequence_words(score: ColumnScore, use_case: str) -> Iterator[tuple[str, str]]:
    consequence = score.consequence
    if consequence is None:
        return
    if consequence.decisions_evidence_pct:
        decision, decision_zh = DECISION_WORDS[use_case]
        share = f"{consequence.decisions_changed_pct:.1f} %"
        yield f"changes the {decision} of {share} of the customers", f"改变 {share} 客户的{decision_zh}"
    if consequence.money_change_pct is not None and consequence.money_evidence_pct:
        money, money_zh = MONEY_WORDS[consequence.money_kind]
        change = f"{consequence.money_change_pct:+.1f} %"
        yield f"changes the {money} by {change}", f"使{money_zh}变动 {change}"
