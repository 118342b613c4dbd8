"""The rules of a drift policy as rows of a page: every number with its reason, in words.

The rows follow from the policy's own form, so that a new rule stands on the page by itself; its name in words stands
here, and a rule without one fails the tests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel

from ml.wording import Bilingual
from monitoring.policy import POLICY_DIRECTORY, DriftPolicy

POLICY_PAGE = "policy.html"
REASONS_PATH = POLICY_DIRECTORY / "reasons_zh.yaml"

RULE_TITLES: Mapping[str, Bilingual] = {
    "prediction": Bilingual(en="Drift score of the predictions", zh="预测的偏移得分"),
    "numeric": Bilingual(en="Drift score of a numeric column", zh="数值字段的偏移得分"),
    "categorical": Bilingual(en="Drift score of a column of categories", zh="类别字段的偏移得分"),
    "effect": Bilingual(en="Effect of one column on the prediction", zh="单个字段对预测的影响"),
    "drifted_share_pct": Bilingual(en="Share of drifted columns, %", zh="偏移字段占比，%"),
    "missing_rise_pct": Bilingual(en="Rise of missing values, points", zh="缺失率上升，百分点"),
    "infinite_pct": Bilingual(en="Infinite values, %", zh="无穷大占比，%"),
    "unseen_pct": Bilingual(en="Unseen categories, %", zh="新类别占比，%"),
    "performance": Bilingual(en="Performance on known outcomes", zh="按已知结果衡量的表现"),
    "performance.auc_drop": Bilingual(en="Fall of the AUC since release", zh="AUC 较发布时下降"),
    "performance.calibration_error": Bilingual(en="Calibration error", zh="校准误差"),
    "sample": Bilingual(en="Sample", zh="抽样"),
    "reference": Bilingual(en="Reference", zh="参考样本"),
    "minimum": Bilingual(en="Enough data", zh="数据充分"),
    "season": Bilingual(en="Same season", zh="同季节比较"),
    "report": Bilingual(en="Evidently report", zh="Evidently 报告"),
    "consequences": Bilingual(en="Decisions and money", zh="决策与金额"),
    "consequences.decisions_changed_pct": Bilingual(en="Decisions changed, %", zh="决策改变，%"),
    "consequences.money_change_pct": Bilingual(en="Change of the money, %", zh="金额变化，%"),
    "hysteresis": Bilingual(en="Calm before stable is told", zh="恢复稳定前的平静期"),
    "check": Bilingual(en="Asset check", zh="资产检查"),
    "incident": Bilingual(en="Too little data as an incident", zh="数据不足何时视为事件"),
    "quality": Bilingual(en="Data quality", zh="数据质量"),
    "importance": Bilingual(en="Shift of the columns that drive predictions", zh="驱动预测的字段变化"),
    "concept": Bilingual(en="Predictions and outcomes by group", zh="各组预测与结果"),
    "retraining": Bilingual(en="Retraining", zh="重新训练"),
    "history": Bilingual(en="Customers with a shorter history", zh="历史较短的客户"),
    "weather": Bilingual(en="Weather", zh="天气"),
    "economy": Bilingual(en="Good and bad years", zh="经济好坏年份"),
    "estimates": Bilingual(en="Estimated performance", zh="表现估计"),
    "estimates.default_rate_ratio": Bilingual(
        en="Estimated default rate against that at release", zh="估计违约率与发布时之比"
    ),
    "estimates.auc_drop": Bilingual(en="Fall of the estimated AUC since release", zh="估计 AUC 较发布时下降"),
    "estimates.outside_pct": Bilingual(en="Estimates that did not hold, %", zh="未成立的估计，%"),
    "vintages": Bilingual(en="Vintages", zh="账龄批次"),
    "vintages.ratio": Bilingual(en="Arrears of a vintage against the usual", zh="批次逾期与通常之比"),
    "tariff_outcomes": Bilingual(en="Advice and the bills since", zh="建议与其后账单"),
    "tariff_outcomes.shortfall_pct": Bilingual(en="Promised saving that did not come, %", zh="未实现的预期节省，%"),
    "tariff_outcomes.worse_off_pct": Bilingual(en="Advised customers who saved nothing, %", zh="未节省的客户，%"),
    "tariff_outcomes.outside_pct": Bilingual(en="Savings outside of their interval, %", zh="区间外的节省，%"),
    "segment_stability": Bilingual(en="Stability of the segments", zh="客群稳定性"),
    "segment_stability.moved_pct": Bilingual(en="Customers who moved in a month, %", zh="一个月内变更客群的客户，%"),
    "resolution": Bilingual(en="Resolution", zh="分辨率"),
}

SETTING_TITLES: Mapping[str, Bilingual] = {
    "rows": Bilingual(en="rows", zh="行数"),
    "seed": Bilingual(en="seed", zh="种子"),
    "latest_months": Bilingual(en="latest months", zh="最近月数"),
    "column_rows": Bilingual(en="values of a column", zh="字段取值数"),
    "judged_share_pct": Bilingual(en="columns judged, %", zh="可判断字段，%"),
    "months_around": Bilingual(en="months to either side", zh="前后月数"),
    "method": Bilingual(en="method", zh="方法"),
    "bins": Bilingual(en="bins of the reference", zh="参考样本分箱数"),
    "rare_share_pct": Bilingual(en="rare below, %", zh="少见类别低于，%"),
    "column": Bilingual(en="column", zh="字段"),
    "minimum_rows": Bilingual(en="at least rows", zh="最少行数"),
    "minimum_events": Bilingual(en="at least defaults", zh="最少违约数"),
    "months": Bilingual(en="months", zh="月数"),
    "columns": Bilingual(en="columns drawn", zh="绘制字段数"),
    "payment_columns": Bilingual(en="columns of payment", zh="缴费字段"),
    "decision": Bilingual(en="decision", zh="决策"),
    "money": Bilingual(en="money", zh="金额"),
    "calm_months": Bilingual(en="calm months", zh="平静月数"),
    "errors": Bilingual(en="error for", zh="视为错误"),
    "unknown_findings": Bilingual(en="an incident if", zh="视为事件"),
    "lost_pct": Bilingual(en="lost, %", zh="丢失，%"),
    "duplicated_pct": Bilingual(en="duplicated, %", zh="重复，%"),
    "cooldown_days": Bilingual(en="days of cool-down", zh="冷却天数"),
    "trainings_per_quarter": Bilingual(en="trainings per quarter", zh="每季训练次数"),
    "quarantined_pct": Bilingual(en="quarantined, %", zh="隔离，%"),
    "minimum_delivered_rows": Bilingual(en="at least delivered rows", zh="最少到达行数"),
    "bands_months": Bilingual(en="bands of months", zh="期限分段，月"),
    "decides": Bilingual(en="what decides", zh="判断依据"),
    "heating_base_c": Bilingual(en="base of heating, °C", zh="采暖基准，°C"),
    "cooling_base_c": Bilingual(en="base of cooling, °C", zh="制冷基准，°C"),
    "response_per_degree": Bilingual(en="response, log-odds per degree", zh="响应，每度对数几率"),
    "minimum_customers": Bilingual(en="at least customers", zh="最少客户数"),
    "minimum_months": Bilingual(en="at least months", zh="最少月数"),
    "ages_months": Bilingual(en="judged after months", zh="评判时点，月"),
    "step": Bilingual(en="rounded to", zh="取整到"),
    "customers": Bilingual(en="customers at most", zh="最多客户数"),
    "coverage_pct": Bilingual(en="stated coverage, %", zh="所述覆盖率，%"),
    "shift_sd": Bilingual(en="spread of the shift", zh="偏移离散度"),
    "slope_sd": Bilingual(en="spread of the slope", zh="斜率离散度"),
    "assumed_windows": Bilingual(en="windows assumed", zh="假定窗口数"),
    "record_months": Bilingual(en="months of the record", zh="记录月数"),
    "months_since": Bilingual(en="months since", zh="其后月数"),
    "minimum_vintages": Bilingual(en="at least vintages", zh="最少批次数"),
    "latest_vintages": Bilingual(en="latest vintages", zh="最近批次数"),
}


@dataclass(frozen=True)
class Setting:
    """A number or word of a rule that is not one of its two limits."""

    title: Bilingual
    value: str


@dataclass(frozen=True)
class RuleRow:
    """One rule.

    Attributes:
        path: Where it stands in the policy file.
        title: What it is about.
        column: Column that it is for; empty if it is for all.
        watch: First limit; empty without one.
        act: Second limit; empty without one.
        settings: Its other numbers.
        reason: Why the numbers are what they are, in both languages.
    """

    path: str
    title: Bilingual
    column: str
    watch: str
    act: str
    settings: tuple[Setting, ...]
    reason: Bilingual


def rule_rows(policy: DriftPolicy) -> list[RuleRow]:
    """Return all rules of a policy: those with limits first, in the order of the policy."""
    rows = list(_rows(policy, ""))
    return sorted(rows, key=lambda row: not row.watch)


def reason_words(reason: str) -> Bilingual:
    """Return a reason of a policy file in both languages; in English alone where nobody has translated it."""
    return Bilingual(en=reason, zh=_reasons_in_chinese().get(reason, reason))


@cache
def _reasons_in_chinese() -> dict[str, str]:
    return dict(yaml.safe_load(REASONS_PATH.read_text(encoding="utf-8")))


def _rows(rules: BaseModel, prefix: str) -> Iterator[RuleRow]:
    for name in type(rules).model_fields:
        rule = getattr(rules, name)
        path = f"{prefix}{name}"
        if isinstance(rule, BaseModel):
            yield _row(rule, path)
            yield from _rows(rule, f"{path}.")
        elif isinstance(rule, Mapping):
            for column, of_column in rule.items():
                if isinstance(of_column, BaseModel):
                    yield _row(of_column, path, column)


def _row(rule: BaseModel, path: str, column: str = "") -> RuleRow:
    return RuleRow(
        path=path,
        title=RULE_TITLES.get(path) or _words(path.rpartition(".")[2]),
        column=column,
        watch=_text(getattr(rule, "watch", "")),
        act=_text(getattr(rule, "act", "")),
        settings=tuple(_settings(rule)),
        reason=reason_words(getattr(rule, "reason", "")),
    )


def _settings(rule: BaseModel) -> Iterator[Setting]:
    for name in type(rule).model_fields:
        value = getattr(rule, name)
        if name in ("watch", "act", "reason") or value is None or isinstance(value, BaseModel):
            continue
        yield Setting(SETTING_TITLES.get(name) or _words(name), _text(value))


def _words(name: str) -> Bilingual:
    words = name.removesuffix("_pct").replace("_", " ") + (", %" if name.endswith("_pct") else "")
    return Bilingual(en=words, zh=words)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return ", ".join(f"{_text(key)}: {_text(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(_text(entry) for entry in value)
    return str(value).replace("_", " ")
