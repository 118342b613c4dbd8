"""Findings about the rows as a whole: how they were read, what drives the predictions, and for whom these are wrong."""

from collections.abc import Iterator

from ml.wording import plural
from monitoring.column_words import NAMED_COLUMNS, ColumnWords, was
from monitoring.policy import ConceptRule, ImportanceRule, QualityRule
from monitoring.quality import lost_files_pct, lost_rows_pct
from monitoring.sections import ColumnImportance, ConceptDrift, DataQuality, GroupResidual, ImportanceShift
from monitoring.verdicts import Reason

_DIMENSION_WORDS = {
    "customer_class": ("class", "类别"),
    "district": ("district", "区域"),
    "segment": ("segment", "分群"),
}


def quality_reasons(quality: DataQuality, rule: QualityRule) -> Iterator[Reason]:
    """Say what was lost, repeated or unknown while the rows were read."""
    yield from _lost(quality, rule)
    if quality.rows_zone_assumed:
        count = quality.rows_zone_assumed
        yield Reason(
            code="times_without_zone",
            severity="info",
            sentence_en=f"{plural(count, 'row')} of the log {was(count)} dated by a time without time zone, which was "
            "read as UTC: near the turn of the month it may be the wrong month.",
            sentence_zh=f"有 {count:,} 条记录的时间没有时区，按 UTC 处理；临近月末的记录可能归错月份。",
        )
    if quality.rows_duplicated:
        count = quality.rows_duplicated
        yield Reason(
            code="rows_duplicated",
            severity="watch" if quality.duplicated_pct >= rule.duplicated_pct else "info",
            sentence_en=f"{plural(count, 'duplicated row')} of the log {was(count)} left out "
            f"({quality.duplicated_pct:.1f} % of the rows; limit {rule.duplicated_pct:g} %).",
            sentence_zh=f"已剔除 {count:,} 条重复记录（占 {quality.duplicated_pct:.1f} %，"
            f"阈值 {rule.duplicated_pct:g} %）。",
        )
    if quality.rows_superseded:
        count = quality.rows_superseded
        yield Reason(
            code="rows_superseded",
            severity="info",
            sentence_en=f"{plural(count, 'earlier decision')} about the same customers {was(count)} left out: each "
            "customer counts once, with the latest.",
            sentence_zh=f"同一客户只计最近一次决策，已略去较早的 {count:,} 条。",
        )
    if quality.rows_of_other_releases and quality.rows_read:
        count = quality.rows_of_other_releases
        yield Reason(
            code="rows_of_other_releases",
            severity="info",
            sentence_en=f"Another {plural(count, 'row')} of the month {was(count)} predicted by other releases, whose "
            "own reviews judge them.",
            sentence_zh=f"本月另有 {count:,} 条由其他发布版本预测，由各自的评审判断。",
        )
    if quality.columns_appeared:
        count = len(quality.columns_appeared)
        listed = ", ".join(quality.columns_appeared[:NAMED_COLUMNS])
        yield Reason(
            code="columns_unknown",
            severity="info",
            sentence_en=f"The log holds {plural(count, 'column')} that the schema does not know ({listed}); "
            f"{'it was' if count == 1 else 'they were'} not compared.",
            sentence_zh=f"记录中有 {count} 个字段不在模型字段表中（{listed}），未参与比较。",
        )


def _lost(quality: DataQuality, rule: QualityRule) -> Iterator[Reason]:
    if quality.files_unreadable:
        count = len(quality.files_unreadable)
        listed = ", ".join(quality.files_unreadable[:NAMED_COLUMNS])
        batch_en = batch_zh = ""
        if quality.batch_files_unreadable:
            batch_en = " The month's batch predictions are among them, so that what is left is not the month."
            batch_zh = "其中包括本月的批量预测，剩余数据不能代表本月。"
        # One torn file is what a server leaves behind that was stopped hard, however few files there are.
        are_many = count > 1 and lost_files_pct(quality) >= rule.lost_pct
        is_unknown = quality.batch_files_unreadable or are_many
        yield Reason(
            code="files_unreadable",
            severity="unknown" if is_unknown else "info",
            sentence_en=f"{plural(count, 'prediction file')} could not be read and {was(count)} left out: {listed}."
            f"{batch_en}",
            sentence_zh=f"有 {count} 个预测文件无法读取，已跳过：{listed}。{batch_zh}",
        )
    if quality.rows_undated:
        share = lost_rows_pct(quality)
        yield Reason(
            code="rows_undated",
            severity="unknown" if share >= rule.lost_pct else "info",
            sentence_en=f"{plural(quality.rows_undated, 'row')} of no month {was(quality.rows_undated)} left out "
            f"({share:.1f} %; limit {rule.lost_pct:g} %): the as-of month is not the first day of one, or there is "
            "neither month nor readable time.",
            sentence_zh=f"有 {quality.rows_undated:,} 条记录不属于任何月份，已略去（占 {share:.1f} %，"
            f"阈值 {rule.lost_pct:g} %）：数据月份不是某月第一天，或既无月份也无可读时间。",
        )


def importance_reasons(shift: ImportanceShift | None, words: ColumnWords, rule: ImportanceRule) -> Iterator[Reason]:
    """Say that other columns drive the predictions than at release."""
    if shift is None or shift.moved_share < max(rule.watch, shift.chance_level or 0):
        return
    risen = max(shift.columns, key=lambda column: column.share_current - column.share_reference)
    fallen = min(shift.columns, key=lambda column: column.share_current - column.share_reference)
    yield Reason(
        code="importance_shift",
        severity="watch",
        sentence_en=f"Other columns drive the predictions than at release: {100 * shift.moved_share:.0f} % of the "
        f"importance has moved (limit {100 * rule.watch:g} %), most to {words.en(risen.column)}: {_shares(risen)}, and "
        f"most from {words.en(fallen.column)}: {_shares(fallen)}.",
        sentence_zh=f"影响预测的字段与发布时不同：{100 * shift.moved_share:.0f} % 的重要性发生转移"
        f"（阈值 {100 * rule.watch:g} %）；上升最多的是{words.zh(risen.column)}：{_shares(risen)}，"
        f"下降最多的是{words.zh(fallen.column)}：{_shares(fallen)}。",
        column=risen.column,
    )


def _shares(column: ColumnImportance) -> str:
    return f"{100 * column.share_reference:.0f} % → {100 * column.share_current:.0f} %"


def concept_reasons(concept: ConceptDrift | None, rule: ConceptRule | None) -> Iterator[Reason]:
    """Say for which groups of customers the model has become wrong."""
    if concept is None or rule is None:
        return
    wrong = [group for group in concept.groups if group.level in ("drifted", "strong")]
    for group in wrong[:NAMED_COLUMNS]:
        limit = 100 * (rule.act if group.level == "strong" else rule.watch)
        whom_en, whom_zh = _whom(group)
        then_en = then_zh = ""
        if group.gap_at_release is not None:
            then_en = f"; at release the difference was {100 * group.gap_at_release:+.1f}"
            then_zh = f"；发布时相差 {100 * group.gap_at_release:+.1f}"
        yield Reason(
            code="concept_drift",
            severity="act" if group.level == "strong" else "watch",
            sentence_en=f"For {whom_en} the predictions have become wrong: {100 * group.observed:.1f} % observed, "
            f"{100 * group.predicted:.1f} % predicted on {plural(group.rows, 'outcome')}, a difference of "
            f"{100 * group.gap:+.1f} points{then_en} (limit {limit:g}).",
            sentence_zh=f"{whom_zh}的预测出现偏差：{group.rows:,} 个结果中实际 {100 * group.observed:.1f} %，"
            f"预测 {100 * group.predicted:.1f} %，相差 {100 * group.gap:+.1f} 个百分点{then_zh}（阈值 {limit:g}）。",
        )


def _whom(group: GroupResidual) -> tuple[str, str]:
    if group.dimension == "all":
        return "all customers", "全体客户"
    english, chinese = _DIMENSION_WORDS[group.dimension]
    return f"{english} {group.group}", f"{chinese} {group.group} "
