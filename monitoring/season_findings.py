"""Findings about weather and history: what moved as expected, and how long the customers have been known."""

from collections.abc import Iterator, Sequence

from ml.wording import plural
from monitoring.column_words import ColumnWords
from monitoring.policy import DriftPolicy
from monitoring.verdicts import ColumnScore, HistoryShift, MonthWeather, Reason, Severity


def weather_reasons(
    scores: Sequence[ColumnScore], words: ColumnWords, weather: MonthWeather | None
) -> Iterator[Reason]:
    """Say which columns moved as the weather leads to expect, or that no weather is known.

    Args:
        scores: Scores of all columns.
        words: Columns in words.
        weather: Weather of the month; None if it is not known.
    """
    if weather is None:
        if seasonal := [score.column for score in scores if score.is_seasonal and score.status == "judged"]:
            yield Reason(
                code="weather_unknown",
                severity="info",
                sentence_en=f"No weather is known for the month: {plural(len(seasonal), 'column')} that "
                f"{'follows' if len(seasonal) == 1 else 'follow'} it could be compared with the same season only.",
                sentence_zh=f"本月没有天气数据：{len(seasonal)} 个随天气变化的字段只能与同季节比较。",
            )
        return
    explained = [score for score in scores if score.expected_en]
    if not explained:
        return
    listed_en, listed_zh = words.listed([score.column for score in explained])
    first = explained[0]
    weather_en, weather_zh = weather_words(weather)
    yield Reason(
        code="weather_expected",
        severity="info",
        sentence_en=f"{plural(len(explained), 'column')} moved as expected for {weather_en}: {listed_en}. "
        f"{words.only_en(first.column)} {first.expected_en}.",
        sentence_zh=f"{len(explained)} 个字段的变化符合天气预期（{weather_zh}）：{listed_zh}。"
        f"{words.only_zh(first.column)}{first.expected_zh}。",
        column=first.column if len(explained) == 1 else None,
    )


def weather_words(weather: MonthWeather) -> tuple[str, str]:
    """Return the weather of a month for a sentence, such as “31.2 °C, 4.9 °C warmer than normal”."""
    english, chinese = f"{weather.mean_temperature_c:.1f} °C", f"{weather.mean_temperature_c:.1f} °C"
    if weather.anomaly_c is not None:
        difference_en, difference_zh = _difference_words(weather.anomaly_c)
        english, chinese = f"{english}, {difference_en}", f"{chinese}，{difference_zh}"
    if weather.anomaly_3m_c is not None:
        difference_en, difference_zh = _difference_words(weather.anomaly_3m_c)
        english = f"{english} (three months: {difference_en})"
        chinese = f"{chinese}，近三月{difference_zh}"
    return english, chinese


def history_reasons(history: HistoryShift, policy: DriftPolicy) -> Iterator[Reason]:
    """Say when customers of other lengths of history came, and when too few could be compared because of it.

    Args:
        history: Lengths of history of both sides.
        policy: Limits.
    """
    rule = policy.history
    shares_en = (
        f"{history.short_current_pct:.0f} % of the customers have less than {history.full_months} months of history, "
        f"{history.short_reference_pct:.0f} % in the reference"
    )
    shares_zh = (
        f"{history.short_current_pct:.0f} % 的客户历史不足 {history.full_months} 个月，"
        f"参考样本为 {history.short_reference_pct:.0f} %"
    )
    if history.rise_pct >= rule.watch:
        severity: Severity = "act" if history.rise_pct >= rule.act else "watch"
        limit = rule.act if severity == "act" else rule.watch
        yield Reason(
            code="history_shift",
            severity=severity,
            sentence_en=f"Many customers are new: {shares_en} (limit {limit:g} points more). They are compared with "
            "customers of as long a history.",
            sentence_zh=f"新客户明显增多：{shares_zh}（阈值为多 {limit:g} 个百分点）；仅与历史长度相近的客户比较。",
        )
    elif history.rows_set_aside or -history.rise_pct >= rule.watch:
        aside_en = f" {plural(history.rows_set_aside, 'customer')} had no match and {_was(history)} set aside."
        yield Reason(
            code="history_like",
            severity="info",
            sentence_en=f"Customers are compared with those of as long a history: {shares_en}."
            f"{aside_en if history.rows_set_aside else ''}",
            sentence_zh=f"仅与历史长度相近的客户比较：{shares_zh}。"
            + (f"有 {history.rows_set_aside:,} 个客户没有可比对象，已略去。" if history.rows_set_aside else ""),
        )
    if history.rows_reference < policy.minimum.rows:
        yield Reason(
            code="history_unmatched",
            severity="unknown",
            sentence_en=f"The reference has {plural(history.rows_reference, 'row')} of customers with as long a "
            f"history as those of the month; {policy.minimum.rows:,} are needed. A release of newer data will have "
            "them.",
            sentence_zh=f"参考样本中历史长度与本月客户相近的仅 {history.rows_reference:,} 行，"
            f"至少需要 {policy.minimum.rows:,} 行；用更新的数据发布后即可判断。",
        )


def _was(history: HistoryShift) -> str:
    return "was" if history.rows_set_aside == 1 else "were"


def _difference_words(degrees: float) -> tuple[str, str]:
    if abs(degrees) < 0.05:
        return "as warm as normal", "与常年持平"
    return (
        f"{abs(degrees):.1f} °C {'warmer' if degrees > 0 else 'colder'} than normal",
        f"比常年{'高' if degrees > 0 else '低'} {abs(degrees):.1f} °C",
    )
