"""Findings about outcomes that come late: estimates and their record, arrears, advice against bills, moved segments."""

from collections.abc import Iterator

from monitoring.late_labels import LateLabels
from monitoring.outcomes import (
    Estimated,
    EstimateRecord,
    PerformanceEstimate,
    SegmentStability,
    TariffCohort,
    VintageResult,
)
from monitoring.policy import DriftPolicy, EstimateRule, Limit, SegmentStabilityRule, TariffOutcomeRule, VintageRule
from monitoring.verdicts import Reason, Severity


def late_label_reasons(late: LateLabels, policy: DriftPolicy) -> Iterator[Reason]:
    """Yield what the outcomes say, each finding held against the limits of the policy.

    Args:
        late: What is known of outcomes, and what is estimated.
        policy: Limits; a use case without a rule has no finding.
    """
    if policy.vintages is not None and late.vintage is not None:
        yield _vintage(late.vintage, policy.vintages)
    if policy.estimates is not None and late.estimate is not None:
        yield _default_rate(late.estimate, policy.estimates)
        auc, promised = late.estimate.auc, late.estimate.auc_at_release
        if auc is not None and promised is not None:
            yield _auc(auc, promised, late.estimate.auc_release_lower or promised, policy.estimates)
    if policy.estimates is not None and late.estimate_record is not None:
        yield _record(late.estimate_record, policy.estimates)
    if policy.tariff_outcomes is not None:
        for cohort in late.tariff_outcomes:
            yield from _cohort(cohort, policy.tariff_outcomes)
    if policy.segment_stability is not None and late.segment_stability is not None:
        yield _segments(late.segment_stability, policy.segment_stability)


def _severity(value: float, limit: Limit) -> Severity:
    if value >= limit.act:
        return "act"
    return "watch" if value >= limit.watch else "info"


def _vintage(result: VintageResult, rule: VintageRule) -> Reason:
    share = result.point.customers_pct()
    # What the vintages before differ by among themselves is no finding, however large the ratio.
    is_unusual = share > result.upper_pct and result.ratio is not None
    months, days = result.point.months_since, 30
    return Reason(
        code="vintage",
        severity=_severity(result.ratio or 0.0, rule.ratio) if is_unusual else "info",
        sentence_en=f"Of the customers of {result.point.month:%Y-%m}, {share:.1f} % have fallen {days} days past due "
        f"within {months} months; {result.usual_pct:.1f} % of {result.vintages} earlier vintages at that age, and "
        f"above {result.upper_pct:.1f} % only once in a thousand months.",
        sentence_zh=f"{result.point.month:%Y-%m} 的客户中，{months} 个月内有 {share:.1f} % 逾期满 {days} 天；"
        f"此前 {result.vintages} 个月份同龄时平均为 {result.usual_pct:.1f} %，"
        f"超过 {result.upper_pct:.1f} % 的情况千月一遇。",
    )


def _default_rate(told: PerformanceEstimate, rule: EstimateRule) -> Reason:
    rate, promised = told.default_rate, told.default_rate_at_release
    severity: Severity = "info"
    known_en = known_zh = ""
    if promised:
        # A rise that the intervals of both figures allow to be none is no evidence.
        is_risen = rate.lower > (told.default_rate_release_upper or promised)
        severity = _severity(rate.value / promised, rule.default_rate_ratio) if is_risen else "info"
        known_en, known_zh = f"; {100 * promised:.1f} % at release", f"；发布时为 {100 * promised:.1f} %"
    return Reason(
        code="estimate_default_rate",
        severity=severity,
        sentence_en=f"Until the outcomes are known: {100 * rate.value:.1f} % of the customers will default "
        f"({100 * rate.lower:.1f} to {100 * rate.upper:.1f} % in {told.coverage_pct:g} of 100 months){known_en}.",
        sentence_zh=f"结果揭晓前的估计：{100 * rate.value:.1f} % 的客户将违约（{told.coverage_pct:g} % 的月份在 "
        f"{100 * rate.lower:.1f} 至 {100 * rate.upper:.1f} % 之间）{known_zh}。",
    )


def _auc(auc: Estimated, promised: float, promised_lower: float, rule: EstimateRule) -> Reason:
    return Reason(
        code="estimate_auc",
        severity=_severity(promised - auc.value, rule.auc_drop) if auc.upper < promised_lower else "info",
        sentence_en=f"Until the outcomes are known: the AUC will be {auc.value:.3f} ({auc.lower:.3f} to "
        f"{auc.upper:.3f} in {rule.coverage_pct:g} of 100 months); {promised:.3f} at release.",
        sentence_zh=f"结果揭晓前的估计：AUC 将为 {auc.value:.3f}（{rule.coverage_pct:g} % 的月份在 {auc.lower:.3f} 至 "
        f"{auc.upper:.3f} 之间），发布时为 {promised:.3f}。",
    )


def _record(record: EstimateRecord, rule: EstimateRule) -> Reason:
    outside_pct = 100 * (1 - record.default_rate_inside / record.months)
    # Months whose outcome windows overlap miss together: one bad half-year is no proof that intervals are too narrow.
    is_evidence = record.months >= rule.record_months and outside_pct > record.outside_chance_pct
    return Reason(
        code="estimate_record",
        severity=_severity(outside_pct, rule.outside_pct) if is_evidence else "info",
        sentence_en=f"Of {record.months} months estimated before their outcomes were known, the default rate came "
        f"inside the stated interval in {record.default_rate_inside}, the AUC in {record.auc_inside}; "
        f"{record.stated_pct:g} % is stated.",
        sentence_zh=f"在 {record.months} 个事先作出估计的月份中，违约率落在所述区间内的有 "
        f"{record.default_rate_inside} 个，AUC 有 {record.auc_inside} 个；所述比例为 {record.stated_pct:g} %。",
    )


def _cohort(cohort: TariffCohort, rule: TariffOutcomeRule) -> Iterator[Reason]:
    share, worse, inside = cohort.realised_share_pct, cohort.worse_off_pct, cohort.inside_pct
    if cohort.customers_judged < rule.minimum_customers or share is None or worse is None or inside is None:
        return
    is_old_enough = cohort.months_since >= rule.minimum_months
    # What as many customers of such sizes would give by chance is no evidence.
    is_short, is_missed = 100 - share > (cohort.saving_chance_pct or 0.0), 100 - inside > cohort.outside_chance_pct
    of_saving: Severity = _severity(100 - share, rule.shortfall_pct) if is_short else "info"
    of_worse = _severity(worse, rule.worse_off_pct)
    worst = max(of_saving, of_worse, key=("info", "watch", "act").index)
    since_en = f"{cohort.months_since} month{'' if cohort.months_since == 1 else 's'}"
    yield Reason(
        code="tariff_saving",
        severity=worst if is_old_enough else "info",
        sentence_en=f"The advice of {cohort.month:%Y-%m} has come to {share:.0f} % of the saving it promised for the "
        f"{since_en} since, by the bills of {cohort.customers_judged:,} customers; it saved nothing for {worse:.1f} %.",
        sentence_zh=f"{cohort.month:%Y-%m} 的建议在其后 {cohort.months_since} 个月实现了所承诺节省额的 {share:.0f} %"
        f"（按 {cohort.customers_judged:,} 个客户的电费计算）；{worse:.1f} % 的客户没有节省。",
    )
    yield Reason(
        code="tariff_coverage",
        severity=_severity(100 - inside, rule.outside_pct) if is_old_enough and is_missed else "info",
        sentence_en=f"{inside:.0f} % of the savings since the advice of {cohort.month:%Y-%m} lie inside the stated "
        f"interval; {cohort.coverage_pct:g} % is stated.",
        sentence_zh=f"{cohort.month:%Y-%m} 的建议中，{inside:.0f} % 的节省额落在所述区间内；"
        f"所述比例为 {cohort.coverage_pct:g} %。",
    )


def _segments(stability: SegmentStability, rule: SegmentStabilityRule) -> Reason:
    # Two releases divide customers differently on purpose; the page of the segments tells of that.
    can_judge = stability.is_same_release and stability.customers >= rule.minimum_customers
    other_en = "" if stability.is_same_release else ", which another release assigned"
    other_zh = "" if stability.is_same_release else "（上月由其他版本分群）"
    return Reason(
        code="segment_stability",
        severity=_severity(stability.moved_pct, rule.moved_pct) if can_judge else "info",
        sentence_en=f"{stability.moved_pct:.1f} % of {stability.customers:,} customers are in another segment than in "
        f"the month before{other_en} (limit {rule.moved_pct.watch:g} %).",
        sentence_zh=f"{stability.customers:,} 个客户中有 {stability.moved_pct:.1f} % 与上月不在同一客群{other_zh}"
        f"（阈值 {rule.moved_pct.watch:g} %）。",
    )
